/*
 * pg_disk_tier.c
 *		Where the disk tier lives.
 *
 * The default directory lies in the data directory, under a name that base
 * backups, pg_rewind and pg_checksums leave out, as they do all that begins with
 * pgsql_tmp; Postgres itself removes such files only in the directories of its
 * own temporary files.
 */
#include "postgres.h"

#include "server/pg_disk_tier.h"

#include "server/pg_settings.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#define REGION_ALIGN 64

/* In the postmaster; inherited by the others, with its descriptors. */
static DiskTier tier;
static bool tier_started = false;

static uint64
budget(void)
{
	return (uint64) setting_disk_cache_size_kb * 1024;
}

void
pg_disk_tier_shmem_request(void)
{
	RequestAddinShmemSpace(disk_tier_region_bytes(budget()) + REGION_ALIGN);
}

/*
 * After a crash the postmaster comes by once more, with memory made anew and
 * the descriptors of the first time.
 */
void
pg_disk_tier_shmem_startup(void)
{
	bool		found;
	void	   *region = ShmemInitStruct("skyvault disk cache", disk_tier_region_bytes(budget()) + REGION_ALIGN,
										 &found);

	if (found)
		return;
	if (tier_started)
		disk_tier_stop(&tier);
	disk_tier_start(&tier, (void *) TYPEALIGN(REGION_ALIGN, region), budget(), setting_disk_cache_path);
	tier_started = true;
	pg_disk_tier_report();
}

DiskTier *
pg_disk_tier(void)
{
	return disk_tier_state(&tier) == DISK_TIER_OFF ? NULL : &tier;
}

void
pg_disk_tier_stats(DiskTierStats *stats)
{
	disk_tier_stats(&tier, stats);
}

void
pg_disk_tier_report(void)
{
	SvError		err;

	if (likely(!disk_tier_warning(&tier, &err)))
		return;
	errno = err.os_errno;
	if (disk_tier_state(&tier) == DISK_TIER_OFF)
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("skyvault's disk cache is off: %s", err.message),
				 errhint("Correct skyvault.disk_cache_path or the directory's permissions, and restart the server.")));
	else
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("skyvault's disk cache takes nothing more until the next start: %s", err.message),
				 errdetail("What it has is still used.")));
}
