/*
 * worker_embedded.c
 *		Whether runs reach standbys and backups.
 */
#include "postgres.h"

#include "worker/worker_embedded.h"

#include "access/xlog.h"
#include "foreign/foreign.h"
#include "forest/forest_store.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"

static bool
walsender_is_active(void)
{
	for (int i = 0; i < max_wal_senders; i++)
		if (WalSndCtl->walsnds[i].pid != 0)
			return true;
	return false;
}

/* A standby that is away now comes back and replays what it missed. */
static bool
physical_slot_exists(void)
{
	bool		exists = false;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && !exists; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		exists = slot->in_use && SlotIsPhysical(slot);
	}
	LWLockRelease(ReplicationSlotControlLock);
	return exists;
}

/*
 * Runs inside the data directory reach no standby and no base backup, while
 * the deletion of the delta rows, or of the older runs, that they replace does.
 */
bool
worker_store_is_safe(const ForestVault *vault)
{
	return !forest_store_is_embedded(vault->server_oid) ||
		!(walsender_is_active() || physical_slot_exists() || XLogArchivingActive());
}

void
worker_check_store_is_safe(const ForestVault *vault)
{
	if (!worker_store_is_safe(vault))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("runs of server \"%s\" would not reach standbys and backups",
						GetForeignServer(vault->server_oid)->servername),
				 errdetail("Its store lies inside the data directory, and there is a WAL sender, a physical"
						   " replication slot, or WAL archiving."),
				 errhint("Use a store that standbys and restored backups can reach, or set the server option"
						 " \"shared\" to 'on' if they reach this one.")));
}
