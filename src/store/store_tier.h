/*
 * store_tier.h
 *		A remote store with a disk tier before it (cache/disk_tier.h).
 *
 * Ranges whose StoreRange says how long the object is are read from the tier;
 * what is missing is read from the inner store in whole ranges of the tier,
 * each by one process at a time, and kept.  Ranges of unknown objects are
 * read from the tier if they are there, else as they are.  Reads of
 * compaction, garbage collection and snapshots, and what is `passing`
 * (StoreCall), take from the tier but add nothing to it: they would push out
 * what lookups need.
 *
 * What is put or uploaded as data (not by STORE_SNAPSHOT or STORE_GC) is written
 * to the tier too, so that nothing just written is fetched again; what is removed
 * leaves it.  Small objects that can change (put_if_match, get_small), heads and
 * listings go to the inner store alone.
 *
 * Nothing about the tier is ever an error: it answers, or the inner store does.
 */
#ifndef STORE_TIER_H
#define STORE_TIER_H

#include "cache/disk_tier.h"
#include "store/object_store.h"

/*
 * The new store owns inner; on failure inner stays the caller's.  tier is the
 * process's, and is used by all its stores.  identity tells apart stores whose
 * objects may have equal names: endpoint, bucket and prefix.
 */
extern SvStatus store_tier_open(ObjectStore **store, ObjectStore *inner, DiskTier *tier,
								const char *identity, SvError *err);

/* Objects that nobody with a new snapshot reads: the first to go.  Nothing if the store is not of store_tier_open. */
extern void store_tier_retire(ObjectStore *store, const char *const *names, int n);

/* What the tier has of these objects may not be what they are: it is forgotten.  Of another store: nothing. */
extern void store_tier_forget(ObjectStore *store, const char *const *names, int n);

/* The store behind the tier; the store itself, if it is another. */
extern ObjectStore *store_tier_inner(ObjectStore *store);

/* The object's name in the tier. */
extern CacheRunId store_tier_object(const ObjectStore *store, const char *name);

#endif							/* STORE_TIER_H */
