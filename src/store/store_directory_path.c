/*
 * store_directory_path.c
 *		Making directories and temporary files.
 *
 * A temporary file is called "~<pid>.<counter>": '~' cannot occur in the name
 * of an object, and O_EXCL settles whose it is, also between machines that
 * share the directory.  Temporary files that a crash leaves are never read, and go
 * with a sweep (directory_sweep).
 *
 * A directory that another process has made a moment ago may not be durable
 * yet.  So the first put of a handle into a directory fsyncs all directories
 * above it, made by this process or not.
 */
#include "store/store_directory_path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_file.h"

void
store_directory_set_path(DirectoryStore *store, const char *name)
{
	snprintf(store->path, store->path_room, "%s/%s", store->root, name);
}

static SvStatus
root_missing(const DirectoryStore *store, SvError *err)
{
	return sv_fail(err, SV_IO, "store directory \"%s\" does not exist", store->root);
}

/* A root that is not there says nothing about its objects: it may be an unmounted volume. */
SvStatus
store_directory_missing(DirectoryStore *store, SvError *err)
{
	struct stat st;

	if (stat(store->root, &st) == 0)
		return SV_NOT_FOUND;
	if (errno != ENOENT)
		return store_file_fail(err, errno, "stat store directory", store->root);
	return store->create_root ? SV_NOT_FOUND : root_missing(store, err);
}

/* ENOTDIR: a part before the last names an object. */
bool
store_directory_is_missing(int os_errno)
{
	return os_errno == ENOENT || os_errno == ENOTDIR;
}

/*
 * Makes the directory that store->path lies in, and those above it up to the
 * root, durable.  Directories above the root are touched only if it is missing
 * and to be made.
 */
static SvStatus
make_directories(DirectoryStore *store, SvError *err)
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

SvStatus
store_directory_prepare(DirectoryStore *store, SvError *err)
{
	size_t		dir_len = (size_t) (strrchr(store->path, '/') - store->path);
	SvStatus	status;

	store->durable[0] = '\0';
	status = make_directories(store, err);
	if (status != SV_OK)
		return status;
	memcpy(store->durable, store->path, dir_len);
	store->durable[dir_len] = '\0';
	return SV_OK;
}

bool
store_directory_is_temporary(const char *name)
{
	static const char digits[] = "0123456789";
	const char *dot = name[0] == '~' ? name + 1 + strspn(name + 1, digits) : name;

	return dot > name + 1 && dot[0] == '.' && dot[1] != '\0' && dot[1 + strspn(dot + 1, digits)] == '\0';
}

/* Creates and opens the temporary file beside store->path; errno in *os_errno on -1. */
static int
create_temporary(DirectoryStore *store, int *os_errno)
{
	size_t		dir_len = (size_t) (strrchr(store->path, '/') - store->path);
	int			fd;

	memcpy(store->temporary, store->path, dir_len);
	do
	{
		snprintf(store->temporary + dir_len, STORE_TEMPORARY_BYTES, "/~%ld.%" PRIu64,
				 (long) getpid(), store->temporary_counter++);
		fd = open(store->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (fd < 0 && (errno == EEXIST || errno == EINTR));
	*os_errno = fd < 0 ? errno : 0;
	return fd;
}

SvStatus
store_directory_temporary(DirectoryStore *store, int *fd, SvError *err)
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
	status = store_directory_prepare(store, err);
	if (status != SV_OK)
		return status;
	*fd = create_temporary(store, &os_errno);
	if (*fd >= 0)
		return SV_OK;
	store->durable[0] = '\0';
	return store_file_fail(err, os_errno, "create file", store->temporary);
}
