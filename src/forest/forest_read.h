/*
 * forest_read.h
 *		Reading keys of tables under one Postgres snapshot: the delta, then the
 *		runs (ARCHITECTURE.md: "Life of a get").
 *
 * Everything is read under the snapshot given, which the caller keeps
 * registered or active for the duration of the call, or of the scan.  Works on
 * a hot standby and in parallel workers.  Expired entries are absent: expiry
 * is judged by statement start, under REPEATABLE READ and above by transaction
 * start.  A transaction sees its own earlier commands, always.
 *
 * Errors: XX001 for a damaged or missing object (on a standby a missing one is
 * 40001), 58030 if the store cannot be read.
 */
#ifndef FOREST_READ_H
#define FOREST_READ_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_run_scan.h"
#include "forest/forest_table.h"
#include "utils/snapshot.h"

typedef struct ForestValue
{
	bool		found;
	SvSlice		value;			/* palloc'd in the caller's context unless said otherwise */
	TimestampTz expires_at;		/* DT_NOEND if it does not expire */
} ForestValue;

/* Looks up one key.  The value is palloc'd in CurrentMemoryContext. */
extern void forest_get(const ForestTable *table, SvSlice key, Snapshot snapshot, ForestValue *out);

/*
 * Takes a value where it lies: the bytes are valid during the call alone.
 * CurrentMemoryContext is that of the lookup's caller; errors may be raised.
 */
typedef void (*ForestValueTaker) (void *arg, SvSlice value);

/* Looks up one key and hands its value to `take`, once; false: not found, and `take` was not called. */
extern bool forest_get_into(const ForestTable *table, SvSlice key, Snapshot snapshot,
							ForestValueTaker take, void *arg);

typedef struct ForestScan ForestScan;

/*
 * Entries with low <= key < high (a NULL bound is open), ascending or, if
 * backward, descending.  The bounds are copied.  The scan lives in
 * CurrentMemoryContext and holds what it needs until forest_scan_end, or until
 * that context is reset.  A scan that is never ended in a transaction that
 * aborts leaks nothing.
 */
extern ForestScan *forest_scan_begin(const ForestTable *table, Snapshot snapshot,
									 const SvSlice *low, const SvSlice *high, bool backward);

/* Of a scan in parts, one after the other, by one process or several. */
typedef struct ForestScanPart
{
	uint64		bytes;			/* that all parts read, before compression */
	uint64		went;			/* that this process has read of parts before this one, about */
} ForestScanPart;

/* The same, forward, for one part: it reads as the whole would. */
extern ForestScan *forest_scan_begin_part(const ForestTable *table, Snapshot snapshot,
										  const SvSlice *low, const SvSlice *high,
										  const ForestScanPart *part);

/*
 * Scans that have not begun, of any tables: what they need first of their stores is
 * asked for together, and what they need next as they come to it, by one of them for
 * those that are about to need more.  `together` is zeroed but for its context, which
 * outlives the scans; scans may join it that are opened later, by forest_scan_join.
 */
extern void forest_scan_join(ForestScan *scan, ForestTogether *together);
extern void forest_scans_open(ForestScan *const *scans, int n);

/* False at the end.  key and value->value are valid until the next call. */
extern bool forest_scan_next(ForestScan *scan, SvSlice *key, ForestValue *value);
extern void forest_scan_end(ForestScan *scan);

#endif							/* FOREST_READ_H */
