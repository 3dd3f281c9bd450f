/*
 * forest_delta.c
 *		Reading and deleting delta rows, by table access method.
 */
#include "postgres.h"

#include "forest/forest_delta.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/tuptable.h"
#include "forest/forest_filter.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/fmgroids.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* An index scan over (table_id, key) with the relations it needs. */
typedef struct DeltaIndex
{
	MemoryContext context;		/* lives as long as the scan, which allocates as it goes */
	Relation	heap;
	Relation	index;
	TupleTableSlot *slot;
	IndexScanDesc scan;
	ScanKeyData keys[3];
} DeltaIndex;

/* What a probe needs in the index; lies in its context like all else. */
typedef struct DeltaProbeIndex
{
	MemoryContext context;
	DeltaIndex	index;
	MemoryContext row_context;	/* holds the last row's value and key datum */
	bool		may_have_own;
} DeltaProbeIndex;

/* So many windows of a scan end at a horizon; the one behind them does not. */
#define DELTA_WINDOWS 3

struct DeltaScan
{
	DeltaIndex	index;
	int32		table_id;
	bytea	   *low;			/* of what has not been read when the present window began; NULL: open */
	bytea	   *high;
	DeltaHorizon horizon;		/* NULL: there are no windows to come */
	void	   *horizon_state;
	uint32		windows;		/* that were begun */
	ScanDirection direction;
	bool		own_only;
	bool		with_claims;
	bool		may_have_own;
	bool		begun;
	bool		at_end;
	bool		has_pending;	/* `pending` was read ahead and not yet handed out */
	DeltaRow	pending;
	MemoryContext row_contexts[2];	/* of the row handed out, and of the one read ahead */
	int			current;
};

struct DeltaDeleter
{
	Relation	heap;
	TupleTableSlot *slot;
	BlockNumber nblocks;		/* VACUUM cannot take pages away while we have the relation's lock */
	Snapshot	snapshot;
	bool		own_locks;
	MemoryContext row_context;
};

static bytea *
bytea_of_slice(SvSlice slice)
{
	bytea	   *result = palloc(VARHDRSZ + slice.len);

	SET_VARSIZE(result, VARHDRSZ + slice.len);
	if (slice.len > 0)
		memcpy(VARDATA(result), slice.data, slice.len);
	return result;
}

/* Only a transaction with an id can have rows of its own. */
static bool
transaction_may_have_own(void)
{
	return TransactionIdIsValid(GetTopTransactionIdIfAny());
}

static void
delta_index_open(DeltaIndex *index, Snapshot snapshot, int nkeys)
{
	index->context = CurrentMemoryContext;
	index->heap = catalog_open(CATALOG_DELTA, AccessShareLock);
	index->index = index_open(catalog_oid(CATALOG_DELTA_PKEY), AccessShareLock);
	index->slot = table_slot_create(index->heap, NULL);
	index->scan = compat_index_beginscan(index->heap, index->index, snapshot, nkeys);
}

/* The next visible row into the index's slot, whatever context is current. */
static bool
delta_index_next(DeltaIndex *index, ScanDirection direction)
{
	MemoryContext old = MemoryContextSwitchTo(index->context);
	bool		found = index_getnext_slot(index->scan, direction, index->slot);

	MemoryContextSwitchTo(old);
	return found;
}

static void
delta_index_close(DeltaIndex *index)
{
	index_endscan(index->scan);
	ExecDropSingleTupleTableSlot(index->slot);
	index_close(index->index, AccessShareLock);
	table_close(index->heap, AccessShareLock);
}

/* Copies what the slot holds into CurrentMemoryContext. */
static void
row_from_slot(TupleTableSlot *slot, DeltaRow *row, bool with_key)
{
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, NULL);
	HeapTupleHeader header = tuple->t_data;
	bool		isnull;
	Datum		datum;

	row->kind = DatumGetChar(slot_getattr(slot, Anum_delta_kind, &isnull));
	row->xmin = HeapTupleHeaderGetXmin(header);
	row->raw_xmin = HeapTupleHeaderGetRawXmin(header);
	row->is_own = TransactionIdIsCurrentTransactionId(row->xmin);
	row->own_command = row->is_own ? HeapTupleHeaderGetCmin(header) : FirstCommandId;
	row->deleted_by = InvalidTransactionId;
	if (!(header->t_infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) &&
		!HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		row->deleted_by = HeapTupleHeaderGetRawXmax(header);
	row->tid = slot->tts_tid;

	datum = slot_getattr(slot, Anum_delta_expires_at, &isnull);
	row->expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(datum);

	datum = slot_getattr(slot, Anum_delta_value, &isnull);
	row->value = sv_slice(NULL, 0);
	if (!isnull)
	{
		bytea	   *value = DatumGetByteaPCopy(datum);

		row->value = sv_slice(VARDATA(value), VARSIZE(value) - VARHDRSZ);
	}
	if (with_key)
	{
		bytea	   *key = DatumGetByteaPCopy(slot_getattr(slot, Anum_delta_key, &isnull));

		row->key = sv_slice(VARDATA(key), VARSIZE(key) - VARHDRSZ);
	}
}

