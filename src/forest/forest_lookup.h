/*
 * forest_lookup.h
 *		Finding the newest entry of a key under a snapshot, and where it was:
 *		what reading and locking a key have in common.
 *
 * Order: the own delta row; the own runs; the own floor, which hides every row
 * that is not own and every run below it; the delta; the table's other runs in
 * lookup order.  For a snapshot may still see delta rows that the transaction's own
 * load has replaced, since a flush has deleted them after it.
 */
#ifndef FOREST_LOOKUP_H
#define FOREST_LOOKUP_H

#include "postgres.h"

#include "forest/forest_delta.h"
#include "forest/forest_read.h"
#include "lsm/lsm_forest.h"

typedef enum FoundIn
{
	FOUND_NOWHERE,
	FOUND_IN_DELTA,
	FOUND_IN_RUN
} FoundIn;

/* What was found, tombstones and expired entries included. */
typedef struct ForestEntry
{
	FoundIn		found_in;
	bool		is_tombstone;
	SvSlice		value;			/* valid until the next lookup */
	TimestampTz expires_at;
	DeltaRow	row;			/* if found in the delta; value and key as above */
	const LsmRun *run;			/* if found in a run */
} ForestEntry;

/* A lookup's view: one snapshot and its forest.  Lives in CurrentMemoryContext. */
typedef struct ForestView
{
	int32		vault_id;
	Oid			server_oid;
	Snapshot	snapshot;
	const LsmForest *forest;
	DeltaProbe	probe;
} ForestView;

/* The table must have an identity. */
extern void forest_view_open(ForestView *view, const ForestTable *table, Snapshot snapshot);
extern void forest_view_close(ForestView *view);

extern void forest_lookup(ForestView *view, int32 table_id, SvSlice key, ForestEntry *entry);

/*
 * Only the first part of it, all that comes before others' runs: false, with
 * nothing in *entry, if nothing is said of the key there.  The groups of runs that
 * are left begin behind lsm_forest_own_groups.
 */
extern bool forest_lookup_before_runs(ForestView *view, int32 table_id, SvSlice key, ForestEntry *entry);

/*
 * Asks for the memory that looking up the key will most likely begin with: in
 * the delta's filter, and, if the transaction has looked into the vault before,
 * in the first run that may have it.  So it comes while the caller locks, checks
 * privileges and opens its view.  Costs two searches in memory that is needed
 * anyhow; answers nothing.
 */
extern void forest_lookup_expect(const ForestTable *table, SvSlice key);

/* Whether the entry is a value that has not expired. */
extern bool forest_entry_is_live(const ForestEntry *entry);

/* What expiry is judged by: the start of the statement, or of a REPEATABLE READ transaction. */
extern TimestampTz forest_now(void);

/* *out gets a copy of the entry's value in CurrentMemoryContext, if it is live. */
extern void forest_value_from_entry(const ForestEntry *entry, ForestValue *out);

#endif							/* FOREST_LOOKUP_H */
