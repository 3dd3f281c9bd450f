/*
 * compact_share.c
 *		Parts of jobs in shared memory.
 *
 * What is said of a part there is guarded by the lock of worker_slot.h.  The
 * area is made before the job is laid open, and a result is in it before its
 * part is done; so who sees either may read it.
 */
#include "postgres.h"

#include "worker/compact_share.h"

#include "lsm/lsm_wire.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"
#include "worker/worker_chore.h"
#include "worker/worker_slot.h"
#include "worker/worker_transaction.h"

/* Somebody who has ended is noticed by then. */
#define RECHECK_MS 1000

/* What others need of a plan, before its tables and the job. */
typedef struct ShareHead
{
	ForestVault vault;
	int64		job_id;
	int64		expired_before;
	size_t		read_ahead_bytes;
	int			ntables;
} ShareHead;

/* The owner's: the area, and the state of the parts when the job was closed. */
static dsa_area *own_area = NULL;
static PoolShare closed;

static PoolPlace *
place_of(int index)
{
	return &worker_shared->pool.places[index];
}

static PoolShare *
own_share(void)
{
	return &place_of(worker_pool_index())->share;
}

/* Needs the lock.  -1: none is open. */
static int
find_open(const PoolShare *share)
{
	for (int i = 0; i < share->nparts && !share->is_closed; i++)
		if (share->parts[i].state == PART_OPEN)
			return i;
	return -1;
}

/* Needs the lock. */
static void
take(PoolShare *share, int part)
{
	int			me = worker_pool_index();

	share->parts[part].state = PART_TAKEN;
	share->parts[part].place = me;
	if ((share->workers_seen & (UINT64CONST(1) << me)) == 0)
		share->workers++;
	share->workers_seen |= UINT64CONST(1) << me;
}

/* Bytes of this process into an area. */
static dsa_pointer
put_in_area(dsa_area *area, const void *data, size_t len)
{
	dsa_pointer pointer = dsa_allocate_extended(area, len, DSA_ALLOC_HUGE);

	memcpy(dsa_get_address(area, pointer), data, len);
	return pointer;
}

/*
 * For the owner
 */

static void
serialise(SvBuffer *bytes, const CompactPlan *plan, const LsmParts *parts)
{
	ShareHead	head;
	SvError		err;

	memset(&head, 0, sizeof(head));
	head.vault = plan->vault;
	head.job_id = plan->job_id;
	head.expired_before = plan->expired_before;
	head.read_ahead_bytes = plan->read_ahead_bytes;
	head.ntables = plan->ntables;
	sv_buffer_init(bytes, &plan->alloc);
	PG_STATUS_CHECK(sv_buffer_append(bytes, &head, sizeof(head), &err), &err);
	if (plan->ntables > 0)
		PG_STATUS_CHECK(sv_buffer_append(bytes, plan->tables, plan->ntables * sizeof(CompactTable), &err), &err);
	PG_STATUS_CHECK(lsm_wire_put_job(bytes, plan->job, parts, &err), &err);
}

static void
make_area(PoolShare *share, const CompactPlan *plan, const LsmParts *parts)
{
	SvBuffer	bytes;

	serialise(&bytes, plan, parts);
	own_area = dsa_create(worker_shared->lock->tranche);
	dsa_pin_mapping(own_area);
	share->area = dsa_get_handle(own_area);
	share->job = put_in_area(own_area, bytes.data, bytes.len);
	share->job_bytes = bytes.len;
	sv_buffer_free(&bytes);
}

void
compact_share_open(const CompactPlan *plan, const LsmParts *parts)
{
	PoolShare  *share = own_share();
	PoolShare	made = {
		.nparts = parts->nparts,.workers = 1,.workers_seen = UINT64CONST(1) << worker_pool_index()
	};

	memset(&closed, 0, sizeof(closed));
	PG_TRY();
	{
		make_area(&made, plan, parts);
	}
	PG_CATCH();
	{
		/* The machine has no more shared memory: then the owner does all of it. */
		(void) worker_transaction_recover(plan->context);
		made.alone = true;
	}
	PG_END_TRY();
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	*share = made;
	LWLockRelease(worker_shared->lock);
	worker_chore_wake(CHORE_COMPACT);
}

