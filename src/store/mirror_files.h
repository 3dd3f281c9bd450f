/*
 * mirror_files.h
 *		Whole objects on local disk, in pages that verify themselves.
 *
 * An object is the file ROOT/XX/ID, where ID is its name's hash in 32 digits and
 * XX the first two of them.  It has the object's bytes in pages (disk_page.h), the
 * last of them only as long as it has bytes, so that the file's length says how
 * many bytes the object has.  A file is written under a name of its own that
 * begins with '~', and renamed when it is complete.
 *
 * Nothing is fsynced and nobody trusts a file: what is read was verified.  A file
 * that is found damaged is removed.  Several processes, also of several
 * servers, may use one root at the same time.
 *
 * Private to the store layer; malloc only.
 */
#ifndef MIRROR_FILES_H
#define MIRROR_FILES_H

#include "base/sv_slice.h"
#include "base/sv_status.h"
#include "cache/cache_wait.h"

typedef struct MirrorFiles MirrorFiles;

/* Opens no file; the root and the directory it lies in are made when something is written. */
extern SvStatus mirror_files_open(MirrorFiles **files, const char *root, int max_open_files, SvError *err);
extern void mirror_files_close(MirrorFiles *files);

/* Reads len > 0 bytes of an object; false if they are not there, or damaged. */
extern bool mirror_files_read(MirrorFiles *files, CacheRunId object, uint64_t offset, size_t len, void *dst);

/* Whether there is a file for an object of so many bytes; its content is not looked at. */
extern bool mirror_files_has(MirrorFiles *files, CacheRunId object, uint64_t bytes);

extern void mirror_files_remove(MirrorFiles *files, CacheRunId object);

/*
 * Writes a file front to back, in pieces of whole pages but for the last.  append
 * remembers the first failure, and does nothing after it; finish answers it.  finish and
 * abort free.
 */
typedef struct MirrorWrite MirrorWrite;

extern SvStatus mirror_write_begin(MirrorFiles *files, CacheRunId object, MirrorWrite **write, SvError *err);
extern void mirror_write_append(MirrorWrite *write, SvSlice bytes);
extern SvStatus mirror_write_finish(MirrorWrite *write, SvError *err);
extern void mirror_write_abort(MirrorWrite *write);

/*
 * Removes what has not been written for min_age_s: files of objects that are not among
 * live (which is sorted), and unfinished ones.
 */
extern SvStatus mirror_files_sweep(MirrorFiles *files, CacheRunId *live, int nlive, int min_age_s,
								   int *removed, SvError *err);

#endif							/* MIRROR_FILES_H */
