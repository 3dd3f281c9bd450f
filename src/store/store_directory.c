/*
 * store_directory.c
 *		The directory driver.
 *
 * A temporary file is called "~<pid>.<counter>": '~' cannot occur in the name
 * of an object, and O_EXCL settles whose it is, also between machines that
 * share the directory.  Temporary files that a crash leaves are never read.
 *
 * A directory that another process has made a moment ago may not be durable
 * yet.  So the first put of a handle into a directory fsyncs all directories
 * above it, made by this process or not.
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
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_descriptors.h"
#include "store/store_driver.h"
#include "store/store_file.h"
#include "store/store_walk.h"

/* Read or written between two looks at the cancel callback. */
#define STEP_BYTES ((size_t) 1024 * 1024)
#define TEMPORARY_NAME_BYTES 64

typedef struct DirectoryStore
{
	ObjectStore base;
	bool		create_root;
	StoreDescriptors *descriptors;
	uint64_t	temporary_counter;
	size_t		root_len;
	char	   *root;
	char	   *path;			/* root, '/', an object's name */
	char	   *temporary;		/* root, '/', the temporary file beside it */
	char	   *durable;		/* the directory last found durable, or "" */
	size_t		path_room;		/* of each of the three */
} DirectoryStore;

static void
set_path(DirectoryStore *store, const char *name)
{
	snprintf(store->path, store->path_room, "%s/%s", store->root, name);
}

static SvStatus
root_missing(const DirectoryStore *store, SvError *err)
{
	return sv_fail(err, SV_IO, "store directory \"%s\" does not exist", store->root);
}

/*
 * What to say when the file system knows nothing of an object: a root that is
 * not there says nothing about its objects, it may be an unmounted volume.
 */
static SvStatus
object_missing(DirectoryStore *store, SvError *err)
{
	struct stat st;

	if (stat(store->root, &st) == 0)
		return SV_NOT_FOUND;
	if (errno != ENOENT)
		return store_file_fail(err, errno, "stat store directory", store->root);
	return store->create_root ? SV_NOT_FOUND : root_missing(store, err);
}

/* ENOTDIR: a part before the last names an object. */
static bool
is_missing(int os_errno)
{
	return os_errno == ENOENT || os_errno == ENOTDIR;
}

/* -------------------------------------------------------------------------
 * Directories
 * ------------------------------------------------------------------------- */

/*
 * Makes the directory that store->path lies in, and those above it up to the
 * root, durable.  Directories above the root are touched only if it is missing
 * and to be made.
 */
static SvStatus
prepare_directory(DirectoryStore *store, SvError *err)
{
	char	   *path = store->path;
	char	   *from = path + store->root_len + 1;
	SvStatus	status = SV_OK;
	struct stat st;

	if (stat(store->root, &st) != 0)
	{
		if (errno != ENOENT)
			return store_file_fail(err, errno, "stat store directory", store->root);
		if (!store->create_root)
			return root_missing(store, err);
		from = path + 1;		/* not path: the slash that makes a path absolute ends no part */
	}
	else if (store->create_root)
		from = path + store->root_len;	/* another process may have made it just now */
	for (char *slash = strchr(from, '/'); slash != NULL && status == SV_OK;
		 slash = strchr(slash + 1, '/'))
	{
		*slash = '\0';
		status = store_file_make_directory(path, err);
		*slash = '/';
	}
	return status;
}

/* -------------------------------------------------------------------------
 * Putting
 * ------------------------------------------------------------------------- */

