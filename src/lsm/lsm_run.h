/*
 * lsm_run.h
 *		A run as the registry has it: what it holds of which table.
 */
#ifndef LSM_RUN_H
#define LSM_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sv_slice.h"
#include "base/sv_status.h"
#include "sst/sst_entry.h"

/* Stored in the registry: never renumber. */
typedef enum LsmTier
{
	LSM_WAL = 'w',				/* entries of many tables; keys carry the table id */
	LSM_BUFFER = 'b',			/* one table, level 0 */
	LSM_LEVEL = 'l'				/* one table, level 1 and up */
} LsmTier;

/* What a run holds of one table. */
typedef struct LsmPart
{
	int32_t		table_id;
	SvSlice		min_key;		/* without the table id; both ends are keys that exist */
	SvSlice		max_key;
	uint64_t	entries;		/* tombstones included */
	uint64_t	tombstones;
	uint64_t	raw_bytes;		/* keys, without the table id, and values, before compression */
	uint64_t	expiring;		/* values that expire, and the first and last time when one does: */
	int64_t		expires_min;	/* SST_NEVER_EXPIRES, both, if there is none */
	int64_t		expires_max;
} LsmPart;

typedef struct LsmRun
{
	int64_t		id;
	LsmTier		tier;
	int			level;			/* 0 for WAL and buffer runs */
	int64_t		seq_lo;			/* sequences this run speaks for, both inclusive */
	int64_t		seq_hi;
	uint64_t	file_bytes;
	uint64_t	tail_bytes;
	uint64_t	registered_by;	/* transaction id of the publish: ties a run to the rows it flushed */
	bool		is_own;			/* registered by the reading transaction itself */
	const char *object;			/* name in the store */
	uint64_t	identity[2];	/* what caches know the object by; of no meaning here */
	int			nparts;
	LsmPart    *parts;			/* ascending by table_id */
} LsmRun;

/* What can be said of a run without knowing the others: SV_UNSUPPORTED for an unknown tier, SV_CORRUPT. */
extern SvStatus lsm_run_check(const LsmRun *run, SvError *err);

/*
 * A copy in one piece of memory of lsm_run_bytes bytes, aligned to 8: the run, its
 * parts, their keys, the object's name.  It points nowhere else.
 */
extern size_t lsm_run_bytes(const LsmRun *run);
extern LsmRun *lsm_run_copy(const LsmRun *run, void *memory);

/* A part of no entries, and one more entry of it: counts, bytes and times.  The keys are the caller's. */
extern void lsm_part_init(LsmPart *part, int32_t table_id);
extern void lsm_part_count(LsmPart *part, const SstEntry *entry);

/*
 * How many of the part's entries have expired before the given time, taking
 * their times to be spread evenly.  Answers of 0 and of all are certain.
 */
extern uint64_t lsm_part_expired(const LsmPart *part, int64_t before);

/* Whether the part's key range holds the key, or touches [low, high); NULL bounds are open. */
extern bool lsm_part_has_key(const LsmPart *part, SvSlice key);
extern bool lsm_part_overlaps(const LsmPart *part, const SvSlice *low, const SvSlice *high);

#endif							/* LSM_RUN_H */
