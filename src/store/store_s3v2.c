/*
 * store_s3v2.c
 *		The operations of a store by way of libs3.
 */
#include "store/store_s3v2.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store_s3v2_run.h"

/* How often a put is made again that the store confirmed and yet does not have. */
#define MAX_PUTS 3

/* One request can put so much. */
#define MAX_PUT_BYTES (UINT64_C(5) << 30)

#define MERGE_GAP ((size_t) 64 * 1024)

typedef struct S3V2Upload
{
	StoreUpload base;
	SvBuffer	bytes;
} S3V2Upload;

static S3V2Store *
store_of(ObjectStore *base)
{
	return (S3V2Store *) base;
}

/* A task with its key; names are at most STORE_MAX_NAME_BYTES, the prefix was checked. */
static S3V2Task
task_of(const S3V2Store *store, StoreOperation operation, const char *name)
{
	S3V2Task	task = {.operation = operation,.name = name};

	snprintf(task.key, sizeof(task.key), "%s%s", store->prefix, name);
	return task;
}

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

/* Something else that answers in the store's place says no ETag, and sends a page. */
static SvStatus
check_stranger(const S3V2Task *task, SvError *err)
{
	if (task->is_object)
		return SV_OK;
	(void) sv_fail(err, SV_IO, "could not read object \"%s\": the answer is not what S3 sends", task->name);
	sv_set_hint(err, "Check the endpoint: it seems to be no S3 server, or something answers in its place.");
	return SV_IO;
}

static SvStatus
v2_head(ObjectStore *base, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	S3V2Task	task = task_of(store_of(base), STORE_HEAD, name);
	SvStatus	status = s3v2_run(store_of(base), &task, 1, NULL, call, err);

	if (status != SV_OK || task.status != SV_OK)
		return status != SV_OK ? status : task.status;
	status = check_stranger(&task, err);
	if (status != SV_OK)
		return status;
	object->bytes = task.length;
	memcpy(object->etag, task.etag, sizeof(object->etag));
	return SV_OK;
}

/* A range was answered, but not all of it: is the object too short, or the answer? */
static SvStatus
explain_short(S3V2Store *store, const StoreRead *read, const StoreCall *call, SvError *err)
{
	StoreObject object;
	SvStatus	status = v2_head(&store->base, read->name, &object, call, err);

	if (status != SV_OK)
		return status;
	if (object.bytes < read->offset + read->len)
		return sv_fail(err, SV_CORRUPT, "object \"%s\" has %llu bytes, too few for %zu at offset %llu", read->name,
					   (unsigned long long) object.bytes, read->len, (unsigned long long) read->offset);
	return sv_fail(err, SV_IO, "the object store answered a request for %zu bytes of object \"%s\" with fewer",
				   read->len, read->name);
}

static SvStatus
v2_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed, const StoreCall *call, SvError *err)
{
	S3V2Store  *store = store_of(base);
	S3V2Task   *tasks = malloc((size_t) nreads * sizeof(S3V2Task));
	SvStatus	status;

	*failed = -1;
	if (tasks == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	for (int i = 0; i < nreads; i++)
	{
		tasks[i] = task_of(store, STORE_GET, reads[i].name);
		tasks[i].read = &reads[i];
		tasks[i].bytes = reads[i].len;
	}
	status = s3v2_run(store, tasks, nreads, failed, call, err);
	for (int i = 0; i < nreads && status == SV_OK; i++)
	{
		if (tasks[i].short_range)
		{
			*failed = i;
			status = explain_short(store, &reads[i], call, err);
		}
	}
	free(tasks);
	return status;
}

static SvStatus
v2_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content, StoreObject *object,
			 const StoreCall *call, SvError *err)
{
	S3V2Task	task = task_of(store_of(base), STORE_GET, name);
	SvStatus	status;

	task.content = content;
	task.max_bytes = max_bytes;
	status = s3v2_run(store_of(base), &task, 1, NULL, call, err);
	if (status == SV_OK)
		status = check_stranger(&task, err);
	if (status != SV_OK)
		return status;
	object->bytes = task.received;
	memcpy(object->etag, task.etag, sizeof(object->etag));
	return SV_OK;
}

/* -------------------------------------------------------------------------
 * Putting
 * ------------------------------------------------------------------------- */

/*
 * The MD5 of the parts: base64 as Content-MD5 has it, with which the store checks
 * what it got, and hex as in the ETag of what a plain PUT made.  "" if there is
 * no MD5 to be had.
 */
static void
make_md5(const SvSlice *parts, int nparts, char base64[32], char hex[33])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned	len = 0;
	bool		good = context != NULL && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1;

	for (int i = 0; i < nparts && good; i++)
		good = EVP_DigestUpdate(context, parts[i].data, parts[i].len) == 1;
	good = good && EVP_DigestFinal_ex(context, digest, &len) == 1 && len == 16;
	EVP_MD_CTX_free(context);
	base64[0] = hex[0] = '\0';
	if (!good)
		return;
	EVP_EncodeBlock((unsigned char *) base64, digest, 16);
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/*
 * libs3 says that it was put: look.  SV_NOT_FOUND if what is there is something
 * else, or nothing.  An ETag that has not the form of an MD5 is that of an
 * encrypted object.
 */
