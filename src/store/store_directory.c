/*
 * store_directory.c
 *		The directory driver: reading, listing, removing.
 *
 * A handle belongs to the process that opened it.  A child of fork() must not
 * use it, nor close it: it shares file offsets with no one, but it would
 * fsync and count on behalf of its parent.
 *
 * A path of this driver cannot be the name of an object and a directory of
 * others at once: with an object "a", a put of "a/b" is SV_IO.
 */
#include "store/store_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store_directory_path.h"
#include "store/store_directory_put.h"
#include "store/store_file.h"
#include "store/store_walk.h"

/* Read between two looks at the cancel callback. */
#define STEP_BYTES ((size_t) 1024 * 1024)

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

/* Opens the file at store->path, making room if too many files are open. */
static SvStatus
open_object(DirectoryStore *store, int *fd, SvError *err)
{
	struct stat st;

	do
		*fd = open(store->path, O_RDONLY | O_CLOEXEC);
	while (*fd < 0 && (errno == EINTR ||
					   ((errno == EMFILE || errno == ENFILE) &&
						store_descriptors_close_oldest(store->descriptors))));
	if (*fd < 0)
		return store_directory_is_missing(errno) ? store_directory_missing(store, err)
			: store_file_fail(err, errno, "open file", store->path);
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
		return SV_OK;
	close(*fd);
	return SV_NOT_FOUND;
}

/* A descriptor for the object; it stays the set's. */
static SvStatus
find_object(DirectoryStore *store, const char *name, int *fd, SvError *err)
{
	SvStatus	status;

	*fd = store_descriptors_find(store->descriptors, name);
	if (*fd >= 0)
		return SV_OK;
	store_directory_set_path(store, name);
	status = open_object(store, fd, err);
	if (status == SV_OK && !store_descriptors_add(store->descriptors, name, *fd))
	{
		close(*fd);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: opening object \"%s\"", name);
	}
	return status;
}

static SvStatus
read_range(int fd, const char *name, const StoreRange *range, const StoreCall *call, SvError *err)
{
	size_t		done = 0;

	while (done < range->len)
	{
		size_t		step = range->len - done < STEP_BYTES ? range->len - done : STEP_BYTES;
		uint64_t	offset = range->offset + done;
		SvStatus	status = store_check_cancel(call, name, err);
		ssize_t		got;

		if (status != SV_OK)
			return status;
		got = pread(fd, (uint8_t *) range->dst + done, step, (off_t) offset);
		if (got > 0)
			done += (size_t) got;
		else if (got == 0)
			return sv_fail(err, SV_CORRUPT,
						   "object \"%s\" has no byte at offset %" PRIu64 ", in a range of %zu bytes",
						   name, offset, range->len);
		else if (errno != EINTR)
			return store_file_fail(err, errno, "read object", name);
	}
	return SV_OK;
}

static SvStatus
get_one(DirectoryStore *store, const StoreRead *read, const StoreCall *call, SvError *err)
{
	uint64_t	started_us = store_now_us();
	size_t		bytes = 0;
	int			fd;
	SvStatus	status = find_object(store, read->name, &fd, err);

	for (int i = 0; i < read->nranges && status == SV_OK; i++)
	{
		status = read_range(fd, read->name, read->ranges[i], call, err);
		bytes += status == SV_OK ? read->ranges[i]->len : 0;
	}
	/* A stale handle of a network file system heals by opening the file anew. */
	if (status == SV_IO)
		store_descriptors_forget(store->descriptors, read->name);
	store_account(call, STORE_GET, started_us, status, bytes, 0);
	return status;
}

static SvStatus
directory_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
			  const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	for (int i = 0; i < nreads && status == SV_OK; i++)
	{
		status = get_one((DirectoryStore *) base, &reads[i], call, err);
		*failed = i;
	}
	return status;
}

