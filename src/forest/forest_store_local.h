/*
 * forest_store_local.h
 *		What of a remote store is kept on local disk.
 */
#ifndef FOREST_STORE_LOCAL_H
#define FOREST_STORE_LOCAL_H

#include "postgres.h"

#include "foreign/foreign.h"
#include "store/object_store.h"

/* Whether the store is not a directory. */
extern bool forest_store_is_remote(ForeignServer *server);

/* Whether the whole of the store is to be kept: option mirror, of a store that is not a directory itself. */
extern bool forest_store_wants_mirror(ForeignServer *server);

/*
 * Whether that is the name of a mirror, a directory below skyvault.disk_cache_path,
 * which no server of this database wants any more, or whose database is gone.  Of
 * mirrors of other databases only that is known.  Needs a transaction.
 */
extern bool forest_mirror_is_superfluous(const char *name);

/*
 * The same store with its mirror before it, or else the disk tier of this
 * Postgres server, if there is one.  Takes over remote, also on an error.
 */
extern ObjectStore *forest_store_local(ForeignServer *server, ObjectStore *remote);

/*
 * These objects were found damaged.  What is may be the copy of them that is kept
 * near, as a mirror or in the disk tier: it is forgotten, so that the store itself is
 * asked next, which may have sent it wrongly, or been mended since.
 */
extern void forest_store_forget(ObjectStore *store, const char *const *names, int n);

/* The store with nothing before it, for who asks what is there.  As long there as the one it comes from. */
extern ObjectStore *forest_store_itself(ObjectStore *store);

#endif							/* FOREST_STORE_LOCAL_H */
