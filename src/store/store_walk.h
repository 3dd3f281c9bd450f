/*
 * store_walk.h
 *		Lists the objects below a directory, for the directory driver.
 */
#ifndef STORE_WALK_H
#define STORE_WALK_H

#include "store/object_store.h"

/*
 * store_list for the files below root: regular files only, skipping whatever
 * has a name that no object can have.  Directories are read one at a time, so
 * memory is bounded by the largest one, and the callback may remove objects.
 * SV_NOT_FOUND if root does not exist.
 */
extern SvStatus store_walk(const char *root, const char *prefix, const char *after,
						   StoreListCallback callback, void *state,
						   const StoreCall *call, SvError *err);

#endif							/* STORE_WALK_H */
