/*
 * forest_delta.h
 *		The delta: newest writes of all tables, one heap row per (table, key).
 *		Here is how it is read and emptied; forest_delta_write.h fills it.
 *
 * A snapshot that is older than the transaction's own writes can see two rows
 * of a key: one that a flush has deleted since, and the transaction's own.
 * The own row is the newer one, unless it is a claim, which has no content.
 * Readers of this file get at most one row per key, chosen by that rule.
 */
#ifndef FOREST_DELTA_H
#define FOREST_DELTA_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "datatype/timestamp.h"
#include "forest/forest_catalog.h"
#include "storage/itemptr.h"
#include "utils/snapshot.h"

typedef struct DeltaRow
{
	SvSlice		key;
	SvSlice		value;
	char		kind;			/* DELTA_VALUE, DELTA_TOMBSTONE or, if asked for, DELTA_CLAIM */
	TimestampTz expires_at;		/* DT_NOEND: never */
	bool		is_own;			/* written by this transaction */
	CommandId	own_command;	/* by which of its commands, if is_own */
	TransactionId xmin;			/* FrozenTransactionId if frozen */
	TransactionId raw_xmin;
	TransactionId deleted_by;	/* raw xmax of a plain delete or update, else InvalidTransactionId */
	ItemPointerData tid;
} DeltaRow;

/*
 * A probe looks up keys one by one under one snapshot.  What it needs for that lives
 * in the CurrentMemoryContext of delta_probe_begin until delta_probe_end, and is there
 * once there is a key that the filter does not exclude: before, it costs nothing.
 */
typedef struct DeltaProbe
{
	Snapshot	snapshot;
	bool		ask_filter;
	MemoryContext parent;
	struct DeltaProbeIndex *index;	/* NULL until a key is looked for in the delta's index */
} DeltaProbe;

extern void delta_probe_begin(DeltaProbe *probe, Snapshot snapshot);

/*
 * False if the key has no row with content.  With own_only, rows of others do
 * not count.  row->value is valid until the next call; row->key is the caller's.
 */
extern bool delta_probe(DeltaProbe *probe, int32 table_id, SvSlice key, bool own_only, DeltaRow *row);

/* Of many keys at once, those that need no probe: it would say false of them. */
extern void delta_probe_exclude(const DeltaProbe *probe, int32 table_id, const SvSlice *keys, int n, bool *excluded);

extern void delta_probe_end(DeltaProbe *probe);

/*
 * A scan yields a table's rows with low <= key < high in order; NULL bounds
 * are open.  What it hands out is valid until the next call.
 */
typedef struct DeltaScan DeltaScan;

extern DeltaScan *delta_scan_begin(int32 table_id, const SvSlice *low, const SvSlice *high,
								   bool backward, bool own_only, Snapshot snapshot);

/*
 * Where the n-th window of a scan ends, from 0: a key ahead of it in its direction; false: there
 * is none.  Forward that key is the first behind the window, backward the last in it.
 */
typedef bool (*DeltaHorizon) (void *state, uint32 window, SvSlice *key);

/*
 * For who may stop soon; before the first row.  An index scan looks at all keys of a page
 * before it yields one: so the first windows are read each by itself, then the rest.
 */
extern void delta_scan_in_windows(DeltaScan *scan, DeltaHorizon horizon, void *state);

/* The same as delta_scan_begin, but yields claims as well: for a flush, which has no rows of its own. */
extern DeltaScan *delta_scan_begin_with_claims(int32 table_id, const SvSlice *low, Snapshot snapshot);
extern bool delta_scan_next(DeltaScan *scan, DeltaRow *row);
extern void delta_scan_end(DeltaScan *scan);

/*
 * Deletes the row version at tid if it is exactly the one with this xmin and
 * key, visible to the snapshot, and nobody has changed or locked it.  Never waits;
 * with `own_locks`, for who has shut all others out, locks of its own transaction
 * are none.
 */
typedef struct DeltaDeleter DeltaDeleter;

extern DeltaDeleter *delta_deleter_begin(Snapshot snapshot, bool own_locks);
extern bool delta_delete_exactly(DeltaDeleter *deleter, int32 table_id, SvSlice key,
								 ItemPointer tid, TransactionId raw_xmin);
extern void delta_deleter_end(DeltaDeleter *deleter);

/* Deletes all rows of a table that the snapshot sees; the caller has the table lock in AccessExclusive. */
extern void delta_delete_table(int32 table_id, Snapshot snapshot);

#endif							/* FOREST_DELTA_H */
