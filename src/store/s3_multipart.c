/*
 * s3_multipart.c
 *		Initiate, parts at once, complete; or abort.
 *
 * Parts are sent with UNSIGNED-PAYLOAD, and their MD5 is compared with the ETag
 * that the store computes.  Signing a SHA-256 would make both sides compute that
 * too, to the same end, and took a third of the throughput.  The first answer has
 * MD5 computed for as many parts as there are lanes (s3_md5_lanes.h), while the
 * store is still at work on the others.
 */
#include "store/s3_multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/s3_answer.h"
#include "store/s3_md5_lanes.h"
#include "store/s3_put.h"
#include "store/s3_read.h"
#include "store/s3_xml.h"

#define MAX_PARTS 10000
#define ABORT_MS 5000
#define ABORT_CANCELLED_MS 80

/* -------------------------------------------------------------------------
 * Beginning
 * ------------------------------------------------------------------------- */

static bool
take_initiated(void *state, const char *path, const char *text)
{
	char	  **upload_id = state;

	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0 && text[0] != '\0' && *upload_id == NULL)
		*upload_id = s3_escape(text, false);
	return true;
}

static S3Verdict
check_initiated(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	S3Multipart *multipart = op->state;

	if (!s3_answer_parse(attempt, take_initiated, &multipart->upload_id, status, err))
		return S3_FAIL;
	if (multipart->upload_id != NULL)
		return S3_DONE;
	*status = s3_fail_stranger(attempt, err);
	return S3_FAIL;
}

SvStatus
s3_multipart_begin(S3Multipart *multipart, S3Store *store, const char *name, const StoreCall *call, SvError *err)
{
	S3Op		op = {
		.operation = STORE_PUT,.method = HTTP_POST,.name = name,.query = "uploads=",.check = check_initiated,
		.state = multipart
	};
	SvStatus	status;

	memset(multipart, 0, sizeof(*multipart));
	multipart->store = store;
	multipart->name = name;
	status = s3_check_absent(store, name, call, err);
	if (status == SV_OK)
		status = s3_run(store, &op, call, err);
	if (status == SV_NOT_FOUND)
		status = sv_fail(err, SV_IO, "could not write object \"%s\": the store begins no upload in parts", name);
	if (status != SV_OK)
	{
		free(multipart->upload_id);
		multipart->upload_id = NULL;
		return status;
	}
	s3_batch_init(&multipart->batch, store, call);
	return SV_OK;
}

/* -------------------------------------------------------------------------
 * Parts
 * ------------------------------------------------------------------------- */

static void
free_body(S3Part *part)
{
	free(part->copy);
	free(part->slices);
	part->copy = NULL;
	part->slices = NULL;
}

/* MD5 of this part, and of those behind it whose bodies are there. */
static void
hash_parts(S3Part *part)
{
	S3Md5Lane	lanes[S3_MD5_LANES];
	S3Part	   *hashed[S3_MD5_LANES];
	int			n = 0;

	for (; part != NULL && n < S3_MD5_LANES; part = part->next)
	{
		if (part->hashed || part->slices == NULL)
			continue;
		lanes[n] = (S3Md5Lane) {.parts = part->slices,.nparts = part->nslices};
		hashed[n++] = part;
	}
	s3_md5_lanes(lanes, n);
	for (int i = 0; i < n; i++)
	{
		memcpy(hashed[i]->op.md5, lanes[i].md5, S3_MD5_BYTES);
		hashed[i]->hashed = true;
	}
}

static S3Verdict
check_part(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	S3Part	   *part = op->state;

	if (strpbrk(op->etag, "<>&") != NULL)
	{
		*status = s3_fail_stranger(attempt, err);
		return S3_FAIL;
	}
	if (!part->hashed)
		hash_parts(part);
	return s3_check_md5(attempt, op->md5, status, err);
}

