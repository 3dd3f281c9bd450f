/*
 * worker_filter.c
 *		What a scheduler does for the filter over its delta's keys.
 *
 * Before a flush it publishes a new generation, B, beside the old one, A.  What
 * the flush takes out of the delta is in A; what is put meanwhile goes to B.
 * A is dropped, later, once B has the keys of all rows:
 *
 *	1. Every transaction that was running when B was published has ended, as
 *	   its virtual xid tells.  So whoever inserts a row from now on adds its key
 *	   to B, or to what comes after B, and all that was inserted otherwise is in
 *	   the heap.  (A prepared transaction inserts nothing any more.)
 *	2. Under a snapshot that is taken then, and kept, the heap is read from end
 *	   to end, and every row version that is not dead to all goes to B.  What is
 *	   live or in progress when that snapshot is taken, or visible to any older
 *	   one, cannot be removed before the end, so it is met, wherever its page
 *	   is.  A later version of such a row, on whatever page, has the same key.
 *
 * If the flush's deletions are not dead to all yet, the heap still has what B
 * shall get rid of: so there is some patience before step 2, for ten seconds or
 * until the next flush, which needs A's place.  A flush that cannot have it lets
 * things be.
 *
 * After a restart there is no A, and readers look into the delta until B is
 * complete.
 *
 * If this process dies, the next scheduler takes the list of running
 * transactions anew, which has all of the old one that still run.  If none
 * runs, nothing is dropped.
 */
#include "postgres.h"

#include "worker/worker_filter.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "forest/forest_catalog.h"
#include "forest/forest_filter.h"
#include "forest/forest_filter_trigger.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/stop_point.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/worker_transaction.h"

/* Pauses between looks at what has to end, each twice the last. */
#define FIRST_PAUSE_MS	10
#define LONGEST_PAUSE_MS 10000

/* What is known of the generation that is not complete. */
static FilterState published = 0;	/* the state that this is about */
static VirtualTransactionId *running = NULL;	/* since it was published */
static int	nrunning = 0;
static TransactionId patience_until = InvalidTransactionId; /* xids from here on do not matter to step 2 */
static int	pause_ms = FIRST_PAUSE_MS;
static TimestampTz look_at = 0;

static void
note_published(FilterState state)
{
	VirtualTransactionId *now;

	/* Not VACUUM, which may run for hours and inserts nothing. */
	now = GetCurrentVirtualXIDs(InvalidTransactionId, false, false, PROC_IN_VACUUM, &nrunning);
	running = MemoryContextAlloc(TopMemoryContext, Max(nrunning, 1) * sizeof(VirtualTransactionId));
	memcpy(running, now, nrunning * sizeof(VirtualTransactionId));
	pfree(now);
	patience_until = InvalidTransactionId;
	pause_ms = FIRST_PAUSE_MS;
	look_at = 0;
	published = state;
}

static void
forget_published(void)
{
	if (running != NULL)
		pfree(running);
	running = NULL;
	published = 0;
}

/*
 * Step 1.  The list has prepared transactions as well, under the virtual xid
 * that they had: the backend of that runs another one, or none.
 */
static bool
all_have_ended(void)
{
	int			left = 0;

	for (int i = 0; i < nrunning; i++)
	{
		PGPROC	   *proc = compat_vxid_proc(running[i]);

		if (proc != NULL && compat_proc_lxid(proc) == running[i].localTransactionId)
			running[left++] = running[i];
	}
	nrunning = left;
	pg_memory_barrier();
	return nrunning == 0;
}

