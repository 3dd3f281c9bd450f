/*
 * s3_remove.c
 *		One object, or a thousand with one request.
 *
 * Stores that do not know DeleteObjects (GCS, for one) get a request for each.
 */
#include "store/s3_remove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/s3_answer.h"
#include "store/s3_batch.h"
#include "store/s3_xml.h"

#define MANY 1000				/* that S3 takes at once */
/* Each error among the answers has a key, a code and a message. */
#define MANY_ANSWER_BYTES ((size_t) 4 * 1024 * 1024)

SvStatus
s3_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	S3Op		op = {.operation = STORE_REMOVE,.method = HTTP_DELETE,.name = name};
	SvStatus	status = s3_run((S3Store *) base, &op, call, err);

	return status == SV_NOT_FOUND ? SV_OK : status;
}

/* One by one, concurrently. */
static SvStatus
remove_singly(S3Store *store, const char *const *names, int n, const StoreCall *call, SvError *err)
{
	S3Op	   *ops = calloc((size_t) n, sizeof(S3Op));
	S3Batch		batch;
	SvStatus	status;

	if (ops == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: removal of %d objects", n);
	s3_batch_init(&batch, store, call);
	for (int i = 0; i < n; i++)
	{
		ops[i] = (S3Op) {.operation = STORE_REMOVE,.method = HTTP_DELETE,.name = names[i]};
		s3_batch_add(&batch, &ops[i]);
	}
	status = s3_batch_finish(&batch, call, err);
	free(ops);
	return status;
}

/* -------------------------------------------------------------------------
 * DeleteObjects
 * ------------------------------------------------------------------------- */

typedef struct ManyAnswer
{
	bool		is_answer;
	S3Fault		current;
	S3Fault		first;			/* error */
	bool		has_error;
	bool		is_transient;
} ManyAnswer;

static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

static bool
take_many(void *state, const char *path, const char *text)
{
	ManyAnswer *answer = state;

	if (strcmp(path, "DeleteResult") == 0)
		answer->is_answer = true;
	else if (strcmp(path, "DeleteResult/Error/Key") == 0)
		copy(answer->current.key, sizeof(answer->current.key), text);
	else if (strcmp(path, "DeleteResult/Error/Code") == 0)
		copy(answer->current.code, sizeof(answer->current.code), text);
	else if (strcmp(path, "DeleteResult/Error/Message") == 0)
		copy(answer->current.message, sizeof(answer->current.message), text);
	else if (strcmp(path, "DeleteResult/Error") == 0)
	{
		if (!answer->has_error && strcmp(answer->current.code, "NoSuchKey") != 0)
		{
			answer->first = answer->current;
			answer->has_error = true;
		}
		memset(&answer->current, 0, sizeof(answer->current));
	}
	return true;
}

static S3Verdict
check_many(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	ManyAnswer	answer = {0};
	bool		transient;
	char		reason[STORE_MAX_NAME_BYTES + 64];

	(void) op;
	if (!s3_answer_parse(attempt, take_many, &answer, status, err))
		return S3_FAIL;
	if (answer.is_answer && !answer.has_error)
		return S3_DONE;
	if (!answer.is_answer)
	{
		*status = s3_fail_stranger(attempt, err);
		return S3_FAIL;
	}
	transient = strcmp(answer.first.code, "InternalError") == 0 || strcmp(answer.first.code, "SlowDown") == 0;
	snprintf(reason, sizeof(reason), "\"%s\" could not be removed", answer.first.key);
	*status = s3_fail(attempt, &answer.first,
					  strcmp(answer.first.code, "AccessDenied") == 0 ? SV_DENIED : SV_IO, reason, NULL, err);
	return transient ? S3_RETRY : S3_FAIL;
}

/* Names have no character that XML would want escaped. */
static SvStatus
make_body(const S3Store *store, const char *const *names, int n, SvBuffer *body, SvError *err)
{
	char		line[2 * STORE_MAX_NAME_BYTES + 64];
	SvStatus	status = sv_buffer_append(body, "<Delete><Quiet>true</Quiet>", 27, err);

	for (int i = 0; i < n && status == SV_OK; i++)
	{
		int			len = snprintf(line, sizeof(line), "<Object><Key>%s%s</Key></Object>", store->prefix, names[i]);

		status = sv_buffer_append(body, line, (size_t) len, err);
	}
	return status == SV_OK ? sv_buffer_append(body, "</Delete>", 9, err) : status;
}

static SvStatus
send_many(S3Store *store, const char *name, SvSlice body, const StoreCall *call, SvError *err)
{
	uint8_t		md5[S3_MD5_BYTES];
	char		md5_base64[S3_MD5_BASE64_BYTES];
	char		sha256[S3_SHA256_HEX_BYTES];
	S3Op		op = {
		.operation = STORE_REMOVE,.method = HTTP_POST,.name = name,.is_bucket = true,.query = "delete=",
		.extra = {{"content-md5", md5_base64}, {"content-type", "application/xml"}},.nextra = 2,
		.body = &body,.nbody = 1,.payload_sha256 = sha256,.check = check_many,.max_answer = MANY_ANSWER_BYTES
	};

	if (!s3_md5(&body, 1, md5) || !s3_sha256_hex(&body, 1, sha256))
		return sv_fail(err, SV_NO_MEMORY, "MD5 or SHA-256 is not available");
	s3_md5_base64(md5, md5_base64);
	return s3_run(store, &op, call, err);
}

static SvStatus
remove_some(S3Store *store, const char *const *names, int n, const StoreCall *call, SvError *err)
{
	SvBuffer	body;
	SvStatus	status;

	if (n == 1)
		return s3_remove(&store->base, names[0], call, err);
	sv_buffer_init(&body, &sv_malloc_alloc);
	status = make_body(store, names, n, &body, err);
	if (status == SV_OK)
		status = send_many(store, names[0], sv_buffer_slice(&body), call, err);
	sv_buffer_free(&body);
	return status == SV_UNSUPPORTED ? remove_singly(store, names, n, call, err) : status;
}

SvStatus
s3_remove_many(ObjectStore *base, const char *const *names, int n, int *removed,
			   const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	while (status == SV_OK && *removed < n)
	{
		int			some = n - *removed < MANY ? n - *removed : MANY;

		status = remove_some((S3Store *) base, names + *removed, some, call, err);
		if (status == SV_OK)
			*removed += some;
	}
	return status;
}
