/*
 * s3_read.c
 *		Ranged GETs, also ahead of who needs them, whole ones, and HEAD.
 */
#include "store/s3_read.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/s3_answer.h"
#include "store/s3_batch.h"
#include "store/store_fetch.h"
#include "store/store_merge.h"

/* GETs longer than this are bound by bandwidth, which a second request does not help. */
#define HEDGED_BYTES ((size_t) 1024 * 1024)

typedef struct RangedGet
{
	S3Op		op;				/* first: take_range gets it */
	const StoreRead *read;
	int			told;			/* so many of its ranges are there, and were told to be */
	char		range[64];
} RangedGet;

/* -------------------------------------------------------------------------
 * Ranges
 * ------------------------------------------------------------------------- */

/* Whether the answer is the range that was asked for; known before its first byte is taken. */
static bool
check_range(S3Attempt *attempt, const StoreRead *read)
{
	uint64_t	last = read->offset + read->len - 1;
	uint64_t	got_first;
	uint64_t	got_last;
	char		range[96];

	if (attempt->http.status == 200)
		return (read->offset == 0 && attempt->http.content_length == (int64_t) read->len) ||
			s3_attempt_stop(attempt, S3_FAIL, SV_IO, "the store does not answer with the range asked for");
	if (!http_header(&attempt->http, "content-range", range, sizeof(range)) ||
		sscanf(range, "bytes %" SCNu64 "-%" SCNu64, &got_first, &got_last) != 2 ||
		got_first != read->offset || got_last < got_first || got_last > last)
		return s3_attempt_stop(attempt, S3_RETRY, SV_IO, "the answer is another range than was asked for");
	if (got_last < last)
		return s3_attempt_stop(attempt, S3_FAIL, SV_CORRUPT,
							   "it has no byte at offset %" PRIu64 ", in a range of %zu bytes", got_last + 1,
							   read->len);
	return attempt->http.content_length < 0 || attempt->http.content_length == (int64_t) read->len ||
		s3_attempt_stop(attempt, S3_RETRY, SV_IO, "the answer's length is not that of its range");
}

/* So many bytes of the read have come.  One that ends behind its neighbour makes the neighbour wait. */
static void
tell_there(RangedGet *get, size_t received)
{
	const StoreRead *read = get->read;

	while (get->told < read->nranges)
	{
		const StoreRange *range = read->ranges[get->told];

		if (range->offset + range->len > read->offset + received)
			return;
		if (range->there != NULL)
			*range->there = true;
		get->told++;
	}
}

static bool
take_range(S3Attempt *attempt, const void *data, size_t len)
{
	const StoreRead *read = attempt->op->state;

	if (attempt->received == 0 && !check_range(attempt, read))
		return false;
	if (len > read->len - attempt->received)
		return s3_attempt_stop(attempt, S3_RETRY, SV_IO, "the answer is longer than its range");
	store_scatter(read, read->offset + attempt->received, data, len);
	attempt->received += len;
	tell_there((RangedGet *) attempt->op, attempt->received);
	return true;
}

static S3Verdict
check_received(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	const StoreRead *read = op->state;

	if (attempt->received == read->len)
		return S3_DONE;
	*status = s3_fail(attempt, NULL, SV_IO, "the answer is shorter than its range",
					  "Check what lies between this server and the store.", err);
	return S3_RETRY;
}

static void
prepare_get(RangedGet *get, const StoreRead *read)
{
	snprintf(get->range, sizeof(get->range), "bytes=%" PRIu64 "-%" PRIu64, read->offset, read->offset + read->len - 1);
	get->read = read;
	get->told = 0;
	get->op = (S3Op) {
		.operation = STORE_GET,.method = HTTP_GET,.name = read->name,.extra = {{"range", get->range}},.nextra = 1,
		.expected_bytes = read->len,.take = take_range,.check = check_received,.state = (void *) read,
		.may_hedge = read->len <= HEDGED_BYTES
	};
}

static int
index_of(const RangedGet *gets, int n, const S3Op *op)
{
	for (int i = 0; i < n; i++)
		if (&gets[i].op == op)
			return i;
	return -1;
}

/* What no try has failed of, but an answer said is not there. */
static SvStatus
first_missing(const RangedGet *gets, int n, int *failed)
{
	for (int i = 0; i < n; i++)
	{
		if (gets[i].op.status != SV_OK)
		{
			*failed = i;
			return gets[i].op.status;
		}
	}
	return SV_OK;
}

/* A get of some reads. */
typedef struct S3Get
{
	S3Batch		batch;
	RangedGet  *gets;
	RangedGet	one;			/* where gets points if it is one */
	int			n;
	int			failed;			/* index of one of them, -1: none */
} S3Get;

