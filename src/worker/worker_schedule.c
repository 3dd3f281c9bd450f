/*
 * worker_schedule.c
 *		See worker_schedule.h.
 */
#include "postgres.h"

#include "worker/worker_schedule.h"

#include "server/pg_settings.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

static uint64
flush_bytes(void)
{
	return (uint64) setting_flush_size_kb * 1024;
}

static void
make_dirty(VaultSchedule *vault, TimestampTz now)
{
	if (!vault->dirty)
		vault->dirty_since = now;
	vault->dirty = true;
}

void
schedule_note_bytes(Schedule *schedule, uint64 committed_bytes, TimestampTz now)
{
	schedule->committed_bytes = committed_bytes;
	for (int i = 0; i < schedule->n; i++)
		if (schedule->vaults[i].flushed_bytes != committed_bytes)
			make_dirty(&schedule->vaults[i], now);
}

VaultSchedule *
schedule_find(Schedule *schedule, int32 vault_id)
{
	for (int i = 0; i < schedule->n; i++)
		if (schedule->vaults[i].vault_id == vault_id)
			return &schedule->vaults[i];
	return NULL;
}

static VaultSchedule *
add_vault(Schedule *schedule, int32 vault_id, TimestampTz now)
{
	Size		bytes = (schedule->n + 1) * sizeof(VaultSchedule);
	VaultSchedule *vault;

	schedule->vaults = schedule->vaults == NULL ? MemoryContextAlloc(TopMemoryContext, bytes) :
		repalloc(schedule->vaults, bytes);
	vault = &schedule->vaults[schedule->n++];
	memset(vault, 0, sizeof(VaultSchedule));
	vault->vault_id = vault_id;
	vault->flushed_bytes = schedule->committed_bytes;
	make_dirty(vault, now);
	return vault;
}

void
schedule_sync(Schedule *schedule, const ForestVault *vaults, int n, TimestampTz now)
{
	int			kept = 0;

	for (int i = 0; i < schedule->n; i++)
		schedule->vaults[i].listed = false;
	for (int i = 0; i < n; i++)
	{
		VaultSchedule *vault = schedule_find(schedule, vaults[i].id);

		if (vault == NULL)
			vault = add_vault(schedule, vaults[i].id, now);
		vault->listed = true;
	}
	for (int i = 0; i < schedule->n; i++)
		if (schedule->vaults[i].listed)
			schedule->vaults[kept++] = schedule->vaults[i];
	schedule->n = kept;
}

static bool
size_reached(const Schedule *schedule, const VaultSchedule *vault)
{
	return schedule->committed_bytes - vault->flushed_bytes >= flush_bytes();
}

TimestampTz
schedule_due(const Schedule *schedule, const VaultSchedule *vault)
{
	TimestampTz due = DT_NOEND;

	if (!vault->dirty)
		return DT_NOEND;
	if (size_reached(schedule, vault))
		due = vault->dirty_since;
	else if (setting_flush_interval_s > 0)
		due = TimestampTzPlusMilliseconds(vault->dirty_since, (int64) setting_flush_interval_s * 1000);
	if (vault->pause_s > 0)
		due = Max(due, vault->retry_at);
	if (schedule->pause_s > 0)
		due = Max(due, schedule->retry_at);
	return due;
}

/* Who cannot list the vaults does not come to this either: what is overdue waits for that, too. */
static TimestampTz
number_due(const Schedule *schedule, const VaultSchedule *vault)
{
	if (vault->number_pause_s == 0)
		return DT_NOEND;
	return schedule->pause_s > 0 ? Max(vault->number_at, schedule->retry_at) : vault->number_at;
}

TimestampTz
schedule_next(const Schedule *schedule)
{
	TimestampTz next = schedule->pause_s > 0 ? schedule->retry_at : DT_NOEND;

	for (int i = 0; i < schedule->n; i++)
	{
		next = Min(next, schedule_due(schedule, &schedule->vaults[i]));
		next = Min(next, number_due(schedule, &schedule->vaults[i]));
	}
	return next;
}

uint64
schedule_wake_bytes(const Schedule *schedule)
{
	uint64		wake = PG_UINT64_MAX;

	for (int i = 0; i < schedule->n; i++)
	{
		const VaultSchedule *vault = &schedule->vaults[i];

		if (!vault->dirty)
			return schedule->committed_bytes + 1;	/* the first bytes start the clock */
		if (!size_reached(schedule, vault))
			wake = Min(wake, vault->flushed_bytes + flush_bytes());
	}
	return wake;
}

static void
lengthen_pause(int *pause_s, TimestampTz *retry_at, TimestampTz now)
{
	*pause_s = Min(Max(*pause_s * 2, 1), setting_retry_max_s);
	*retry_at = TimestampTzPlusMilliseconds(now, (int64) *pause_s * 1000);
}

void
schedule_flushed(VaultSchedule *vault, uint64 began_bytes, bool done, TimestampTz now)
{
	if (done)
	{
		vault->dirty = false;
		vault->flushed_bytes = began_bytes;
		vault->pause_s = 0;
	}
	else
		lengthen_pause(&vault->pause_s, &vault->retry_at, now);
}

void
schedule_numbered(VaultSchedule *vault, bool done, TimestampTz now)
{
	if (done)
		vault->number_pause_s = 0;
	else
		lengthen_pause(&vault->number_pause_s, &vault->number_at, now);
}

void
schedule_listed(Schedule *schedule, bool done, TimestampTz now)
{
	if (done)
		schedule->pause_s = 0;
	else
		lengthen_pause(&schedule->pause_s, &schedule->retry_at, now);
}