void
delta_probe_begin(DeltaProbe *probe, Snapshot snapshot)
{
	probe->snapshot = snapshot;
	probe->ask_filter = forest_filter_serves(snapshot);
	probe->parent = CurrentMemoryContext;
	probe->index = NULL;
}

static DeltaProbeIndex *
probe_open(const DeltaProbe *probe)
{
	MemoryContext context = AllocSetContextCreate(probe->parent, "skyvault delta probe", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	DeltaProbeIndex *open = palloc(sizeof(DeltaProbeIndex));

	open->context = context;
	delta_index_open(&open->index, probe->snapshot, 2);
	open->may_have_own = transaction_may_have_own();
	open->row_context = AllocSetContextCreate(context, "skyvault delta row", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(old);
	return open;
}

void
delta_probe_exclude(const DeltaProbe *probe, int32 table_id, const SvSlice *keys, int n, bool *excluded)
{
	if (probe->ask_filter)
		forest_filter_exclude(table_id, keys, n, excluded);
	else
		memset(excluded, false, n);
}

static bool
probe_index(DeltaProbeIndex *open, int32 table_id, SvSlice key, bool own_only, DeltaRow *row)
{
	DeltaIndex *index = &open->index;
	MemoryContext old = MemoryContextSwitchTo(open->row_context);
	bool		found = false;

	MemoryContextReset(open->row_context);
	ScanKeyInit(&index->keys[0], Anum_delta_table_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(table_id));
	ScanKeyInit(&index->keys[1], Anum_delta_key, BTEqualStrategyNumber, F_BYTEAEQ,
				PointerGetDatum(bytea_of_slice(key)));
	MemoryContextSwitchTo(index->context);
	index_rescan(index->scan, index->keys, 2, NULL, 0);
	MemoryContextSwitchTo(open->row_context);

	while (delta_index_next(index, ForwardScanDirection))
	{
		DeltaRow	candidate;

		row_from_slot(index->slot, &candidate, false);
		if (candidate.kind == DELTA_CLAIM || (own_only && !candidate.is_own))
			continue;
		if (!found || candidate.is_own)
			*row = candidate;
		found = true;
		if (!open->may_have_own || candidate.is_own)
			break;
	}
	row->key = key;
	ExecClearTuple(index->slot);
	MemoryContextSwitchTo(old);
	return found;
}

bool
delta_probe(DeltaProbe *probe, int32 table_id, SvSlice key, bool own_only, DeltaRow *row)
{
	/* Own rows are in the filter like all others. */
	if (probe->ask_filter && forest_filter_excludes(table_id, key))
		return false;
	if (probe->index == NULL)
		probe->index = probe_open(probe);
	return probe_index(probe->index, table_id, key, own_only, row);
}

void
delta_probe_end(DeltaProbe *probe)
{
	if (probe->index == NULL)
		return;
	delta_index_close(&probe->index->index);
	MemoryContextDelete(probe->index->context);
}

/* The index scan begins anew between two bounds.  A bound that is open is one condition more on the table. */
static void
scan_between(DeltaScan *scan, bytea *low, bytea *high)
{
	ScanKeyData *keys = scan->index.keys;
	int			nkeys = 0;
	MemoryContext old = MemoryContextSwitchTo(scan->index.context);

	for (int i = 0; i < 1 + (low == NULL) + (high == NULL); i++)
		ScanKeyInit(&keys[nkeys++], Anum_delta_table_id, BTEqualStrategyNumber, F_INT4EQ,
					Int32GetDatum(scan->table_id));
	if (low != NULL)
		ScanKeyInit(&keys[nkeys++], Anum_delta_key, BTGreaterEqualStrategyNumber, F_BYTEAGE,
					PointerGetDatum(low));
	if (high != NULL)
		ScanKeyInit(&keys[nkeys++], Anum_delta_key, BTLessStrategyNumber, F_BYTEALT,
					PointerGetDatum(high));
	Assert(nkeys == lengthof(scan->index.keys));
	index_rescan(scan->index.scan, keys, nkeys, NULL, 0);
	MemoryContextSwitchTo(old);
}

static SvSlice
slice_of_bytea(const bytea *bytes)
{
	return sv_slice(VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
}

/* A key that lies within what has not been read, or NULL. */
static bytea *
next_horizon(DeltaScan *scan)
{
	SvSlice		key;

	if (scan->windows == DELTA_WINDOWS || !scan->horizon(scan->horizon_state, scan->windows, &key) ||
		(scan->low != NULL && sv_slice_compare(key, slice_of_bytea(scan->low)) <= 0) ||
		(scan->high != NULL && sv_slice_compare(key, slice_of_bytea(scan->high)) >= 0))
		return NULL;
	return bytea_of_slice(key);
}

/* The range's windows follow one another without a gap, and no key is in two of them.  False: all were read. */
static bool
next_window(DeltaScan *scan)
{
	MemoryContext old;
	bytea	   *end;

	if (scan->horizon == NULL)
		return false;
	old = MemoryContextSwitchTo(scan->index.context);
	end = next_horizon(scan);
	MemoryContextSwitchTo(old);
	scan->windows++;
	if (end == NULL)
	{
		scan->horizon = NULL;
		scan_between(scan, scan->low, scan->high);
	}
	else if (ScanDirectionIsForward(scan->direction))
	{
		scan_between(scan, scan->low, end);
		scan->low = end;
	}
	else
	{
		scan_between(scan, end, scan->high);
		scan->high = end;
	}
	return true;
}

void
delta_scan_in_windows(DeltaScan *scan, DeltaHorizon horizon, void *state)
{
	scan->horizon = horizon;
	scan->horizon_state = state;
}

static DeltaScan *
scan_begin(int32 table_id, const SvSlice *low, const SvSlice *high, bool backward,
		   bool own_only, bool with_claims, Snapshot snapshot)
{
	DeltaScan  *scan = palloc0(sizeof(DeltaScan));

	/* Most tables are only read most of the time: no relation is opened then, and none locked. */
	scan->at_end = !with_claims && forest_filter_serves(snapshot) && forest_filter_excludes_table(table_id);
	if (scan->at_end)
		return scan;
	scan->table_id = table_id;
	scan->low = low != NULL ? bytea_of_slice(*low) : NULL;
	scan->high = high != NULL ? bytea_of_slice(*high) : NULL;
	delta_index_open(&scan->index, snapshot, lengthof(scan->index.keys));
	scan->direction = backward ? BackwardScanDirection : ForwardScanDirection;
	scan->own_only = own_only;
	scan->with_claims = with_claims;
	scan->may_have_own = transaction_may_have_own();
	for (int i = 0; i < 2; i++)
		scan->row_contexts[i] = AllocSetContextCreate(CurrentMemoryContext, "skyvault delta row",
													  ALLOCSET_SMALL_SIZES);
	return scan;
}

DeltaScan *
delta_scan_begin(int32 table_id, const SvSlice *low, const SvSlice *high,
				 bool backward, bool own_only, Snapshot snapshot)
{
	return scan_begin(table_id, low, high, backward, own_only, false, snapshot);
}

DeltaScan *
delta_scan_begin_with_claims(int32 table_id, const SvSlice *low, Snapshot snapshot)
{
	return scan_begin(table_id, low, NULL, false, false, true, snapshot);
}

/* The next visible row that counts, copied into the given context, which is reset. */
static bool
scan_fetch(DeltaScan *scan, MemoryContext context, DeltaRow *row)
{
	if (!scan->begun && !scan->at_end)
	{
		scan->begun = true;
		if (!next_window(scan))
			scan_between(scan, scan->low, scan->high);
	}
	while (!scan->at_end)
	{
		MemoryContext old;

		if (!delta_index_next(&scan->index, scan->direction))
		{
			scan->at_end = !next_window(scan);
			continue;
		}
		MemoryContextReset(context);
		old = MemoryContextSwitchTo(context);
		row_from_slot(scan->index.slot, row, true);
		MemoryContextSwitchTo(old);
		if ((row->kind != DELTA_CLAIM || scan->with_claims) && (row->is_own || !scan->own_only))
			return true;
	}
	return false;
}

bool
delta_scan_next(DeltaScan *scan, DeltaRow *row)
{
	if (!scan->has_pending)
	{
		if (!scan_fetch(scan, scan->row_contexts[scan->current], row))
			return false;
	}
	else
	{
		scan->current = 1 - scan->current;
		*row = scan->pending;
		scan->has_pending = false;
	}

	/* A second row of the same key comes next in index order, if there is one. */
	while (scan->may_have_own &&
		   scan_fetch(scan, scan->row_contexts[1 - scan->current], &scan->pending))
	{
		if (!sv_slice_equal(scan->pending.key, row->key))
		{
			scan->has_pending = true;
			break;
		}
		if (scan->pending.is_own)
		{
			*row = scan->pending;
			scan->current = 1 - scan->current;
		}
	}
	return true;
}

void
delta_scan_end(DeltaScan *scan)
{
	if (scan->index.scan != NULL)
	{
		delta_index_close(&scan->index);
		MemoryContextDelete(scan->row_contexts[0]);
		MemoryContextDelete(scan->row_contexts[1]);
	}
	pfree(scan);
}

DeltaDeleter *
delta_deleter_begin(Snapshot snapshot, bool own_locks)
{
	DeltaDeleter *deleter = palloc(sizeof(DeltaDeleter));

	deleter->heap = catalog_open(CATALOG_DELTA, RowExclusiveLock);
	deleter->nblocks = RelationGetNumberOfBlocks(deleter->heap);
	deleter->slot = table_slot_create(deleter->heap, NULL);
	deleter->snapshot = snapshot;
	deleter->own_locks = own_locks;
	deleter->row_context = AllocSetContextCreate(CurrentMemoryContext, "skyvault delta row",
												 ALLOCSET_SMALL_SIZES);
	return deleter;
}

/* Whether the slot's row is this version of this key. */
static bool
slot_is_row(DeltaDeleter *deleter, int32 table_id, SvSlice key, TransactionId raw_xmin)
{
	HeapTuple	tuple = ExecFetchSlotHeapTuple(deleter->slot, false, NULL);
	MemoryContext old;
	bytea	   *found;
	bool		isnull;
	bool		same;

	if (HeapTupleHeaderGetRawXmin(tuple->t_data) != raw_xmin ||
		DatumGetInt32(slot_getattr(deleter->slot, Anum_delta_table_id, &isnull)) != table_id)
		return false;

	MemoryContextReset(deleter->row_context);
	old = MemoryContextSwitchTo(deleter->row_context);
	found = DatumGetByteaPP(slot_getattr(deleter->slot, Anum_delta_key, &isnull));
	same = sv_slice_equal(sv_slice(VARDATA_ANY(found), VARSIZE_ANY_EXHDR(found)), key);
	MemoryContextSwitchTo(old);
	return same;
}

/*
 * Between the read of the delta and the publish, the row version may have been
 * changed, deleted, vacuumed away, and its place taken by another row: so it
 * is looked at again, and since the snapshot sees it, its place cannot change
 * hands before the delete.
 */
bool
delta_delete_exactly(DeltaDeleter *deleter, int32 table_id, SvSlice key,
					 ItemPointer tid, TransactionId raw_xmin)
{
	TM_FailureData failure;
	TM_Result	result;
	bool		same;

	if (ItemPointerGetBlockNumber(tid) >= deleter->nblocks ||
		!table_tuple_fetch_row_version(deleter->heap, tid, deleter->snapshot, deleter->slot))
		return false;
	same = slot_is_row(deleter, table_id, key, raw_xmin);
	ExecClearTuple(deleter->slot);
	if (!same)
		return false;

	result = table_tuple_delete(deleter->heap, tid, GetCurrentCommandId(true), deleter->snapshot,
								InvalidSnapshot, deleter->own_locks, &failure, false);
	return result == TM_Ok;
}

void
delta_deleter_end(DeltaDeleter *deleter)
{
	ExecDropSingleTupleTableSlot(deleter->slot);
	table_close(deleter->heap, RowExclusiveLock);
	MemoryContextDelete(deleter->row_context);
	pfree(deleter);
}

void
delta_delete_table(int32 table_id, Snapshot snapshot)
{
	DeltaIndex	index;
	Relation	heap = catalog_open(CATALOG_DELTA, RowExclusiveLock);

	ScanKeyInit(&index.keys[0], Anum_delta_table_id, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(table_id));
	delta_index_open(&index, snapshot, 1);
	index_rescan(index.scan, index.keys, 1, NULL, 0);
	while (delta_index_next(&index, ForwardScanDirection))
	{
		CHECK_FOR_INTERRUPTS();
		simple_table_tuple_delete(heap, &index.slot->tts_tid, snapshot);
	}
	delta_index_close(&index);
	table_close(heap, RowExclusiveLock);
}