static SvStatus
prepare_gets(S3Get *get, S3Store *store, const StoreRead *reads, int nreads, const StoreCall *call, SvError *err)
{
	get->gets = nreads == 1 ? &get->one : malloc((size_t) nreads * sizeof(RangedGet));
	get->n = nreads;
	get->failed = -1;
	if (get->gets == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: %d requests to the store", nreads);
	s3_batch_init(&get->batch, store, call);
	for (int i = 0; i < nreads; i++)
	{
		prepare_get(&get->gets[i], &reads[i]);
		s3_batch_add(&get->batch, &get->gets[i].op);
	}
	return SV_OK;
}

/* The batch has ended, or is dropped: what that means for the get. */
static SvStatus
judge_gets(S3Get *get, SvStatus status)
{
	if (status != SV_OK)
		get->failed = index_of(get->gets, get->n, get->batch.failed);
	else
		status = first_missing(get->gets, get->n, &get->failed);
	return status;
}

static void
free_gets(S3Get *get)
{
	if (get->gets != &get->one)
		free(get->gets);
}

SvStatus
s3_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed, const StoreCall *call, SvError *err)
{
	S3Get		get;
	SvStatus	status = prepare_gets(&get, (S3Store *) base, reads, nreads, call, err);

	if (status != SV_OK)
		return status;
	status = judge_gets(&get, s3_batch_finish(&get.batch, call, err));
	*failed = get.failed;
	free_gets(&get);
	return status;
}

