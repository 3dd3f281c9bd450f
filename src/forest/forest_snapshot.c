/*
 * forest_snapshot.c
 *		Which forest does a Postgres snapshot see?
 *
 * When is a forest that was found for one snapshot right for another one, S,
 * with no look at the changelog?  Never if S is no MVCC snapshot, if S was
 * taken during recovery (for a basis), if this transaction has changed the
 * forest itself, or in a SERIALIZABLE one, whose reads are to leave their
 * predicate locks.  Otherwise in two cases.
 *
 * Equal value.  If S has the xmin, xmax and lists of running transactions of a
 * snapshot P for which the changelog was looked at, S sees what P saw.  One
 * exception: no snapshot lists its own transaction, so one that changes the
 * forest and commits may turn up in a snapshot of the same value.  But that
 * transaction was one of this process, which therefore remembers no value
 * beyond a change of its own.  Parallel workers, and snapshots imported from
 * elsewhere, are no different: a value is a value.
 *
 * A basis.  When `changes` = c was read, all changes that it counts were over,
 * and only then a snapshot L was taken, and the changelog looked at under L:
 * what changed the forest before is in L's sight (see forest_shmem.h).  If
 * `changes` is still c, read after S was taken, then no change that L has not in
 * sight can be in S's.  It remains to know that S sees all that L sees, of which
 * there are two proofs.
 *
 *	 - S.xmin >= L.xmax: S sees whatever has committed below its xmin, and L sees
 *	   nothing at or above its xmax.  This is about the meaning of a snapshot, so
 *	   it does not matter where S comes from, or who took it.
 *
 *	 - S was not taken before L.  For snapshots that this process took itself on
 *	   a primary, S.xmax > L.xmax proves it, or S.xmax = L.xmax with no more
 *	   running transactions in S than in L: for xmax only grows (it follows the
 *	   newest xid that has ended), and as long as it stands, the set of running
 *	   top-level transactions below it only shrinks, because whoever gets an xid
 *	   gets one that is not below.  So snapshots of one xmax are nested, and fewer
 *	   or as many members mean the same time or a later one.
 *	   A snapshot leaves out its own transaction.  If S were older than L, both
 *	   were taken in one top-level transaction, the current one, because snapshots
 *	   do not outlive theirs; and if its xid is below their common xmax, it was
 *	   assigned before both were taken (a later one has ended by then, which made
 *	   the xmax) and is left out of both.
 *	   A transaction is listed twice while it is being prepared, so of L
 *	   different xids are counted; that S counts one twice only refuses it.
 *	   Subtransactions do not matter (xip lists top-level ones, overflowed or
 *	   not), nor do VACUUMs, which are left out from their beginning to their end.
 *	   A transaction under READ COMMITTED cannot import a snapshot, and a
 *	   parallel worker, which works with its leader's, builds no basis.  Under
 *	   REPEATABLE READ the snapshot may be an imported one, even of logical
 *	   decoding, which lists other things: there only the first proof counts.
 *
 * Xids are compared modulo 2^32: a basis older than 2^31 of them is refused at
 * worst.
 *
 * A basis costs one more snapshot and probe.  It is built when a second probe
 * has found what the first did and `changes` stood still in between; so where
 * changes are frequent, nothing is paid in vain.
 */
#include "postgres.h"

#include "forest/forest_snapshot.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "forest/forest_arena.h"
#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_registry.h"
#include "forest/forest_shmem.h"
#include "forest/forest_xact.h"
#include "lib/ilist.h"
#include "lib/qunique.h"
#include "server/stop_point.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/*
 * Forests kept although nobody uses them: the newest, what an older snapshot
 * may still ask for, and what forest_peek has promised.
 */
#define CACHED_FORESTS 4

/* What decides which transactions an MVCC snapshot sees. */
typedef struct SnapshotValue
{
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	bool		suboverflowed;
	bool		taken_during_recovery;
	TransactionId *xids;		/* xip, then subxip */
	uint32		capacity;		/* of xids */
} SnapshotValue;