/* The set of open files may hold one that put_if_match has replaced: so this opens its own. */
static SvStatus
get_whole(DirectoryStore *store, const char *name, size_t max_bytes, SvBuffer *content,
		  StoreObject *object, const StoreCall *call, SvError *err)
{
	StoreRange	range = {.name = name};
	struct stat st;
	SvStatus	status;
	int			fd;

	store_directory_set_path(store, name);
	status = open_object(store, &fd, err);
	if (status != SV_OK)
		return status;
	if (fstat(fd, &st) != 0)
		status = store_file_fail(err, errno, "stat file", store->path);
	else if ((uint64_t) st.st_size > max_bytes)
		status = sv_fail(err, SV_CORRUPT, "object \"%s\" has %lld bytes, more than %zu", name,
						 (long long) st.st_size, max_bytes);
	else
		status = sv_buffer_reserve(content, (size_t) st.st_size, err);
	if (status == SV_OK && st.st_size > 0)
	{
		range.len = (size_t) st.st_size;
		range.dst = content->data + content->len;
		status = read_range(fd, name, &range, call, err);
	}
	close(fd);
	if (status != SV_OK)
		return status;
	content->len += (size_t) st.st_size;
	object->bytes = (uint64_t) st.st_size;
	store_directory_etag(&st, object->etag);
	return SV_OK;
}

static SvStatus
directory_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content,
					StoreObject *object, const StoreCall *call, SvError *err)
{
	uint64_t	started_us = store_now_us();
	SvStatus	status = get_whole((DirectoryStore *) base, name, max_bytes, content, object, call, err);

	store_account(call, STORE_GET, started_us, status, status == SV_OK ? object->bytes : 0, 0);
	return status;
}

static SvStatus
look_at(DirectoryStore *store, const char *name, StoreObject *object, SvError *err)
{
	struct stat st;

	store_directory_set_path(store, name);
	if (stat(store->path, &st) != 0)
		return store_directory_is_missing(errno) ? store_directory_missing(store, err)
			: store_file_fail(err, errno, "stat file", store->path);
	if (!S_ISREG(st.st_mode))
		return SV_NOT_FOUND;
	object->bytes = (uint64_t) st.st_size;
	store_directory_etag(&st, object->etag);
	return SV_OK;
}

static SvStatus
directory_head(ObjectStore *base, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	uint64_t	started_us = store_now_us();
	SvStatus	status = look_at((DirectoryStore *) base, name, object, err);

	store_account(call, STORE_HEAD, started_us, status, 0, 0);
	return status;
}

/* -------------------------------------------------------------------------
 * The rest
 * ------------------------------------------------------------------------- */

/*
 * Not fsynced: an object that a crash brings back is an orphan for garbage
 * collection.
 */
static SvStatus
remove_object(DirectoryStore *store, const char *name, SvError *err)
{
	SvStatus	status;

	store_descriptors_forget(store->descriptors, name);
	store_directory_set_path(store, name);
	if (unlink(store->path) == 0 || errno == EISDIR)
		return SV_OK;
	if (!store_directory_is_missing(errno))
		return store_file_fail(err, errno, "remove file", store->path);
	status = store_directory_missing(store, err);
	return status == SV_NOT_FOUND ? SV_OK : status;
}

static SvStatus
directory_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	uint64_t	started_us = store_now_us();
	SvStatus	status = remove_object((DirectoryStore *) base, name, err);

	store_account(call, STORE_REMOVE, started_us, status, 0, 0);
	return status;
}

static SvStatus
directory_list(ObjectStore *base, const char *prefix, const char *after, StoreListCallback callback,
			   void *state, const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	uint64_t	started_us = store_now_us();
	SvStatus	status = store_walk(store->root, STORE_WALK_OBJECTS, prefix, after, callback, state, call, err);

	if (status == SV_NOT_FOUND)
	{
		status = store_directory_missing(store, err);
		if (status == SV_NOT_FOUND)
			status = SV_OK;
	}
	store_account(call, STORE_LIST, started_us, status, 0, 0);
	return status;
}

typedef struct Sweep
{
	DirectoryStore *store;
	int64_t		before_s;		/* what was written to later may have a writer */
	int			left;
	SvStatus	status;
	SvError    *err;
} Sweep;

