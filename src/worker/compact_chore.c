/*
 * compact_chore.c
 *		Starts compaction workers.
 *
 * One at a time: a worker that has claimed a job and sees another wakes us for
 * the next.
 */
#include "postgres.h"

#include "worker/compact_chore.h"

#include "server/pg_settings.h"
#include "utils/timestamp.h"
#include "worker/compact_plan.h"
#include "worker/compact_share.h"
#include "worker/worker_pool.h"

/* While a process is on its way to its place. */
#define STARTING_MS 1000

static TimestampTz
in_ms(int64 ms)
{
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);
}

TimestampTz
compact_chore(void)
{
	static int	pause_s = 0;	/* after max_worker_processes left no room */
	TimestampTz again_at;

	worker_pool_collect();
	if (worker_pool_is_starting())
		return in_ms(STARTING_MS);
	if (setting_max_workers == 0)
		return in_ms((int64) setting_retry_max_s * 1000);
	if (!compact_plan_look(&again_at) && !compact_share_is_offered())
	{
		worker_pool_want_none();
		return again_at;
	}

	switch (worker_pool_start())
	{
		case POOL_STARTED:
			pause_s = 0;
			return in_ms(STARTING_MS);
		case POOL_IS_FULL:
			return again_at;
		case POOL_NO_ROOM:
			pause_s = Min(Max(pause_s * 2, 1), setting_retry_max_s);
			return Min(again_at, in_ms((int64) pause_s * 1000));
	}
	return again_at;
}