int
compact_share_take(void)
{
	PoolShare  *share = own_share();
	bool		all_done = false;
	int			part = -1;

	for (;;)
	{
		WorkerSlot *slot;

		LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
		slot = worker_slot_find(MyDatabaseId);
		part = find_open(share);
		if (part >= 0)
			take(share, part);
		all_done = true;
		for (int i = 0; i < share->nparts; i++)
			all_done &= share->parts[i].state == PART_DONE;
		LWLockRelease(worker_shared->lock);
		if (part >= 0 || all_done)
			break;
		if (slot == NULL)
			elog(ERROR, "the database has no slot any more");
		ConditionVariableTimedSleep(&slot->changed, RECHECK_MS, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return part;
}

void
compact_share_done(int part)
{
	PoolShare  *share = own_share();

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	share->parts[part].state = PART_DONE;
	share->parts[part].result = InvalidDsaPointer;
	LWLockRelease(worker_shared->lock);
}

void
compact_share_close(void)
{
	PoolShare  *share = own_share();

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	if (share->nparts > 0 && !share->is_closed)
	{
		closed = *share;
		share->is_closed = true;
	}
	LWLockRelease(worker_shared->lock);
}

void
compact_share_release(void)
{
	compact_share_close();
	memset(&closed, 0, sizeof(closed));
	if (own_area != NULL)
		dsa_detach(own_area);
	own_area = NULL;
}

bool
compact_share_result(int part, LsmResult *result)
{
	const PoolPart *from = &closed.parts[part];
	SvError		err;

	if (part >= closed.nparts || from->state != PART_DONE || !DsaPointerIsValid(from->result))
		return false;
	PG_STATUS_CHECK(lsm_wire_get_result(sv_slice(dsa_get_address(own_area, from->result), from->result_bytes),
										result, &err), &err);
	return true;
}

void
compact_share_counts(int *parts, int *workers)
{
	*parts = Max(closed.nparts, 1);
	*workers = Max(closed.workers, 1);
}

/*
 * For others
 */

/* Needs the lock.  The place of the job's owner; -1: nothing is offered. */
static int
find_offer(void)
{
	for (int i = 0; i < POOL_PLACES; i++)
	{
		const PoolPlace *place = place_of(i);

		if (place->state == POOL_RUNNING && place->dboid == MyDatabaseId && !place->share.alone &&
			find_open(&place->share) >= 0)
			return i;
	}
	return -1;
}

bool
compact_share_is_offered(void)
{
	bool		offered;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	offered = find_offer() >= 0;
	LWLockRelease(worker_shared->lock);
	return offered;
}

/*
 * Needs the lock.  NULL: the job is not shared any more.  Another job may be in
 * its place, even one with the same id, but not with the same area: its handle
 * is given to no other while this process looks at it.
 */
static PoolShare *
share_of(const ShareOffer *offer)
{
	PoolPlace  *place = place_of(offer->owner);

	if (place->state != POOL_RUNNING || place->dboid != MyDatabaseId || place->job_id != offer->job_id ||
		place->share.nparts == 0 || place->share.is_closed || place->share.area != offer->handle)
		return NULL;
	return &place->share;
}

static CompactPlan *
read_plan(const char *bytes, size_t len, LsmParts *parts)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault part of a compaction",
												  ALLOCSET_DEFAULT_SIZES);
	CompactPlan *plan = MemoryContextAllocZero(context, sizeof(CompactPlan));
	ShareHead	head;
	size_t		tables_bytes;
	SvError		err;

	memcpy(&head, bytes, sizeof(head));
	tables_bytes = head.ntables * sizeof(CompactTable);
	plan->context = context;
	plan->alloc = pg_status_alloc(context);
	plan->vault = head.vault;
	plan->expired_before = head.expired_before;
	plan->read_ahead_bytes = head.read_ahead_bytes;
	plan->ntables = head.ntables;
	plan->tables = MemoryContextAlloc(context, Max(tables_bytes, 1));
	memcpy(plan->tables, bytes + sizeof(head), tables_bytes);
	PG_STATUS_CHECK(lsm_wire_get_job(sv_slice(bytes + sizeof(head) + tables_bytes, len - sizeof(head) - tables_bytes),
									 &plan->alloc, &plan->job, parts, &err), &err);
	plan->job_id = head.job_id;
	return plan;
}