/* Creates and opens the temporary file beside store->path; errno in *os_errno on -1. */
static int
create_temporary(DirectoryStore *store, int *os_errno)
{
	size_t		dir_len = (size_t) (strrchr(store->path, '/') - store->path);
	int			fd;

	memcpy(store->temporary, store->path, dir_len);
	do
	{
		snprintf(store->temporary + dir_len, TEMPORARY_NAME_BYTES, "/~%ld.%" PRIu64,
				 (long) getpid(), store->temporary_counter++);
		fd = open(store->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (fd < 0 && (errno == EEXIST || errno == EINTR));
	*os_errno = fd < 0 ? errno : 0;
	return fd;
}

/* Opens a temporary file in a directory that is there and durable. */
static SvStatus
open_temporary(DirectoryStore *store, int *fd, SvError *err)
{
	size_t		dir_len = (size_t) (strrchr(store->path, '/') - store->path);
	SvStatus	status;
	int			os_errno;

	if (strlen(store->durable) == dir_len && memcmp(store->durable, store->path, dir_len) == 0)
	{
		*fd = create_temporary(store, &os_errno);
		if (*fd >= 0)
			return SV_OK;
		if (os_errno != ENOENT)
			return store_file_fail(err, os_errno, "create file", store->temporary);
		/* Somebody has removed the directory: begin anew. */
	}
	store->durable[0] = '\0';
	status = prepare_directory(store, err);
	if (status != SV_OK)
		return status;
	*fd = create_temporary(store, &os_errno);
	if (*fd < 0)
		return store_file_fail(err, os_errno, "create file", store->temporary);
	memcpy(store->durable, store->path, dir_len);
	store->durable[dir_len] = '\0';
	return SV_OK;
}

static SvStatus
write_part(DirectoryStore *store, int fd, SvSlice part, const char *name,
		   const StoreCall *call, SvError *err)
{
	size_t		done = 0;

	while (done < part.len)
	{
		size_t		step = part.len - done < STEP_BYTES ? part.len - done : STEP_BYTES;
		SvStatus	status = store_check_cancel(call, name, err);
		ssize_t		written;

		if (status != SV_OK)
			return status;
		written = write(fd, part.data + done, step);
		if (written > 0)
			done += (size_t) written;
		else if (written == 0)
			return store_file_fail(err, ENOSPC, "write file", store->temporary);
		else if (errno != EINTR)
			return store_file_fail(err, errno, "write file", store->temporary);
	}
	return SV_OK;
}

/* Writes, fsyncs and closes the temporary file. */
static SvStatus
fill_temporary(DirectoryStore *store, int fd, const SvSlice *parts, int nparts,
			   const char *name, const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	for (int i = 0; i < nparts && status == SV_OK; i++)
		status = write_part(store, fd, parts[i], name, call, err);
	if (status == SV_OK)
		status = store_check_cancel(call, name, err);
	if (status == SV_OK && store_file_fsync(fd) != 0)
		status = store_file_fail(err, errno, "fsync file", store->temporary);
	/* Linux has closed the file even if it was interrupted. */
	if (close(fd) != 0 && errno != EINTR && status == SV_OK)
		status = store_file_fail(err, errno, "close file", store->temporary);
	return status;
}

static SvStatus
directory_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
						const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	SvStatus	status;
	int			fd;

	set_path(store, name);
	status = open_temporary(store, &fd, err);
	if (status != SV_OK)
		return status;

	status = fill_temporary(store, fd, parts, nparts, name, call, err);
	if (status == SV_OK)
		status = store_check_cancel(call, name, err);
	if (status == SV_OK && link(store->temporary, store->path) != 0)
	{
		if (errno == EEXIST)
			status = sv_fail(err, SV_EXISTS, "object \"%s\" exists already", name);
		else
			status = store_file_fail(err, errno, "link a temporary file to", store->path);
	}

	/* A temporary name that cannot be removed takes nothing from the outcome. */
	unlink(store->temporary);
	if (status == SV_OK)
		status = store_file_sync_directory(store->durable, err);
	return status;
}

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
		return is_missing(errno) ? object_missing(store, err)
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
	set_path(store, name);
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
directory_get(ObjectStore *base, const char *name, const StoreRange *ranges, int nranges,
			  const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	int			fd;
	SvStatus	status = find_object(store, name, &fd, err);

	for (int i = 0; i < nranges && status == SV_OK; i++)
		status = read_range(fd, name, &ranges[i], call, err);
	/* A stale handle of a network file system heals by opening the file anew. */
	if (status == SV_IO)
		store_descriptors_forget(store->descriptors, name);
	return status;
}

static SvStatus
directory_head(ObjectStore *base, const char *name, uint64_t *bytes,
			   const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	struct stat st;

	(void) call;
	set_path(store, name);
	if (stat(store->path, &st) != 0)
		return is_missing(errno) ? object_missing(store, err)
			: store_file_fail(err, errno, "stat file", store->path);
	if (!S_ISREG(st.st_mode))
		return SV_NOT_FOUND;
	*bytes = (uint64_t) st.st_size;
	return SV_OK;
}

/* -------------------------------------------------------------------------
 * The rest
 * ------------------------------------------------------------------------- */

/*
 * Not fsynced: an object that a crash brings back is an orphan for garbage
 * collection.
 */
static SvStatus
directory_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	SvStatus	status;

	(void) call;
	store_descriptors_forget(store->descriptors, name);
	set_path(store, name);
	if (unlink(store->path) == 0 || errno == EISDIR)
		return SV_OK;
	if (!is_missing(errno))
		return store_file_fail(err, errno, "remove file", store->path);
	status = object_missing(store, err);
	return status == SV_NOT_FOUND ? SV_OK : status;
}

static SvStatus
directory_list(ObjectStore *base, const char *prefix, StoreListCallback callback, void *state,
			   const StoreCall *call, SvError *err)
{
	DirectoryStore *store = (DirectoryStore *) base;
	SvStatus	status = store_walk(store->root, prefix, callback, state, call, err);

	if (status == SV_NOT_FOUND)
	{
		status = object_missing(store, err);
		if (status == SV_NOT_FOUND)
			status = SV_OK;
	}
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
	.put_if_absent = directory_put_if_absent,
	.get = directory_get,
	.head = directory_head,
	.remove = directory_remove,
	.list = directory_list,
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
	opened->create_root = options->create_root;
	opened->root_len = root_len;
	opened->path_room = root_len + 1 + STORE_MAX_NAME_BYTES + TEMPORARY_NAME_BYTES;
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
