/*
 * store_file.c
 *		Making names durable.
 */
#include "store/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

SvStatus
store_file_fail(SvError *err, int os_errno, const char *action, const char *path)
{
	SvStatus	status = sv_fail_os(err, os_errno, "could not %s \"%s\"", action, path);

	if (status == SV_NOT_FOUND || status == SV_EXISTS)
	{
		status = SV_IO;
		if (err != NULL)
			err->status = status;
	}
	return status;
}

int
store_file_fsync(int fd)
{
	int			rc;

	do
		rc = fsync(fd);
	while (rc != 0 && errno == EINTR);
	return rc;
}

static SvStatus
sync_directory(const char *path, SvError *err)
{
	int			fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int			rc;
	int			os_errno;

	if (fd < 0)
		return store_file_fail(err, errno, "open directory", path);
	rc = store_file_fsync(fd);
	os_errno = errno;
	close(fd);
	/* Some file systems cannot fsync a directory, and say so in these ways. */
	if (rc != 0 && os_errno != EINVAL && os_errno != EBADF)
		return store_file_fail(err, os_errno, "fsync directory", path);
	return SV_OK;
}

SvStatus
store_file_sync_parent(char *path, SvError *err)
{
	char	   *slash = strrchr(path, '/');
	SvStatus	status;

	if (slash == NULL)
		return sync_directory(".", err);
	if (slash == path)
		return sync_directory("/", err);
	*slash = '\0';
	status = sync_directory(path, err);
	*slash = '/';
	return status;
}

SvStatus
store_file_make_directory(char *path, SvError *err)
{
	bool		made = mkdir(path, 0700) == 0;
	struct stat st;
	SvError		sync_err;
	SvStatus	status;

	if (!made && errno != EEXIST)
	{
		int			os_errno = errno;

		/* Where nothing may be made, mkdir need not say that it is there. */
		if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
			return store_file_fail(err, os_errno, "create directory", path);
	}
	status = store_file_sync_parent(path, &sync_err);
	/* Where a parent may not be read, no process of this user makes directories. */
	if (status == SV_OK || (!made && sync_err.os_errno == EACCES))
		return SV_OK;
	if (err != NULL)
		*err = sync_err;
	return status;
}