static SvStatus
verify_put(S3V2Store *store, const S3V2Task *put, const char *md5, const StoreCall *call, SvError *err)
{
	StoreObject object = {0};
	SvStatus	status = v2_head(&store->base, put->name, &object, call, err);
	bool		is_md5 = strlen(object.etag) == 32 && strspn(object.etag, "0123456789abcdef") == 32;

	if (status == SV_OK && (object.bytes != put->bytes || (is_md5 && md5[0] != '\0' && strcmp(object.etag, md5) != 0)))
		status = SV_NOT_FOUND;
	return status;
}

static SvStatus
put_and_verify(S3V2Store *store, S3V2Task *task, const char *md5, const StoreCall *call, SvError *err)
{
	for (int tries = 0; tries < MAX_PUTS; tries++)
	{
		SvStatus	status = s3v2_run(store, task, 1, NULL, call, err);

		if (status == SV_NOT_FOUND)
			break;
		if (status == SV_OK)
			status = verify_put(store, task, md5, call, err);
		if (status != SV_NOT_FOUND)
			return status;
	}
	return sv_fail(err, SV_IO, "the object store confirmed that it has object \"%s\", but has something else",
				   task->name);
}

static SvStatus
v2_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
				 const StoreCall *call, SvError *err)
{
	S3V2Task	task = task_of(store_of(base), STORE_PUT, name);
	StoreObject object;
	char		md5[32];
	char		hex[33];
	SvStatus	status = v2_head(base, name, &object, call, err);

	if (status == SV_OK)
		return sv_fail(err, SV_EXISTS, "object \"%s\" exists already", name);
	if (status != SV_NOT_FOUND)
		return status;
	task.parts = parts;
	task.nparts = nparts;
	for (int i = 0; i < nparts; i++)
		task.bytes += parts[i].len;
	if (task.bytes > MAX_PUT_BYTES)
		return sv_fail(err, SV_UNSUPPORTED, "object \"%s\" is larger than signature v2 allows, 5 GB", name);
	make_md5(parts, nparts, md5, hex);
	task.md5 = md5[0] != '\0' ? md5 : NULL;
	return put_and_verify(store_of(base), &task, hex, call, err);
}

static SvStatus
v2_upload_begin(ObjectStore *base, const char *name, StoreUpload **result, const StoreCall *call, SvError *err)
{
	S3V2Upload *upload = calloc(1, sizeof(*upload));

	(void) base;
	(void) name;
	(void) call;
	if (upload == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	sv_buffer_init(&upload->bytes, &sv_malloc_alloc);
	*result = &upload->base;
	return SV_OK;
}

static SvStatus
v2_upload_append(StoreUpload *base, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	(void) call;
	return sv_buffer_append(&((S3V2Upload *) base)->bytes, data, len, err);
}

static void
v2_upload_abort(StoreUpload *base, const StoreCall *call)
{
	S3V2Upload *upload = (S3V2Upload *) base;

	(void) call;
	sv_buffer_free(&upload->bytes);
	free(upload);
}

static SvStatus
v2_upload_finish(StoreUpload *base, const StoreCall *call, SvError *err)
{
	SvSlice		bytes = sv_buffer_slice(&((S3V2Upload *) base)->bytes);
	SvStatus	status = v2_put_if_absent(base->store, base->name, &bytes, 1, call, err);

	v2_upload_abort(base, call);
	return status;
}

/* -------------------------------------------------------------------------
 * Removing, listing
 * ------------------------------------------------------------------------- */

static SvStatus
v2_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	S3V2Task	task = task_of(store_of(base), STORE_REMOVE, name);
	SvStatus	status = s3v2_run(store_of(base), &task, 1, NULL, call, err);

	return status == SV_NOT_FOUND ? SV_OK : status;
}

/* Tells the callback of a page; false if it wants no more, or the page is no good. */
static bool
tell_page(const S3V2Store *store, const S3V2Task *task, const S3V2Page *page, StoreListCallback callback,
		  void *state, SvStatus *status, SvError *err)
{
	size_t		prefix = strlen(store->prefix);
	const char *before = task->after;

	for (int i = 0; i < page->nobjects; i++)
	{
		const char *key = (const char *) page->names.data + page->objects[i].name;
		StoreListed listed = {NULL, page->objects[i].bytes, page->objects[i].modified_s};

		if (strncmp(key, task->key, strlen(task->key)) != 0 || strcmp(key, before) <= 0 ||
			strlen(key) >= S3V2_KEY_BYTES)
		{
			*status = sv_fail(err, SV_IO, "the object store listed what was not asked for, below \"%s\"", task->name);
			return false;
		}
		listed.name = key + prefix;
		if (!callback(state, &listed))
			return false;
		before = key;
	}
	return true;
}

