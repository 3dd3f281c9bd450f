/*
 * store_s3v2_task.c
 *		The callbacks of libs3, and what an answer means.
 *
 * libs3 is C that calls back: nothing here raises or longjmps, and a callback
 * only writes down what came.
 */
#include "store/store_s3v2_task.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/store_merge.h"

/* -------------------------------------------------------------------------
 * What libs3 calls
 * ------------------------------------------------------------------------- */

static S3Status
on_properties(const S3ResponseProperties *properties, void *state)
{
	S3V2Task   *task = state;
	const char *etag = properties->eTag != NULL ? properties->eTag : "";
	size_t		len = strlen(etag);

	task->length = properties->contentLength;

	/* libs3 knows the header as "ETag" only, and there are gateways that write "Etag". */
	task->is_object = etag[0] != '\0' ||
		(properties->contentType != NULL && strstr(properties->contentType, "octet-stream") != NULL);
	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"')
	{
		etag++;
		len -= 2;
	}
	if (len < sizeof(task->etag))
	{
		memcpy(task->etag, etag, len);
		task->etag[len] = '\0';
	}
	return S3StatusOK;
}

static void
on_complete(S3Status status, const S3ErrorDetails *details, void *state)
{
	S3V2Task   *task = state;
	const char *message = details != NULL ? details->message : NULL;
	const char *request_id = NULL;

	task->answer = status;
	task->phase = S3V2_ANSWERED;
	for (int i = 0; details != NULL && i < details->extraDetailsCount; i++)
	{
		if (strcmp(details->extraDetails[i].name, "RequestId") == 0)
			request_id = details->extraDetails[i].value;
	}
	task->detail[0] = '\0';
	if ((message != NULL && message[0] != '\0') || request_id != NULL)
		snprintf(task->detail, sizeof(task->detail), "The store said: %.200s (request %.100s).",
				 message != NULL && message[0] != '\0' ? message : task->store->library->get_status_name(status),
				 request_id != NULL ? request_id : "unknown");
}

static S3Status
on_data(int len, const char *data, void *state)
{
	S3V2Task   *task = state;
	uint64_t	room = task->read != NULL ? task->bytes - task->received : task->max_bytes - task->received;

	task->moved_us = store_now_us();
	if (len <= 0)
		return S3StatusOK;
	if ((uint64_t) len > room)
	{
		task->overflow = true;
		return S3StatusAbortedByCallback;
	}
	if (task->read != NULL)
		store_scatter(task->read, task->read->offset + task->received, data, (size_t) len);
	else if (sv_buffer_append(task->content, data, (size_t) len, NULL) != SV_OK)
		return S3StatusOutOfMemory;
	task->received += (uint64_t) len;
	return S3StatusOK;
}

static int
on_room(int size, char *buffer, void *state)
{
	S3V2Task   *task = state;
	int			used = 0;

	task->moved_us = store_now_us();
	while (used < size && task->part < task->nparts)
	{
		const SvSlice *part = &task->parts[task->part];
		size_t		len = part->len - task->part_offset;

		if (len > (size_t) (size - used))
			len = (size_t) (size - used);
		if (len > 0)
			memcpy(buffer + used, part->data + task->part_offset, len);
		used += (int) len;
		task->part_offset += len;
		if (task->part_offset == part->len)
		{
			task->part++;
			task->part_offset = 0;
		}
	}
	return used;
}

static bool
page_append(S3V2Page *page, const S3ListBucketContent *content)
{
	S3V2Listed	listed = {page->names.len, content->size, content->lastModified > 0 ? content->lastModified : 0};

	if (page->nobjects == page->capacity)
	{
		int			capacity = page->capacity * 2 + 100;
		S3V2Listed *grown = realloc(page->objects, (size_t) capacity * sizeof(S3V2Listed));

		if (grown == NULL)
			return false;
		page->objects = grown;
		page->capacity = capacity;
	}
	if (sv_buffer_append(&page->names, content->key, strlen(content->key) + 1, NULL) != SV_OK)
		return false;
	page->objects[page->nobjects++] = listed;
	return true;
}

static S3Status
on_listed(int is_truncated, const char *next_marker, int n, const S3ListBucketContent *contents,
		  int nprefixes, const char **prefixes, void *state)
{
	S3V2Task   *task = state;

	(void) is_truncated;
	(void) next_marker;
	(void) nprefixes;
	(void) prefixes;
	for (int i = 0; i < n; i++)
	{
		if (!page_append(task->page, &contents[i]))
			return S3StatusOutOfMemory;
	}
	return S3StatusOK;
}

/* -------------------------------------------------------------------------
 * One try
 * ------------------------------------------------------------------------- */

void
s3v2_task_begin(S3V2Task *task)
{
	S3ResponseHandler response = {on_properties, on_complete};
	S3GetObjectHandler get = {response, on_data};
	S3PutObjectHandler put = {response, on_room};
	S3ListBucketHandler list = {response, on_listed};
	S3PutProperties properties = {.md5 = task->md5,.expires = -1,.cannedAcl = S3CannedAclPrivate};
	S3V2Store  *store = task->store;
	const S3V2Library *lib = store->library;

	task->received = task->length = 0;
	task->etag[0] = '\0';
	task->is_object = false;
	task->overflow = task->short_range = false;
	task->part = 0;
	task->part_offset = 0;
	if (task->content != NULL)
		task->content->len = task->content_before;
	if (task->page != NULL)
	{
		task->page->nobjects = 0;
		task->page->names.len = 0;
	}
	task->started_us = task->moved_us = store_now_us();
	task->tries++;
	/* before the call: it may be answered in it */
	task->phase = S3V2_RUNNING;
	switch (task->operation)
	{
		case STORE_GET:
			lib->get_object(&store->bucket, task->key, NULL, task->read != NULL ? task->read->offset : 0,
							task->bytes, store->context, &get, task);
			break;
		case STORE_PUT:
			lib->put_object(&store->bucket, task->key, task->bytes, &properties, store->context, &put, task);
			break;
		case STORE_HEAD:
			lib->head_object(&store->bucket, task->key, store->context, &response, task);
			break;
		case STORE_REMOVE:
			lib->delete_object(&store->bucket, task->key, store->context, &response, task);
			break;
		case STORE_LIST:
			lib->list_bucket(&store->bucket, task->key, task->after[0] != '\0' ? task->after : NULL, NULL, 1000,
							 store->context, &list, task);
			break;
	}
}

