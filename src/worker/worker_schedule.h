/*
 * worker_schedule.h
 *		When each vault of a database is to be flushed.
 *
 * Plain memory of one scheduler; no catalogue, no clock of its own: callers
 * say what was committed and what time it is.  A vault is dirty from the first
 * look at which the database's counter of committed bytes is not what it was
 * when the vault's last flush began.  The counter is the database's, so bytes
 * of other vaults count too: a vault may be asked too early, and then has
 * little or nothing to flush, never too late.
 *
 * A vault whose flush failed is in a pause of its own, which doubles up to
 * skyvault.retry_max_interval; other vaults are not kept from their turns.  So is
 * one whose changes could not be numbered, which keeps it from no flush.
 */
#ifndef WORKER_SCHEDULE_H
#define WORKER_SCHEDULE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "forest/forest_vault.h"

typedef struct VaultSchedule
{
	int32		vault_id;
	bool		listed;			/* for schedule_sync */
	bool		dirty;			/* something may be committed that no flush has taken */
	TimestampTz dirty_since;
	uint64		flushed_bytes;	/* the database's counter when the last flush began that went well */
	int			pause_s;		/* after a failed flush; 0: the last one went well */
	TimestampTz retry_at;		/* end of the pause */
	int			last_sqlstate;	/* for worker_flush_vault */
	int			number_pause_s; /* as pause_s, after its changes could not be numbered */
	TimestampTz number_at;
} VaultSchedule;

typedef struct Schedule
{
	VaultSchedule *vaults;		/* in TopMemoryContext */
	int			n;
	uint64		committed_bytes;	/* the database's counter, at the last look */
	int			pause_s;		/* after the vaults could not be listed */
	TimestampTz retry_at;
} Schedule;

/* The counter now: vaults that were clean may be dirty. */
extern void schedule_note_bytes(Schedule *schedule, uint64 committed_bytes, TimestampTz now);

/* These are all vaults.  New ones are dirty. */
extern void schedule_sync(Schedule *schedule, const ForestVault *vaults, int n, TimestampTz now);

/* NULL: not listed. */
extern VaultSchedule *schedule_find(Schedule *schedule, int32 vault_id);

/* When a vault, or the first of all, is due; DT_NOEND: that depends on what is still to be committed. */
extern TimestampTz schedule_due(const Schedule *schedule, const VaultSchedule *vault);
extern TimestampTz schedule_next(const Schedule *schedule);

/* Value of the counter from which on the schedule is to be looked at again. */
extern uint64 schedule_wake_bytes(const Schedule *schedule);

/* A flush that began at this value of the counter has ended. */
extern void schedule_flushed(VaultSchedule *vault, uint64 began_bytes, bool done, TimestampTz now);

/* Its changes could be numbered, or not. */
extern void schedule_numbered(VaultSchedule *vault, bool done, TimestampTz now);

/* The vaults could be listed, or not. */
extern void schedule_listed(Schedule *schedule, bool done, TimestampTz now);

#endif							/* WORKER_SCHEDULE_H */