bool
compact_share_look(ShareOffer *offer)
{
	PoolShare	share = {0};

	memset(offer, 0, sizeof(ShareOffer));
	LWLockAcquire(worker_shared->lock, LW_SHARED);
	offer->owner = find_offer();
	if (offer->owner >= 0)
	{
		offer->job_id = place_of(offer->owner)->job_id;
		share = place_of(offer->owner)->share;
		offer->handle = share.area;
	}
	LWLockRelease(worker_shared->lock);
	if (offer->owner < 0)
		return false;

	/* If the owner has just gone, this fails, or what is found is not looked at any more. */
	offer->area = dsa_attach(share.area);
	dsa_pin_mapping(offer->area);
	if (!compact_share_is_there(offer))
		return false;
	offer->plan = read_plan(dsa_get_address(offer->area, share.job), share.job_bytes, &offer->parts);
	return true;
}

void
compact_share_leave(ShareOffer *offer)
{
	worker_pool_set_job(0, 0);
	if (offer->plan != NULL)
		MemoryContextDelete(offer->plan->context);
	offer->plan = NULL;
	if (offer->area != NULL)
		dsa_detach(offer->area);
	offer->area = NULL;
}

int
compact_share_take_of(ShareOffer *offer)
{
	PoolShare  *share;
	bool		more = false;
	int			part = -1;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	share = share_of(offer);
	if (share != NULL && !share->alone)
		part = find_open(share);
	if (part >= 0)
	{
		take(share, part);
		more = find_open(share) >= 0;
		place_of(worker_pool_index())->job_id = offer->job_id;
		place_of(worker_pool_index())->helps = offer->owner + 1;
	}
	LWLockRelease(worker_shared->lock);
	if (more)
		worker_chore_wake(CHORE_COMPACT);
	return part;
}

bool
compact_share_is_there(const ShareOffer *offer)
{
	bool		there;

	LWLockAcquire(worker_shared->lock, LW_SHARED);
	there = share_of(offer) != NULL;
	LWLockRelease(worker_shared->lock);
	return there;
}

/* Needs the lock. */
static bool
is_taken_by_me(const PoolShare *share, int part)
{
	return part < share->nparts && share->parts[part].state == PART_TAKEN &&
		share->parts[part].place == worker_pool_index();
}

/* Its progress is the job's from now on. */
static void
add_progress(PoolProgress *to, const LsmCompactCounts *counts)
{
	PoolProgress none = {0};

	to->entries_in += counts->entries_in;
	to->entries_out += counts->entries_out;
	to->bytes_in += counts->bytes_in;
	to->bytes_out += counts->bytes_out;
	worker_pool_set_progress(&none);
}

bool
compact_share_hand_in(const ShareOffer *offer, int part, const LsmResult *result)
{
	SvBuffer	bytes;
	dsa_pointer pointer;
	PoolShare  *share;
	bool		taken;
	SvError		err;

	sv_buffer_init(&bytes, &offer->plan->alloc);
	PG_STATUS_CHECK(lsm_wire_put_result(&bytes, result, &err), &err);
	pointer = put_in_area(offer->area, bytes.data, bytes.len);
	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	share = share_of(offer);
	taken = share != NULL && is_taken_by_me(share, part);
	if (taken)
	{
		share->parts[part].state = PART_DONE;
		share->parts[part].result = pointer;
		share->parts[part].result_bytes = bytes.len;
		add_progress(&share->done, &result->counts);
	}
	LWLockRelease(worker_shared->lock);
	sv_buffer_free(&bytes);
	worker_slot_tell_waiters();
	return taken;
}

void
compact_share_give_up(const ShareOffer *offer)
{
	PoolShare  *share;

	LWLockAcquire(worker_shared->lock, LW_EXCLUSIVE);
	share = share_of(offer);
	if (share != NULL)
	{
		share->alone = true;
		for (int i = 0; i < share->nparts; i++)
			if (is_taken_by_me(share, i))
				share->parts[i].state = PART_OPEN;
	}
	LWLockRelease(worker_shared->lock);
	worker_slot_tell_waiters();
}