typedef struct CachedForest
{
	dlist_node	node;			/* in cached_forests, most recently used first */
	MemoryContext context;		/* holds this struct, and the forest if it is not in the arena */
	const LsmForest *forest;	/* NULL: let go of, at the end of a transaction */
	int			arena_entry;	/* pinned as long as there is a forest; or FOREST_ARENA_NONE */
	int			arena_guess;	/* where it was last */
	Oid			registry;		/* relation oid of skyvault.run: another one after DROP and CREATE EXTENSION */
	int32		vault_id;
	int64		changelog_id;
	bool		is_private;		/* of one call: not to be found by others */
	int			pins;			/* contexts that use it */

	/* The last probe that has found this forest. */
	bool		has_probe;
	SnapshotValue probed;
	uint64		probe_changes;	/* forest_changes_count before it */
	uint64		own_changes;	/* forest_xact_own_changes then */

	bool		has_basis;
	uint64		basis_changes;	/* c, and of L: */
	TransactionId basis_xmax;
	uint32		basis_running;	/* different xids */
} CachedForest;

static dlist_head cached_forests = DLIST_STATIC_INIT(cached_forests);
static ForestSnapshotStats stats;

static void
unpin(void *arg)
{
	CachedForest *cached = arg;

	cached->pins--;
}

/* The callback runs when the context that uses the forest is reset, at an error as well. */
static void
pin(CachedForest *cached)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = unpin;
	callback->arg = cached;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	cached->pins++;
}

static CachedForest *
find_cached(int32 vault_id, int64 changelog_id, Oid registry)
{
	dlist_iter	iter;

	dlist_foreach(iter, &cached_forests)
	{
		CachedForest *cached = dlist_container(CachedForest, node, iter.cur);

		if (cached->vault_id == vault_id && cached->changelog_id == changelog_id &&
			cached->registry == registry && !cached->is_private)
			return cached;
	}
	return NULL;
}

static void
let_go(CachedForest *cached)
{
	if (cached->arena_entry == FOREST_ARENA_NONE)
		return;
	forest_arena_unpin(cached->arena_entry);
	cached->arena_entry = FOREST_ARENA_NONE;
	cached->forest = NULL;
}

/* What is known of the forests stays, so that the next transaction finds them again without a probe. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	dlist_iter	iter;

	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PARALLEL_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	dlist_foreach(iter, &cached_forests)
	{
		CachedForest *cached = dlist_container(CachedForest, node, iter.cur);

		if (cached->pins == 0)
			let_go(cached);
	}
}

/* Pinned ones are not counted, or they would leave no room for what was peeked at last. */
static void
evict(void)
{
	dlist_mutable_iter iter;
	int			unused = 0;

	dlist_foreach_modify(iter, &cached_forests)
	{
		CachedForest *cached = dlist_container(CachedForest, node, iter.cur);

		if (cached->pins > 0 || ++unused <= CACHED_FORESTS)
			continue;
		let_go(cached);
		dlist_delete(&cached->node);
		MemoryContextDelete(cached->context);
	}
}

/*
 * Gets hold of the forest: from the arena, or from the registry as the
 * snapshot sees it, and then for the arena, if others may find it and there is room.
 */
static void
take_forest(CachedForest *cached, Snapshot snapshot)
{
	ForestKey	key = {cached->registry, cached->vault_id, cached->changelog_id};
	MemoryContext context;
	LsmForest  *own;

	if (!cached->is_private)
		cached->arena_entry = forest_arena_pin(&key, cached->arena_guess, &cached->forest);
	if (cached->arena_entry == FOREST_ARENA_NONE)
	{
		context = AllocSetContextCreate(CurrentMemoryContext, "skyvault forest", ALLOCSET_DEFAULT_SIZES);
		own = registry_read_forest(cached->vault_id, snapshot, context);
		if (!cached->is_private)
			cached->arena_entry = forest_arena_put(&key, own, &cached->forest);
		if (cached->arena_entry == FOREST_ARENA_NONE)
		{
			MemoryContextSetParent(context, cached->context);
			cached->forest = own;
		}
		else
			MemoryContextDelete(context);
	}
	cached->arena_guess = cached->arena_entry;
}

/*
 * Numbers that this transaction has given itself may never be, and be given
 * again: what it sees of them is for nobody else.
 */