SvStatus
s3_steps_begin(ObjectStore *base, const StoreRead *reads, int nreads, StoreDriverSteps **steps,
			   const StoreCall *call, SvError *err)
{
	S3Get	   *get = malloc(sizeof(S3Get));
	SvStatus	status;

	if (get == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: %d requests to the store", nreads);
	status = prepare_gets(get, (S3Store *) base, reads, nreads, call, err);
	if (status == SV_OK)
	{
		status = s3_batch_start(&get->batch, call, err);
		if (status != SV_OK)
			free_gets(get);
	}
	if (status != SV_OK)
	{
		free(get);
		return status;
	}
	*steps = (StoreDriverSteps *) get;
	return SV_OK;
}

SvStatus
s3_steps_go(StoreDriverSteps *steps, bool *done, const StoreCall *call, SvError *err)
{
	S3Get	   *get = (S3Get *) steps;
	SvStatus	status = s3_batch_step(&get->batch, call, S3_STEP_MS, err);

	if (status == SV_OK && s3_batch_pending(&get->batch) > 0)
		return SV_OK;
	*done = true;
	return judge_gets(get, status);
}

int
s3_steps_end(StoreDriverSteps *steps, const StoreCall *call)
{
	S3Get	   *get = (S3Get *) steps;
	int			failed = get->failed;

	s3_batch_drop(&get->batch, call);
	free_gets(get);
	free(get);
	return failed;
}

/* -------------------------------------------------------------------------
 * Ahead of who needs it
 * ------------------------------------------------------------------------- */

/* A GET that lives longer than the call that began it. */
typedef struct S3Fetch
{
	StoreFetch	base;
	S3Batch		batch;			/* of the one op */
	RangedGet	get;
	StoreRead	read;
	StoreRange	range;			/* the caller's, kept */
	const StoreRange *ranges[1];
} S3Fetch;

int
s3_fetches_running(const ObjectStore *store)
{
	int			running = 0;

	for (const StoreFetch *fetch = store->fetches; fetch != NULL; fetch = fetch->next)
	{
		const S3Attempt *attempt = ((const S3Fetch *) fetch)->get.op.attempts[0];

		running += attempt != NULL && attempt->http.outcome == HTTP_RUNNING;
	}
	return running;
}

SvStatus
s3_fetch_begin(ObjectStore *base, const StoreRange *range, StoreFetch **fetch, const StoreCall *call, SvError *err)
{
	S3Store    *store = (S3Store *) base;
	S3Fetch    *begun;
	SvStatus	status;

	/* One is left for those who wait. */
	if (s3_fetches_running(base) >= store->concurrency - 1)
		return SV_OK;
	begun = calloc(1, sizeof(S3Fetch));
	if (begun == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a request to the store");
	begun->range = *range;
	begun->ranges[0] = &begun->range;
	begun->read = (StoreRead) {range->name, range->offset, range->len, begun->ranges, 1};
	prepare_get(&begun->get, &begun->read);
	/* Nobody waits: how long it takes says little. */
	begun->get.op.may_hedge = false;
	s3_batch_init(&begun->batch, store, call);
	s3_batch_add(&begun->batch, &begun->get.op);
	status = s3_batch_start(&begun->batch, call, err);
	if (status != SV_OK)
	{
		free(begun);
		return status;
	}
	*fetch = &begun->base;
	return SV_OK;
}

void
s3_fetch_drive(StoreFetch *fetch)
{
	S3Store    *store = (S3Store *) fetch->store;

	if (store->http != NULL)
		http_client_drive(store->http);
}

SvStatus
s3_fetch_finish(StoreFetch *base, const StoreCall *call, SvError *err)
{
	S3Fetch    *fetch = (S3Fetch *) base;
	SvStatus	status;

	s3_batch_renew(&fetch->batch, call);
	status = s3_batch_finish(&fetch->batch, call, err);
	if (status != SV_OK || fetch->get.op.status == SV_OK)
		return status;
	return sv_fail(err, fetch->get.op.status, "object \"%s\" could not be read", base->range.name);
}

void
s3_fetch_end(StoreFetch *base)
{
	S3Fetch    *fetch = (S3Fetch *) base;

	s3_batch_drop(&fetch->batch, &base->call);
}

/* -------------------------------------------------------------------------
 * Whole objects
 * ------------------------------------------------------------------------- */

/* The collected body goes to the caller's buffer while the attempt is still there. */
static S3Verdict
copy_answer(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	SvBuffer   *content = op->state;

	/* A page of something else: not for who would take it for a damaged object. */
	if (op->etag[0] == '\0')
	{
		*status = s3_fail_stranger(attempt, err);
		return S3_FAIL;
	}
	if (attempt->answer.len > 0 &&
		sv_buffer_append(content, attempt->answer.data, attempt->answer.len, err) != SV_OK)
	{
		*status = SV_NO_MEMORY;
		return S3_FAIL;
	}
	return S3_DONE;
}

SvStatus
s3_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content,
			 StoreObject *object, const StoreCall *call, SvError *err)
{
	size_t		before = content->len;
	S3Op		op = {
		.operation = STORE_GET,.method = HTTP_GET,.name = name,.check = copy_answer,.state = content,
		.max_answer = max_bytes > 0 ? max_bytes : 1,.may_hedge = true
	};
	SvStatus	status = s3_run((S3Store *) base, &op, call, err);

	if (status != SV_OK)
		return status;
	object->bytes = content->len - before;
	memcpy(object->etag, op.etag, sizeof(object->etag));
	if (object->bytes > max_bytes)
		return sv_fail(err, SV_CORRUPT, "object \"%s\" has more than %zu bytes", name, max_bytes);
	return SV_OK;
}

/* -------------------------------------------------------------------------
 * HEAD
 * ------------------------------------------------------------------------- */

static S3Verdict
check_length(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	if (attempt->http.content_length >= 0 && op->etag[0] != '\0')
		return S3_DONE;
	*status = s3_fail_stranger(attempt, err);
	return S3_FAIL;
}

/*
 * An answer to HEAD has no body, so it does not say what is missing, the object
 * or the bucket, nor why something is refused.  A GET of one byte does, and takes
 * the store's time or other keys if that is it.  False if it is not refused.
 */
static bool
ask_why(S3Store *store, const char *name, SvStatus *status, const StoreCall *call, SvError *err)
{
	char		byte;
	StoreRange	range = {.name = name,.len = 1,.dst = &byte};
	const StoreRange *ranges[1] = {&range};
	StoreRead	read = {name, 0, 1, ranges, 1};
	int			failed;
	SvError		reason = {0};
	SvStatus	told = s3_get(&store->base, &read, 1, &failed, call, &reason);

	if (told == SV_NOT_FOUND || told == SV_OK || told == SV_CORRUPT)
		return false;
	if (err != NULL)
		*err = reason;
	*status = told;
	return true;
}

static SvStatus
head_once(S3Store *store, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	S3Op		op = {.operation = STORE_HEAD,.method = HTTP_HEAD,.name = name,.check = check_length};
	SvStatus	status = s3_run(store, &op, call, err);

	if (status != SV_OK)
		return status;
	object->bytes = (uint64_t) op.content_length;
	memcpy(object->etag, op.etag, sizeof(object->etag));
	return SV_OK;
}

SvStatus
s3_head(ObjectStore *base, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	S3Store    *store = (S3Store *) base;
	SvStatus	status = head_once(store, name, object, call, err);

	if (status != SV_NOT_FOUND && status != SV_DENIED && status != SV_IO)
		return status;
	if (ask_why(store, name, &status, call, err) || status == SV_NOT_FOUND)
		return status;
	return head_once(store, name, object, call, err);
}