static void
add_tuple(HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	int32		table_id = DatumGetInt32(heap_getattr(tuple, Anum_delta_table_id, desc, &isnull));
	bytea	   *key = DatumGetByteaPP(heap_getattr(tuple, Anum_delta_key, desc, &isnull));

	forest_filter_add(table_id, sv_slice(VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
}

/*
 * Adds the keys of a page.  Works on a copy: a key may have to be fetched from
 * elsewhere, and that is nothing to do with a buffer locked.
 */
static void
add_page(Relation heap, BlockNumber block, BufferAccessStrategy strategy, TransactionId oldest)
{
	PGAlignedBlock copy;
	OffsetNumber keep[MaxHeapTuplesPerPage];
	int			nkeep = 0;
	Buffer		buffer = ReadBufferExtended(heap, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
	Page		page = BufferGetPage(buffer);
	HeapTupleData tuple;

	tuple.t_tableOid = RelationGetRelid(heap);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	for (OffsetNumber offset = FirstOffsetNumber;
		 offset <= (PageIsNew(page) ? 0 : PageGetMaxOffsetNumber(page)); offset++)
	{
		ItemId		item = PageGetItemId(page, offset);

		if (!ItemIdIsNormal(item))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		ItemPointerSet(&tuple.t_self, block, offset);
		if (HeapTupleSatisfiesVacuum(&tuple, oldest, buffer) != HEAPTUPLE_DEAD)
			keep[nkeep++] = offset;
	}
	memcpy(copy.data, page, BLCKSZ);
	UnlockReleaseBuffer(buffer);

	for (int i = 0; i < nkeep; i++)
	{
		ItemId		item = PageGetItemId(copy.data, keep[i]);

		tuple.t_data = (HeapTupleHeader) PageGetItem(copy.data, item);
		tuple.t_len = ItemIdGetLength(item);
		add_tuple(&tuple, RelationGetDescr(heap));
	}
}

static void
add_heap(Relation heap, TransactionId oldest)
{
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	BlockNumber nblocks = RelationGetNumberOfBlocks(heap);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault delta page",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (BlockNumber block = 0; block < nblocks; block++)
	{
		CHECK_FOR_INTERRUPTS();
		STOP_POINT("delta-filter-page");
		add_page(heap, block, strategy, oldest);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	FreeAccessStrategy(strategy);
}

/*
 * Step 2, in a transaction whose snapshot is active.  False if it is not the
 * time for it.  Who rewrites the table or changes its triggers has it locked
 * against this lock, and until he has told what he did; nobody waits for him.
 */
static bool
read_heap(bool patient)
{
	Oid			relid;
	Relation	heap;
	TransactionId oldest;
	bool		done = false;

	if (!catalog_exists())
		return false;
	relid = catalog_oid(CATALOG_DELTA);
	if (!ConditionalLockRelationOid(relid, RowExclusiveLock))
		return false;
	heap = try_table_open(relid, NoLock);
	if (heap == NULL)
		return false;

	oldest = GetOldestNonRemovableTransactionId(heap);
	if (heap->rd_rel->relam == HEAP_TABLE_AM_OID && forest_filter_is_fed(heap) &&
		!(patient && TransactionIdIsValid(patience_until) &&
		  TransactionIdPrecedes(oldest, patience_until)))
	{
		add_heap(heap, oldest);
		done = true;
	}
	table_close(heap, NoLock);
	return done;
}

/* An error, as with a page that cannot be read, leaves the generation as it is: not complete. */
static bool
try_read_heap(bool patient)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		worker_transaction_begin();
		done = read_heap(patient);
		worker_transaction_commit();
		MemoryContextSwitchTo(context);
	}
	PG_CATCH();
	{
		FreeErrorData(worker_transaction_recover(context));
		done = false;
	}
	PG_END_TRY();
	return done;
}

/* Whether the state is COMPLETE, perhaps by this call. */
static bool
try_complete(FilterState state, bool patient)
{
	bool		done;

	if (forest_filter_phase(state) == FILTER_COMPLETE)
		return true;
	if (published != state)
	{
		/* A scheduler before this one has published it. */
		forget_published();
		note_published(state);
	}
	done = all_have_ended() && try_read_heap(patient) && forest_filter_complete(state);
	if (done)
		forget_published();
	return done;
}

static void
publish(FilterState state)
{
	forget_published();
	if (forest_filter_publish(state))
		note_published(forest_filter_state());
}

void
worker_filter_before_flush(void)
{
	FilterState state;

	if (!forest_filter_claim())
		return;
	state = forest_filter_state();
	if (forest_filter_phase(state) == FILTER_UNKNOWN || !try_complete(state, false))
		return;
	state = forest_filter_state();
	if (forest_filter_phase(state) == FILTER_COMPLETE && !forest_filter_is_empty(state))
		publish(state);
}

void
worker_filter_after_flush(void)
{
	if (published == 0 || forest_filter_phase(published) != FILTER_BOTH)
		return;
	patience_until = XidFromFullTransactionId(ReadNextFullTransactionId());
	pause_ms = FIRST_PAUSE_MS;
	look_at = 0;
}

TimestampTz
worker_filter_upkeep(void)
{
	FilterState state;

	if (!forest_filter_claim())
		return DT_NOEND;
	state = forest_filter_state();
	if (forest_filter_phase(state) == FILTER_UNKNOWN)
		publish(state);
	state = forest_filter_state();
	if (state == published && GetCurrentTimestamp() < look_at)
		return look_at;
	if (forest_filter_phase(state) == FILTER_UNKNOWN || !try_complete(state, pause_ms < LONGEST_PAUSE_MS))
	{
		look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause_ms);
		pause_ms = Min(pause_ms * 2, LONGEST_PAUSE_MS);
		return look_at;
	}
	return DT_NOEND;
}

void
worker_filter_leave(void)
{
	forget_published();
	forest_filter_release(MyDatabaseId);
}
