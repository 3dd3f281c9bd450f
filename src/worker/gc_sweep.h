/*
 * gc_sweep.h
 *		Whether a vault has to be swept for orphans again.
 *
 * A sweep lists the vault, and a listing costs money: of a vault to which nobody
 * writes there is none.  An orphan is an object that was uploaded and never named,
 * and everything that is uploaded under a name that can become an orphan's, is, but
 * for bulk loads (below),
 *	 - by a job, whose row in skyvault.job is on disk before it uploads: flush,
 *	   compaction with its parts, snapshot;
 *	 - or the log: an object of it is an orphan if its epoch ended before it was
 *	   remembered.  Epochs end by takeovers, with which the vault's changes.
 * So a sweep that has seen all there was need not be repeated until a job runs,
 * or ends after the sweep began, or a new one comes, or the epoch changes, or the
 * options of the server do, with which it may be in another place.  It has
 * seen all unless
 *	 - a job ran when it began, which may have uploaded behind it;
 *	 - it met what nothing names, and what is no orphan yet: its writer runs, or
 *	   it is younger than skyvault.orphan_grace; or what puts that have not ended
 *	   have left (store_sweep), and is too young;
 *	 - something was still under way: who has lost the vault, or a worker that was
 *	   killed, may have sent what the store takes a moment later.
 * Because of the last, a second sweep, an interval later, has to agree.
 *
 * Jobs are looked at in each pass of collection.  Of two whose rows came into
 * sight out of order the older is known by its end; and that old rows are
 * deleted is noticed: then a job may have been missed, and counts as one.
 *
 * Bulk loads have no job, but ask the scheduler before they write.  A sweep that
 * begins while a transaction runs that may be one of them does not count, so there
 * are two after its end.  What a load has left that was given up may be much, as of one
 * that has filled the store: it is looked for in the next pass, unless there has
 * been a sweep a short time ago.
 *
 * All of this is in the scheduler's memory.  When that is lost (a start of the
 * server, which may be one after a crash, or an end of the scheduler) the vault is
 * swept as if it had been written to: twice, and not again.
 */
#ifndef GC_SWEEP_H
#define GC_SWEEP_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"
#include "forest/forest_vault.h"

#define GC_SWEEP_LOADS 16

/* All zero: never swept; that a load may be under way is for gc_sweep_find to say. */
typedef struct GcSweep
{
	int32		vault_id;
	char	   *after;			/* where the sweep under way is; NULL: none is */
	TimestampTz due_at;			/* of the next, if it is needed; 0: a whole interval after the start */

	/* When the last one began, or the one under way: */
	TimestampTz began_at;
	int64		epoch;
	int64		place;			/* hash of the options of the server */
	int64		job_id;			/* newest of the vault */
	bool		incomplete;		/* something may come to light behind it */
	/* Since then: */
	int64		looked_at_id;	/* newest job of all vaults at the last look */
	bool		dirty;			/* something was written */
	FullTransactionId load_xid; /* newest transaction that may have loaded into the vault */
	FullTransactionId loads[GC_SWEEP_LOADS];	/* whose outcome is not known yet */
	int			nloads;
	bool		load_failed;

	int			clean;			/* sweeps one after the other that have seen all */
} GcSweep;

/* That of a vault, which stays. */
extern GcSweep *gc_sweep_find(int32 vault_id);

/* A transaction is about to write runs of its own into the vault. */
extern void gc_sweep_note_load(int32 vault_id, FullTransactionId xid);

/* Notices what was written.  Outside a transaction. */
extern void gc_sweep_look(const ForestVault *vault, GcSweep *sweep);

extern bool gc_sweep_is_needed(const GcSweep *sweep);

/* Whether it should not wait for its time, because of what gc_sweep_look has noticed. */
extern bool gc_sweep_is_urgent(const GcSweep *sweep);

/* Before the listing, when the vault is known to be this database's.  Outside a transaction. */
extern void gc_sweep_begin(const ForestVault *vault, GcSweep *sweep);

/* After a piece of it: last is the last name, or NULL: it has come to its end. */
extern void gc_sweep_advance(GcSweep *sweep, const char *last, bool unripe);

#endif							/* GC_SWEEP_H */