SvStatus
s3_multipart_add(S3Multipart *multipart, SvSlice *slices, int nslices, uint8_t *copy, SvError *err)
{
	S3Part	   *part = calloc(1, sizeof(S3Part));

	if (part == NULL ||
		asprintf(&part->query, "partNumber=%d&uploadId=%s", multipart->nparts + 1, multipart->upload_id) < 0)
	{
		free(part);
		free(slices);
		free(copy);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a part of object \"%s\"", multipart->name);
	}
	part->number = ++multipart->nparts;
	part->slices = slices;
	part->nslices = nslices;
	part->copy = copy;
	part->op = (S3Op) {
		.operation = STORE_PUT,.method = HTTP_PUT,.name = multipart->name,.query = part->query,.body = slices,
		.nbody = nslices,.payload_sha256 = S3_UNSIGNED,.check = check_part,.state = part
	};
	for (int i = 0; i < nslices; i++)
		multipart->bytes += slices[i].len;
	if (multipart->last == NULL)
		multipart->first = part;
	else
		multipart->last->next = part;
	multipart->last = part;
	s3_batch_add(&multipart->batch, &part->op);
	return SV_OK;
}

void
s3_multipart_trim(S3Multipart *multipart, size_t part_bytes, uint8_t **spare)
{
	bool		in_order = true;

	if (multipart->untrimmed == NULL)
		multipart->untrimmed = multipart->first;
	for (S3Part *part = multipart->untrimmed; part != NULL; part = part->next)
	{
		in_order = in_order && part->op.run_state == S3_ENDED;
		if (in_order)
			multipart->untrimmed = part;
		if (part->op.run_state != S3_ENDED || part->copy == NULL)
			continue;
		if (*spare == NULL && part->slices[0].len == part_bytes)
		{
			*spare = part->copy;
			part->copy = NULL;
		}
		free_body(part);
	}
}

static void
free_multipart(S3Multipart *multipart)
{
	S3Part	   *part;

	while ((part = multipart->first) != NULL)
	{
		multipart->first = part->next;
		free_body(part);
		free(part->query);
		free(part);
	}
	multipart->last = multipart->untrimmed = NULL;
	free(multipart->upload_id);
	multipart->upload_id = NULL;
}

/* -------------------------------------------------------------------------
 * Completing
 * ------------------------------------------------------------------------- */

/* The ETag of the whole, if those of the parts are their MD5s: MD5 of the MD5s, and how many. */
static bool
expected_etag(const S3Multipart *multipart, char etag[STORE_ETAG_BYTES])
{
	S3Md5	   *md5 = s3_md5_create();
	uint8_t		out[S3_MD5_BYTES];
	bool		known = md5 != NULL && s3_md5_restart(md5);
	char		hex[S3_MD5_HEX_BYTES];

	for (const S3Part *part = multipart->first; part != NULL && known; part = part->next)
	{
		s3_hex(part->op.md5, S3_MD5_BYTES, hex);
		known = strcmp(hex, part->op.etag) == 0 && s3_md5_add(md5, part->op.md5, S3_MD5_BYTES);
	}
	known = known && s3_md5_finish(md5, out);
	if (md5 != NULL)
		s3_md5_free(md5);
	if (!known)
		return false;
	s3_hex(out, sizeof(out), hex);
	snprintf(etag, STORE_ETAG_BYTES, "%s-%d", hex, multipart->nparts);
	return true;
}

typedef struct Completed
{
	bool		is_done;
	bool		is_error;
	char		etag[STORE_ETAG_BYTES];
} Completed;

static bool
take_completed(void *state, const char *path, const char *text)
{
	Completed  *completed = state;
	size_t		len = strlen(text);

	if (strcmp(path, "CompleteMultipartUploadResult") == 0)
		completed->is_done = true;
	else if (strcmp(path, "Error") == 0)
		completed->is_error = true;
	else if (strcmp(path, "CompleteMultipartUploadResult/ETag") == 0 && len >= 2 && text[0] == '"' &&
			 len < sizeof(completed->etag))
	{
		memcpy(completed->etag, text + 1, len - 2);
		completed->etag[len - 2] = '\0';
	}
	return true;
}

/* An error may come with status 200: S3 sends that while it is still at work. */
static S3Verdict
check_completed(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	Completed  *completed = op->state;
	S3Fault		fault;
	bool		again;

	memset(completed, 0, sizeof(*completed));
	if (!s3_answer_parse(attempt, take_completed, completed, status, err))
		return S3_RETRY;
	if (completed->is_done)
		return S3_DONE;
	if (!completed->is_error)
	{
		*status = s3_fail_stranger(attempt, err);
		return S3_FAIL;
	}
	s3_fault_parse(&fault, attempt);
	again = strcmp(fault.code, "InternalError") == 0 || strcmp(fault.code, "SlowDown") == 0 ||
		strcmp(fault.code, "OperationAborted") == 0 || strcmp(fault.code, "ConditionalRequestConflict") == 0;
	if (strcmp(fault.code, "PreconditionFailed") == 0)
	{
		*status = s3_exists(op->name, err);
		return S3_DONE;
	}
	*status = s3_fail(attempt, &fault, SV_IO, "the store could not put the parts together", NULL, err);
	return again ? S3_RETRY : S3_FAIL;
}

