/*
 * store_file.h
 *		File system calls of the directory driver that have to be durable, and
 *		their errors.
 */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include "base/sv_status.h"

/*
 * sv_fail_os for a file that the store needs, "could not <action> <path>".
 * Never SV_NOT_FOUND or SV_EXISTS, but SV_IO: that the file is there, or not,
 * must not look like an answer about an object.
 */
extern SvStatus store_file_fail(SvError *err, int os_errno, const char *action, const char *path);

/* fsync that starts again when it is interrupted. */
extern int	store_file_fsync(int fd);

/* Makes the names in the directory that holds path durable; path is changed only meanwhile. */
extern SvStatus store_file_sync_parent(char *path, SvError *err);

/* Makes a directory of mode 0700 unless it is there, and its name durable in either case. */
extern SvStatus store_file_make_directory(char *path, SvError *err);

#endif							/* STORE_FILE_H */
