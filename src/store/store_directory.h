/*
 * store_directory.h
 *		Objects as files below one directory.
 *
 * A put writes a temporary file beside the target, fsyncs it, links it to its
 * final name (which fails if the name is taken), removes the temporary name
 * and fsyncs the directory, and every directory it had to make with its
 * parent.  So a crash at any instruction leaves the object whole, or not
 * there with a temporary file behind; listings skip temporary files, store_sweep
 * removes them.
 *
 * Reading keeps up to max_open_files descriptors open, least recently used
 * first to go.
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "store/object_store.h"

typedef struct StoreDirectoryOptions
{
	const char *path;			/* absolute or relative to the working directory; copied */
	bool		create_root;	/* make a missing root; if not, it is SV_IO: perhaps an unmounted volume */
	int			max_open_files; /* at least 1 */
} StoreDirectoryOptions;

/* Opens no file; only SV_NO_MEMORY and SV_INVALID are possible. */
extern SvStatus store_directory_open(ObjectStore **store, const StoreDirectoryOptions *options,
									 SvError *err);

#endif							/* STORE_DIRECTORY_H */