static SvStatus
make_list(const S3Multipart *multipart, SvBuffer *list, SvError *err)
{
	char		line[STORE_ETAG_BYTES + 128];
	SvStatus	status = sv_buffer_append(list, "<CompleteMultipartUpload>", 25, err);

	for (const S3Part *part = multipart->first; part != NULL && status == SV_OK; part = part->next)
	{
		int			len = snprintf(line, sizeof(line), "<Part><PartNumber>%d</PartNumber><ETag>\"%s\"</ETag></Part>",
								   part->number, part->op.etag);

		status = sv_buffer_append(list, line, (size_t) len, err);
	}
	return status == SV_OK ? sv_buffer_append(list, "</CompleteMultipartUpload>", 26, err) : status;
}

/* Whether what has the name now is what was uploaded, by its length and its ETag if that is known. */
static SvStatus
check_whole(S3Multipart *multipart, const char *etag, const StoreCall *call, SvError *err)
{
	StoreObject object;
	SvStatus	status = s3_head(&multipart->store->base, multipart->name, &object, call, err);

	if (status != SV_OK)
		return status;
	if (object.bytes != multipart->bytes ||
		(etag[0] != '\0' && strchr(object.etag, '-') != NULL && strcmp(object.etag, etag) != 0))
		return s3_exists(multipart->name, err);
	return SV_OK;
}

static SvStatus
send_complete(S3Multipart *multipart, SvSlice list, Completed *completed, const StoreCall *call, SvError *err)
{
	char		sha256[S3_SHA256_HEX_BYTES];
	char	   *query;
	bool		conditional = s3_is_conditional(multipart->store);
	S3Op		op = {
		.operation = STORE_PUT,.method = HTTP_POST,.name = multipart->name,.extra = {{"if-none-match", "*"}},
		.nextra = conditional ? 1 : 0,.body = &list,.nbody = 1,.payload_sha256 = sha256,.check = check_completed,
		.state = completed
	};
	SvStatus	status;

	if (!s3_sha256_hex(&list, 1, sha256) || asprintf(&query, "uploadId=%s", multipart->upload_id) < 0)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: completing object \"%s\"", multipart->name);
	op.query = query;
	status = s3_run(multipart->store, &op, call, err);
	free(query);
	if (status == SV_UNSUPPORTED && conditional && s3_give_up_conditional(multipart->store))
		return send_complete(multipart, list, completed, call, err);
	return status;
}

static SvStatus
complete(S3Multipart *multipart, const StoreCall *call, SvError *err)
{
	Completed	completed;
	char		etag[STORE_ETAG_BYTES] = "";
	SvBuffer	list;
	SvStatus	status;

	(void) expected_etag(multipart, etag);
	sv_buffer_init(&list, &sv_malloc_alloc);
	status = make_list(multipart, &list, err);
	if (status == SV_OK)
		status = send_complete(multipart, sv_buffer_slice(&list), &completed, call, err);
	sv_buffer_free(&list);
	/* The upload has gone, or the name is taken: perhaps by an earlier try whose answer was lost. */
	if (status == SV_NOT_FOUND || status == SV_EXISTS)
	{
		SvStatus	found = check_whole(multipart, etag, call, err);

		if (found == SV_NOT_FOUND)
			return sv_fail(err, SV_IO, "could not write object \"%s\": somebody aborted its upload", multipart->name);
		return found == SV_OK && etag[0] == '\0' ? s3_exists(multipart->name, err) : found;
	}
	if (status != SV_OK)
		return status;
	if (strchr(completed.etag, '-') == NULL)
		status = check_whole(multipart, etag, call, err);
	else if (etag[0] != '\0' && strcmp(completed.etag, etag) != 0)
		status = SV_EXISTS;
	if (status == SV_EXISTS || status == SV_NOT_FOUND)
		return sv_fail(err, SV_IO, "object \"%s\" is not what was uploaded (by its ETag or length)", multipart->name);
	return status;
}