static CachedForest *
build_cached(int32 vault_id, const ChangelogTip *tip, Oid registry, Snapshot snapshot)
{
	static bool registered = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault cached forest",
												  ALLOCSET_SMALL_SIZES);
	CachedForest *cached = MemoryContextAllocZero(context, sizeof(CachedForest));

	if (!registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		registered = true;
	}
	cached->context = context;
	cached->registry = registry;
	cached->vault_id = vault_id;
	cached->changelog_id = tip->newest_id;
	cached->is_private = tip->has_unnumbered || forest_xact_has_changed_forest();
	cached->arena_entry = cached->arena_guess = FOREST_ARENA_NONE;
	take_forest(cached, snapshot);

	/* Complete: nothing that fails can leak it any more. */
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_head(&cached_forests, &cached->node);
	return cached;
}

static bool
value_equals(const SnapshotValue *value, Snapshot snapshot)
{
	return value->xmax == snapshot->xmax && value->xmin == snapshot->xmin &&
		value->xcnt == snapshot->xcnt && value->subxcnt == snapshot->subxcnt &&
		value->suboverflowed == snapshot->suboverflowed &&
		value->taken_during_recovery == snapshot->takenDuringRecovery &&
		(value->xcnt == 0 ||
		 memcmp(value->xids, snapshot->xip, value->xcnt * sizeof(TransactionId)) == 0) &&
		(value->subxcnt == 0 ||
		 memcmp(value->xids + value->xcnt, snapshot->subxip, value->subxcnt * sizeof(TransactionId)) == 0);
}