static bool
sweep_one(void *state, const StoreListed *file)
{
	Sweep	   *sweep = state;

	if (file->modified_s > sweep->before_s)
	{
		sweep->left++;
		return true;
	}
	store_directory_set_path(sweep->store, file->name);
	/* What we may not remove (it is another user's) is no reason to leave the rest; nor is it ours to wait for. */
	if (unlink(sweep->store->path) != 0 && !store_directory_is_missing(errno) &&
		sv_status_of_errno(errno) != SV_DENIED)
		sweep->status = store_file_fail(sweep->err, errno, "remove file", sweep->store->path);
	return sweep->status == SV_OK;
}

static SvStatus
directory_sweep(ObjectStore *base, const char *prefix, int min_age_s, int *left, const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	uint64_t	started_us = store_now_us();
	Sweep		sweep = {.store = store,.before_s = (int64_t) time(NULL) - min_age_s,.status = SV_OK,.err = err};
	SvStatus	status = store_walk(store->root, STORE_WALK_TEMPORARY, prefix, "", sweep_one, &sweep, call, err);

	if (status == SV_OK)
		status = sweep.status;
	else if (status == SV_NOT_FOUND && (status = store_directory_missing(store, err)) == SV_NOT_FOUND)
		status = SV_OK;
	*left = sweep.left;
	store_account(call, STORE_LIST, started_us, status, 0, 0);
	return status;
}

static void
directory_close(ObjectStore *base)
{
	DirectoryStore *store = (DirectoryStore *) base;

	if (store->descriptors != NULL)
		store_descriptors_free(store->descriptors);
	free(store->root);
	free(store->path);
	free(store->temporary);
	free(store->durable);
	free(store);
}

static const ObjectStoreOps directory_ops = {
	.put_if_absent = store_directory_put_if_absent,
	.put_if_match = store_directory_put_if_match,
	.upload_begin = store_directory_upload_begin,
	.upload_append = store_directory_upload_append,
	.upload_finish = store_directory_upload_finish,
	.upload_abort = store_directory_upload_abort,
	.get = directory_get,
	.get_small = directory_get_small,
	.head = directory_head,
	.remove = directory_remove,
	.list = directory_list,
	.sweep = directory_sweep,
	.close = directory_close
};

SvStatus
store_directory_open(ObjectStore **store, const StoreDirectoryOptions *options, SvError *err)
{
	size_t		root_len = strlen(options->path);
	DirectoryStore *opened;

	*store = NULL;
	while (root_len > 0 && options->path[root_len - 1] == '/')
		root_len--;
	if (root_len == 0)
		return sv_fail(err, SV_INVALID, "\"%s\" cannot be a store directory", options->path);
	if (options->max_open_files < 1)
		return sv_fail(err, SV_INVALID, "store directory \"%s\" cannot be read with %d open files",
					   options->path, options->max_open_files);

	opened = calloc(1, sizeof(DirectoryStore));
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: store directory \"%s\"", options->path);
	opened->base.ops = &directory_ops;
	opened->base.capabilities = STORE_CAN_PUT_IF_ABSENT | STORE_CAN_PUT_IF_MATCH;
	opened->create_root = options->create_root;
	opened->root_len = root_len;
	opened->path_room = root_len + 1 + STORE_MAX_NAME_BYTES + STORE_TEMPORARY_BYTES;
	opened->descriptors = store_descriptors_create(options->max_open_files);
	opened->root = strndup(options->path, root_len);
	opened->path = malloc(opened->path_room);
	opened->temporary = malloc(opened->path_room);
	opened->durable = calloc(1, opened->path_room);
	if (opened->descriptors == NULL || opened->root == NULL || opened->path == NULL ||
		opened->temporary == NULL || opened->durable == NULL)
	{
		directory_close(&opened->base);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: store directory \"%s\"", options->path);
	}
	*store = &opened->base;
	return SV_OK;
}