static SvStatus
check_parts(const S3Multipart *multipart, SvError *err)
{
	for (const S3Part *part = multipart->first; part != NULL; part = part->next)
		if (part->op.status != SV_OK)
			return sv_fail(err, SV_IO, "could not write object \"%s\": somebody aborted its upload", multipart->name);
	return SV_OK;
}

SvStatus
s3_multipart_finish(S3Multipart *multipart, const StoreCall *call, SvError *err)
{
	SvStatus	status = s3_batch_finish(&multipart->batch, call, err);

	if (status == SV_OK)
		status = check_parts(multipart, err);
	if (status == SV_OK)
		status = complete(multipart, call, err);
	if (status == SV_OK)
		free_multipart(multipart);
	else
		s3_multipart_abort(multipart, call);
	return status;
}

/* -------------------------------------------------------------------------
 * Aborting
 * ------------------------------------------------------------------------- */

void
s3_multipart_abort(S3Multipart *multipart, const StoreCall *call)
{
	bool		cancelled = call != NULL && call->cancelled != NULL && call->cancelled(call->state);
	StoreCall	last = {0};
	char	   *query;
	SvError		unwanted;

	s3_batch_drop(&multipart->batch, call);
	if (call != NULL)
		last = *call;
	last.cancelled = NULL;
	last.timeout_ms = last.deadline_ms = cancelled ? ABORT_CANCELLED_MS : ABORT_MS;
	if (multipart->upload_id != NULL && asprintf(&query, "uploadId=%s", multipart->upload_id) >= 0)
	{
		S3Op		op = {.operation = STORE_REMOVE,.method = HTTP_DELETE,.name = multipart->name,.query = query};

		(void) s3_run(multipart->store, &op, &last, &unwanted);
		free(query);
	}
	free_multipart(multipart);
}

/* -------------------------------------------------------------------------
 * Putting
 * ------------------------------------------------------------------------- */

/* Where the next part begins among the caller's buffers. */
typedef struct Cut
{
	const SvSlice *parts;
	int			nparts;
	int			part;
	size_t		offset;
} Cut;

/* Slices of the next len bytes; NULL without memory. */
static SvSlice *
cut_next(Cut *cut, uint64_t len, int *nslices)
{
	SvSlice    *slices = malloc((size_t) (cut->nparts - cut->part + 1) * sizeof(SvSlice));

	*nslices = 0;
	while (slices != NULL && len > 0)
	{
		const SvSlice *from = &cut->parts[cut->part];
		size_t		step = from->len - cut->offset;

		if (step > len)
			step = (size_t) len;
		if (step > 0)
			slices[(*nslices)++] = sv_slice(from->data + cut->offset, step);
		len -= step;
		cut->offset += step;
		if (cut->offset == from->len)
		{
			cut->part++;
			cut->offset = 0;
		}
	}
	return slices;
}

SvStatus
s3_multipart_put(S3Store *store, const char *name, const SvSlice *parts, int nparts, uint64_t bytes,
				 const StoreCall *call, SvError *err)
{
	uint64_t	part_bytes = store->part_bytes;
	S3Multipart multipart;
	Cut			cut = {parts, nparts, 0, 0};
	SvStatus	status;

	if (part_bytes < bytes / (MAX_PARTS - 1))
		part_bytes = bytes / (MAX_PARTS - 1);
	status = s3_multipart_begin(&multipart, store, name, call, err);
	if (status != SV_OK)
		return status;
	for (uint64_t done = 0; done < bytes && status == SV_OK;)
	{
		uint64_t	len = bytes - done < part_bytes ? bytes - done : part_bytes;
		int			nslices;
		SvSlice    *slices = cut_next(&cut, len, &nslices);

		status = slices == NULL ? sv_fail(err, SV_NO_MEMORY, "out of memory: a part of object \"%s\"", name) :
			s3_multipart_add(&multipart, slices, nslices, NULL, err);
		done += len;
	}
	if (status == SV_OK)
		return s3_multipart_finish(&multipart, call, err);
	s3_multipart_abort(&multipart, call);
	return status;
}