/* *value is unusable if this fails. */
static void
value_set(SnapshotValue *value, MemoryContext context, Snapshot snapshot)
{
	uint32		n = snapshot->xcnt + snapshot->subxcnt;

	if (n > value->capacity)
	{
		if (value->xids != NULL)
			pfree(value->xids);
		value->xids = NULL;
		value->capacity = 0;
		value->xids = MemoryContextAllocHuge(context, n * sizeof(TransactionId));
		value->capacity = n;
	}
	value->xmin = snapshot->xmin;
	value->xmax = snapshot->xmax;
	value->xcnt = snapshot->xcnt;
	value->subxcnt = snapshot->subxcnt;
	value->suboverflowed = snapshot->suboverflowed;
	value->taken_during_recovery = snapshot->takenDuringRecovery;
	if (snapshot->xcnt > 0)
		memcpy(value->xids, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
	if (snapshot->subxcnt > 0)
		memcpy(value->xids + snapshot->xcnt, snapshot->subxip, snapshot->subxcnt * sizeof(TransactionId));
}

/* Whether what is known of other snapshots may serve this one, and the other way round. */
static bool
may_leave_probe_out(Snapshot snapshot)
{
	return snapshot->snapshot_type == SNAPSHOT_MVCC && !forest_xact_has_changed_forest() &&
		!IsolationIsSerializable();
}

static bool
basis_covers(const CachedForest *cached, Snapshot snapshot, uint64 changes)
{
	if (!cached->has_basis || cached->basis_changes != changes || snapshot->takenDuringRecovery)
		return false;
	if (TransactionIdFollowsOrEquals(snapshot->xmin, cached->basis_xmax))
		return true;
	if (IsolationUsesXactSnapshot())
		return false;
	return TransactionIdFollows(snapshot->xmax, cached->basis_xmax) ||
		(snapshot->xmax == cached->basis_xmax && snapshot->xcnt <= cached->basis_running);
}

static bool
probe_covers(const CachedForest *cached, Snapshot snapshot)
{
	return cached->has_probe && cached->own_changes == forest_xact_own_changes() &&
		value_equals(&cached->probed, snapshot);
}

static CachedForest *
find_without_probe(int32 vault_id, Oid registry, Snapshot snapshot)
{
	uint64		changes = forest_changes_count();
	dlist_iter	iter;

	dlist_foreach(iter, &cached_forests)
	{
		CachedForest *cached = dlist_container(CachedForest, node, iter.cur);

		if (cached->vault_id == vault_id && cached->registry == registry &&
			(basis_covers(cached, snapshot, changes) || probe_covers(cached, snapshot)))
			return cached;
	}
	return NULL;
}

static uint32
different_xids(Snapshot snapshot)
{
	TransactionId *xids;
	uint32		n;

	if (snapshot->xcnt < 2)
		return snapshot->xcnt;
	xids = palloc(snapshot->xcnt * sizeof(TransactionId));
	memcpy(xids, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
	qsort(xids, snapshot->xcnt, sizeof(TransactionId), xidComparator);
	n = qunique(xids, snapshot->xcnt, sizeof(TransactionId), xidComparator);
	pfree(xids);
	return n;
}

/* The order matters: the counters, then the snapshot, then the changelog. */
static void
try_basis(CachedForest *cached)
{
	Snapshot	latest;
	ChangelogTip tip;
	uint64		changes;

	if (IsInParallelMode() || IsParallelWorker() || HistoricSnapshotActive() ||
		!forest_changes_all_over(&changes))
		return;
	STOP_POINT("forest-changes-over");
	latest = RegisterSnapshot(GetLatestSnapshot());
	tip = changelog_tip(cached->vault_id, latest);
	if (!latest->takenDuringRecovery && !tip.has_unnumbered && tip.newest_id == cached->changelog_id)
	{
		cached->basis_changes = changes;
		cached->basis_xmax = latest->xmax;
		cached->basis_running = different_xids(latest);
		cached->has_basis = true;
	}
	UnregisterSnapshot(latest);
}

/* A probe under the snapshot has found this forest; changes: counted before. */
static void
note_probe(CachedForest *cached, Snapshot snapshot, uint64 changes)
{
	bool		is_steady = cached->has_probe && cached->probe_changes == changes;

	cached->has_probe = false;
	value_set(&cached->probed, cached->context, snapshot);
	cached->probe_changes = changes;
	cached->own_changes = forest_xact_own_changes();
	cached->has_probe = true;

	if (is_steady && !snapshot->takenDuringRecovery &&
		!(cached->has_basis && cached->basis_changes == changes))
		try_basis(cached);
}

static CachedForest *
probe_forest(int32 vault_id, Oid registry, Snapshot snapshot)
{
	uint64		changes = forest_changes_count();
	ChangelogTip tip = changelog_tip(vault_id, snapshot);
	CachedForest *cached = NULL;

	stats.probes++;
	if (!tip.has_unnumbered && !forest_xact_has_changed_forest())
		cached = find_cached(vault_id, tip.newest_id, registry);
	if (cached == NULL)
		cached = build_cached(vault_id, &tip, registry, snapshot);
	if (!tip.has_unnumbered && may_leave_probe_out(snapshot))
		note_probe(cached, snapshot, changes);
	return cached;
}

static CachedForest *
find_forest(int32 vault_id, Snapshot snapshot)
{
	Oid			registry = catalog_oid(CATALOG_RUN);
	CachedForest *cached = NULL;

	STOP_POINT("forest-of-snapshot");
	stats.calls++;
	if (may_leave_probe_out(snapshot))
		cached = find_without_probe(vault_id, registry, snapshot);
	if (cached == NULL)
		cached = probe_forest(vault_id, registry, snapshot);
	if (cached->forest == NULL)
		take_forest(cached, snapshot);
	if (dlist_head_node(&cached_forests) != &cached->node)
		dlist_move_head(&cached_forests, &cached->node);
	return cached;
}

const LsmForest *
forest_of_snapshot(int32 vault_id, Snapshot snapshot)
{
	CachedForest *cached = find_forest(vault_id, snapshot);

	pin(cached);
	evict();
	return cached->forest;
}

const LsmForest *
forest_peek(int32 vault_id, Snapshot snapshot)
{
	CachedForest *cached = find_forest(vault_id, snapshot);

	evict();
	return cached->forest;
}

const LsmForest *
forest_last_used(int32 vault_id)
{
	const CachedForest *cached;

	if (dlist_is_empty(&cached_forests))
		return NULL;
	cached = dlist_container(CachedForest, node, dlist_head_node(&cached_forests));
	return cached->vault_id == vault_id ? cached->forest : NULL;
}

ForestSnapshotStats
forest_snapshot_stats(void)
{
	return stats;
}