/*
 * A page that ended early looks like the last one, since libs3 does not notice;
 * so only an empty page is.
 */
static SvStatus
v2_list(ObjectStore *base, const char *prefix, const char *after, StoreListCallback callback, void *state,
		const StoreCall *call, SvError *err)
{
	S3V2Store  *store = store_of(base);
	S3V2Page	page = {0};
	S3V2Task	task = task_of(store, STORE_LIST, prefix);
	SvStatus	status;
	bool		more;

	sv_buffer_init(&page.names, &sv_malloc_alloc);
	task.page = &page;
	if (after[0] != '\0')
		snprintf(task.after, sizeof(task.after), "%s%s", store->prefix, after);
	do
	{
		status = s3v2_run(store, &task, 1, NULL, call, err);
		if (status == SV_NOT_FOUND)
			status = sv_fail(err, SV_IO, "the object store has no listing of \"%s\"", prefix);
		more = status == SV_OK && page.nobjects > 0 && tell_page(store, &task, &page, callback, state, &status, err);
		if (more)
			strcpy(task.after, (const char *) page.names.data + page.objects[page.nobjects - 1].name);
		task.tries = 0;
	} while (more);
	sv_buffer_free(&page.names);
	free(page.objects);
	return status;
}

/* -------------------------------------------------------------------------
 * Opening, closing
 * ------------------------------------------------------------------------- */

static void
free_store(S3V2Store *store)
{
	free(store->host);
	free(store->bucket_name);
	free(store->prefix);
	free(store);
}

static void
v2_close(ObjectStore *base)
{
	S3V2Store  *store = store_of(base);

	s3v2_drop_context(store);
	s3_credentials_close(store->credentials);
	free_store(store);
}

static const ObjectStoreOps v2_ops = {
	.put_if_absent = v2_put_if_absent,
	.upload_begin = v2_upload_begin,
	.upload_append = v2_upload_append,
	.upload_finish = v2_upload_finish,
	.upload_abort = v2_upload_abort,
	.get = v2_get,
	.get_small = v2_get_small,
	.head = v2_head,
	.remove = v2_remove,
	.list = v2_list,
	.close = v2_close,
};

static SvStatus
check_options(const StoreS3V2Options *options, SvError *err)
{
	SvStatus	status;

	if (strncmp(options->endpoint, "https://", 8) == 0)
	{
		status = sv_fail(err, SV_UNSUPPORTED, "signature v2 cannot be used with https");
		sv_set_detail(err, "libs3 2.0 does not look at a server's certificate.");
		sv_set_hint(err, "Use signature v4, or an http:// endpoint in a network that you trust.");
		return status;
	}
	if (strncmp(options->endpoint, "http://", 7) != 0)
		return sv_fail(err, SV_INVALID, "endpoint \"%s\" is no http:// address", options->endpoint);
	if (strlen(options->prefix) + 1 + STORE_MAX_NAME_BYTES >= S3V2_KEY_BYTES)
		return sv_fail(err, SV_INVALID, "prefix \"%.64s...\" is too long", options->prefix);
	return SV_OK;
}

static bool
copy_options(S3V2Store *store, const StoreS3V2Options *options)
{
	size_t		len = strlen(options->prefix);

	store->host = strdup(options->endpoint + 7);
	store->bucket_name = strdup(options->bucket);
	store->prefix = malloc(len + 2);
	if (store->host == NULL || store->bucket_name == NULL || store->prefix == NULL)
		return false;
	snprintf(store->prefix, len + 2, "%s%s", options->prefix, len > 0 ? "/" : "");
	store->bucket.hostName = store->host;
	store->bucket.bucketName = store->bucket_name;
	store->bucket.protocol = S3ProtocolHTTP;
	store->bucket.uriStyle = options->virtual_host ? S3UriStyleVirtualHost : S3UriStylePath;
	store->io_concurrency = options->io_concurrency;
	store->timeout_ms = options->timeout_ms;
	store->deadline_ms = options->deadline_ms;
	store->reserve_fd = options->reserve_fd;
	store->release_fd = options->release_fd;
	store->fd_state = options->fd_state;
	return true;
}

SvStatus
store_s3v2_open(ObjectStore **result, const StoreS3V2Options *options, SvError *err)
{
	const S3V2Library *library;
	S3V2Store  *store;
	SvStatus	status = check_options(options, err);

	*result = NULL;
	if (status == SV_OK)
		status = s3v2_library(&library, err);
	if (status != SV_OK)
		return status;
	store = calloc(1, sizeof(*store));
	if (store == NULL || !copy_options(store, options))
	{
		if (store != NULL)
			free_store(store);
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	}
	store->base = (ObjectStore) {&v2_ops, STORE_IS_REMOTE, MERGE_GAP, NULL};
	store->library = library;
	store->credentials = options->credentials;
	*result = &store->base;
	return SV_OK;
}