/* -------------------------------------------------------------------------
 * What an answer means
 * ------------------------------------------------------------------------- */

/* libs3 calls an answer that ended early a success. */
static S3V2Verdict
judge_body(S3V2Task *task)
{
	if (task->operation != STORE_GET)
		return S3V2_VERDICT_GOOD;
	if (task->received < task->length || (task->read == NULL && task->received != task->length))
		return S3V2_VERDICT_AGAIN;
	task->short_range = task->read != NULL && task->received < task->bytes;
	return S3V2_VERDICT_GOOD;
}

S3V2Verdict
s3v2_task_judge(S3V2Task *task)
{
	if (task->overflow)
		return S3V2_VERDICT_FAILED;
	switch (task->answer)
	{
		case S3StatusOK:
			return judge_body(task);
		case S3StatusErrorInvalidRange:
			task->short_range = task->operation == STORE_GET;
			return task->short_range ? S3V2_VERDICT_GOOD : S3V2_VERDICT_FAILED;
		case S3StatusInterrupted:
		case S3StatusInternalError:
		case S3StatusNameLookupError:
		case S3StatusFailedToConnect:
		case S3StatusConnectionFailed:
		case S3StatusXmlParseFailure:
		case S3StatusErrorInternalError:
		case S3StatusErrorIncompleteBody:
		case S3StatusErrorBadDigest:
		case S3StatusErrorOperationAborted:
		case S3StatusErrorRequestTimeout:
		case S3StatusErrorSlowDown:
		case S3StatusErrorUnknown:
		case S3StatusHttpErrorConflict:
		case S3StatusHttpErrorUnknown:
			return S3V2_VERDICT_AGAIN;
		default:
			return S3V2_VERDICT_FAILED;
	}
}

static bool
is_missing(const S3V2Task *task)
{
	if (task->answer == S3StatusErrorNoSuchKey)
		return true;
	return task->answer == S3StatusHttpErrorNotFound;
}

SvStatus
s3v2_task_fail(const S3V2Task *task, SvError *err)
{
	const char *words = task->store->library->get_status_name(task->answer);
	const char *code = strncmp(words, "Error", 5) == 0 ? words + 5 :
		strncmp(words, "HttpError", 9) == 0 ? words + 9 : words;
	SvStatus	status = SV_IO;
	const char *hint = NULL;

	if (is_missing(task))
		return SV_NOT_FOUND;
	if (task->overflow && task->read == NULL && !task->is_object)
		return sv_fail(err, SV_IO, "could not read object \"%s\": the answer is not what S3 sends", task->name);
	if (task->overflow)
		return sv_fail(err, task->read == NULL ? SV_CORRUPT : SV_IO,
					   task->read == NULL ? "object \"%s\" has more than %llu bytes" :
					   "the object store answered a request for a part of object \"%s\" with more than its %llu bytes",
					   task->name, (unsigned long long) (task->read == NULL ? task->max_bytes : task->bytes));
	switch (task->answer)
	{
		case S3StatusErrorNoSuchBucket:
			hint = "Create the bucket, or correct the option url of the server.";
			break;
		case S3StatusHttpErrorForbidden:
			/* an answer to HEAD cannot say why */
			status = SV_DENIED;
			hint = "The keys of the user mapping must be right, and be allowed to read, write, remove and list the"
				" objects of this bucket; the store must know signature v2; the clock of this machine must be right.";
			break;
		case S3StatusErrorAccessDenied:
		case S3StatusErrorAccountProblem:
			status = SV_DENIED;
			hint = "The keys must be allowed to read, write, remove and list the objects of this bucket.";
			break;
		case S3StatusErrorInvalidAccessKeyId:
		case S3StatusErrorSignatureDoesNotMatch:
			status = SV_DENIED;
			hint = "Correct access_key_id and secret_access_key of the user mapping; the store must know"
				" signature v2.";
			break;
		case S3StatusErrorRequestTimeTooSkewed:
			status = SV_DENIED;
			hint = "Set the clock of this machine.";
			break;
		case S3StatusNameLookupError:
		case S3StatusFailedToConnect:
			hint = "Look whether the store runs, and at the option endpoint of the server.";
			break;
		case S3StatusOutOfMemory:
			return sv_fail(err, SV_NO_MEMORY, "out of memory");
		default:
			break;
	}
	if (task->answer == S3StatusOK)
		sv_fail(err, status, "an answer of the object store for \"%s\" ended early", task->name);
	else if (task->answer == S3StatusInterrupted)
		sv_fail(err, status, "the object store did not answer a request for \"%s\" in time", task->name);
	else
		sv_fail(err, status, "request to the object store for \"%s\" failed: %s", task->name, code);
	sv_set_detail(err, "%s", task->detail);
	if (hint != NULL)
		sv_set_hint(err, "%s", hint);
	return status;
}
