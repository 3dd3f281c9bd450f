/*
 * store_mirror.h
 *		A remote store of which the whole of its data is kept on local disk.
 *
 * Reads are answered from local files; each page is verified when it is
 * read.  What is not there, or damaged, is read from the inner store, as it
 * is: a read does not wait for a whole object.  What is put and uploaded as
 * data (not by STORE_SNAPSHOT or STORE_GC) is written locally before the call
 * returns, so before it can be published; a local disk that is full or broken
 * fails no put.  What is missing is fetched in the background: by whoever
 * calls store_mirror_fill for each object there should be.  What is removed
 * goes locally too.
 *
 * Small objects that can change (put_if_match, get_small), heads and listings are
 * the inner store's.
 */
#ifndef STORE_MIRROR_H
#define STORE_MIRROR_H

#include "store/object_store.h"

typedef struct StoreMirrorOptions
{
	const char *path;			/* of this store alone; copied */
	const char *identity;		/* tells apart stores whose objects may have equal names */
	int			max_open_files;
} StoreMirrorOptions;

/* The new store owns inner; on failure inner stays the caller's. */
extern SvStatus store_mirror_open(ObjectStore **store, ObjectStore *inner, const StoreMirrorOptions *options,
								  SvError *err);

/* Whether a store comes from store_mirror_open. */
extern bool store_is_mirror(const ObjectStore *store);

/* The store behind the mirror; the store itself, if there is none. */
extern ObjectStore *store_mirror_inner(ObjectStore *store);

/*
 * Fetches an object of so many bytes unless it is there; *filled says whether
 * it had to be.  Errors of the inner store, and of the local disk.
 */
extern SvStatus store_mirror_fill(ObjectStore *store, const char *name, uint64_t bytes, bool *filled,
								  const StoreCall *call, SvError *err);

/*
 * Removes local files that were not written for min_age_s and whose objects
 * are not among names: those of objects that another server removed, and what
 * a crash left.
 */
extern SvStatus store_mirror_sweep(ObjectStore *store, const char *const *names, int n, int min_age_s,
								   int *removed, SvError *err);

/* Removes the local files of objects, which may hold something else than these.  Of another store: nothing. */
extern void store_mirror_forget(ObjectStore *store, const char *const *names, int n);

#endif							/* STORE_MIRROR_H */
