/*
 * pg_disk_tier.h
 *		The disk tier of this server: its memory, its directory, its warnings.
 *
 * Sizes and place are fixed at server start (skyvault.disk_cache_size,
 * skyvault.disk_cache_path).  The postmaster opens the files, and all that it
 * forks use its descriptors.
 */
#ifndef PG_DISK_TIER_H
#define PG_DISK_TIER_H

#include "postgres.h"

#include "cache/disk_tier.h"

/* For shmem_request_hook and shmem_startup_hook.  The second opens the files; what fails is a warning. */
extern void pg_disk_tier_shmem_request(void);
extern void pg_disk_tier_shmem_startup(void);

/* This process's way to the tier; NULL if the tier is off. */
extern DiskTier *pg_disk_tier(void);

/* Never NULL: for the view. */
extern void pg_disk_tier_stats(DiskTierStats *stats);

/* Logs what has turned the tier off, or writing to it, once for all processes.  Cheap if nothing has. */
extern void pg_disk_tier_report(void);

#endif							/* PG_DISK_TIER_H */
