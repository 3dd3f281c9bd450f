/*
 * forest_pending.c
 *		See forest_pending.h.
 */
#include "postgres.h"

#include "forest/forest_pending.h"

#include "access/twophase.h"
#include "access/xact.h"
#include "forest/forest_traffic.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#define TRANCHE "skyvault_pending"

/* What does not fit goes to the last. */
#define MAX_VAULTS 8

typedef struct Pending
{
	int			n;
	struct
	{
		int32		vault_id;
		uint64		bytes;
	}			vaults[MAX_VAULTS];
} Pending;

/* As it was before the subtransaction of this nesting level first put something. */
typedef struct SavedPending
{
	int			level;
	Pending		pending;
	struct SavedPending *outer;
} SavedPending;

typedef struct PreparedPending
{
	char		gid[GIDSIZE];	/* empty: free */
	Pending		pending;
} PreparedPending;

typedef struct PendingShared
{
	LWLock	   *lock;			/* constant after start-up; guards what follows */
	PreparedPending prepared[FLEXIBLE_ARRAY_MEMBER];	/* max_prepared_xacts of them */
} PendingShared;

static PendingShared *shared = NULL;

static Pending own;
static SavedPending *saved = NULL;	/* innermost first, in TopTransactionContext */
static char own_gid[GIDSIZE];

static Size
shared_bytes(void)
{
	return offsetof(PendingShared, prepared) + (Size) max_prepared_xacts * sizeof(PreparedPending);
}

void
forest_pending_shmem_request(void)
{
	RequestAddinShmemSpace(MAXALIGN(shared_bytes()));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
forest_pending_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("skyvault pending", shared_bytes(), &found);
	if (!found)
	{
		memset(shared, 0, shared_bytes());
		shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
save_before_change(void)
{
	int			level = GetCurrentTransactionNestLevel();
	SavedPending *save;

	if (level <= 1 || (saved != NULL && saved->level >= level))
		return;
	save = MemoryContextAlloc(TopTransactionContext, sizeof(SavedPending));
	save->level = level;
	save->pending = own;
	save->outer = saved;
	saved = save;
}

void
forest_pending_add(int32 vault_id, uint64 bytes)
{
	int			i = 0;

	save_before_change();
	while (i < own.n && own.vaults[i].vault_id != vault_id)
		i++;
	if (i == MAX_VAULTS)
		i--;
	else if (i == own.n)
	{
		own.vaults[i].vault_id = vault_id;
		own.vaults[i].bytes = 0;
		own.n++;
	}
	own.vaults[i].bytes += bytes;
}

/* What a released savepoint has saved is its parent's, unless that has saved before. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	bool		aborted = event == SUBXACT_EVENT_ABORT_SUB;

	if ((!aborted && event != SUBXACT_EVENT_COMMIT_SUB) || saved == NULL || saved->level != level)
		return;
	if (aborted)
		own = saved->pending;
	if (!aborted && level > 2 && (saved->outer == NULL || saved->outer->level < level - 1))
		saved->level = level - 1;
	else
		saved = saved->outer;
}

void
forest_pending_install(void)
{
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

void
forest_pending_name(const char *gid)
{
	strlcpy(own_gid, gid, GIDSIZE);
}

static uint64
count(const Pending *pending)
{
	uint64		total = 0;

	for (int i = 0; i < pending->n; i++)
	{
		forest_traffic_add(pending->vaults[i].vault_id, TRAFFIC_COMMITTED, pending->vaults[i].bytes);
		total += pending->vaults[i].bytes;
	}
	return total;
}

void
forest_pending_abort(void)
{
	own.n = 0;
	saved = NULL;
	own_gid[0] = '\0';
}

void
forest_pending_commit(void)
{
	(void) count(&own);
	forest_pending_abort();
}

/* The caller holds the lock. */
static PreparedPending *
find(const char *gid)
{
	for (int i = 0; i < max_prepared_xacts; i++)
		if (strcmp(shared->prepared[i].gid, gid) == 0)
			return &shared->prepared[i];
	return NULL;
}

/*
 * One that somebody has ended by other means than the commands stays until its
 * name or, at a restart, the memory is used again.
 */
static bool
keep(void)
{
	PreparedPending *place;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	place = find(own_gid);
	if (place == NULL)
		place = find("");
	if (place != NULL)
	{
		strlcpy(place->gid, own_gid, GIDSIZE);
		place->pending = own;
	}
	LWLockRelease(shared->lock);
	return place != NULL;
}

bool
forest_pending_prepare(void)
{
	bool		kept = own.n == 0 || (shared != NULL && own_gid[0] != '\0' && keep());

	if (!kept)
		(void) count(&own);
	forest_pending_abort();
	return kept;
}

uint64
forest_pending_end_prepared(const char *gid, bool committed)
{
	PreparedPending *place;
	Pending		ended = {0};

	if (shared == NULL)
		return 0;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	place = gid[0] != '\0' ? find(gid) : NULL;
	if (place != NULL)
	{
		ended = place->pending;
		place->gid[0] = '\0';
	}
	LWLockRelease(shared->lock);
	return committed ? count(&ended) : 0;
}
