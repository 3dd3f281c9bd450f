/*
 * store_walk.h
 *		Lists the objects below a directory, for the directory driver.
 */
#ifndef STORE_WALK_H
#define STORE_WALK_H

#include "store/object_store.h"

typedef enum StoreWalkWhat
{
	STORE_WALK_OBJECTS,
	STORE_WALK_TEMPORARY		/* files that puts have begun, and not ended (store_directory_is_temporary) */
} StoreWalkWhat;

/*
 * store_list for the files below root: regular files only, skipping whatever
 * has a name that no object can have, or all but temporary files.  Directories are
 * read one at a time, so memory is bounded by the largest one, and the callback may
 * remove files.  SV_NOT_FOUND if root does not exist.
 */
extern SvStatus store_walk(const char *root, StoreWalkWhat what, const char *prefix, const char *after,
						   StoreListCallback callback, void *state,
						   const StoreCall *call, SvError *err);

#endif							/* STORE_WALK_H */
