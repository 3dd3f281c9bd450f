/*
 * gc_select.h
 *		Which objects of a vault can be deleted, and what holds the rest back.
 *
 * An object in skyvault.garbage may go when no snapshot of this server, or of a
 * standby that reports its own, can see the registry as it was before the
 * removal; when skyvault.retention has passed; and when no named snapshot and
 * not the latest automatic one names it.
 *
 * An object that nothing names is an orphan if whoever wrote it has ended: its
 * name tells the transaction or the job.  The order matters: first the objects
 * are listed, then the oldest running transaction is determined, prepared ones
 * included, and then the catalogue is read under a new snapshot.  So of each
 * listed object either the writer is seen to run, or what he committed is seen.
 * In epochs before the own one others may have written: there age decides as well.
 */
#ifndef GC_SELECT_H
#define GC_SELECT_H

#include "postgres.h"

#include "forest/forest_sql.h"
#include "forest/forest_vault.h"
#include "lib/stringinfo.h"
#include "store/object_store.h"

/* Up to limit objects that can be deleted now: a row each, object.  In a transaction. */
extern ForestRows gc_select_deletable(int32 vault_id, int limit);

/* All garbage: object, and what holds it back (NULL: nothing).  In a transaction. */
extern ForestRows gc_select_all(int32 vault_id);

/* A piece of a listing. */
typedef struct GcListing
{
	StringInfoData json;		/* what gc_select_orphans takes */
	int			n;
	int			limit;			/* 0: none */
	char	   *last;			/* name, if limit was reached; NULL: the listing is complete */
	int			unripe;			/* set by gc_select_orphans: what nothing names, and may be an orphan later */
} GcListing;

/* Objects of the vault after a name (NULL: from the start).  In a transaction or outside. */
extern void gc_list(const ForestVault *vault, ObjectStore *store, const char *after, int limit, GcListing *listing);

/* The orphans among the listed: object, bytes, true.  In a transaction, under a snapshot that it takes. */
extern ForestRows gc_select_orphans(const ForestVault *vault, GcListing *listing);

#endif							/* GC_SELECT_H */
