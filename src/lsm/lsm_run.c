/*
 * lsm_run.c
 *		See lsm_run.h.
 */
#include "lsm/lsm_run.h"

#include <string.h>

SvStatus
lsm_run_check(const LsmRun *run, SvError *err)
{
	long long	id = (long long) run->id;

	if (run->tier != LSM_WAL && run->tier != LSM_BUFFER && run->tier != LSM_LEVEL)
		return sv_fail(err, SV_UNSUPPORTED, "run %lld has unknown tier %d", id, (int) run->tier);
	if (run->level < 0 || (run->level == 0) != (run->tier != LSM_LEVEL))
		return sv_fail(err, SV_CORRUPT, "run %lld of tier \"%c\" has level %d",
					   id, (char) run->tier, run->level);
	if (run->seq_lo > run->seq_hi)
		return sv_fail(err, SV_CORRUPT, "run %lld has sequences from %lld to %lld",
					   id, (long long) run->seq_lo, (long long) run->seq_hi);
	if (run->nparts < 0 || (run->tier != LSM_WAL && run->nparts != 1))
		return sv_fail(err, SV_CORRUPT, "run %lld of tier \"%c\" lists %d tables",
					   id, (char) run->tier, run->nparts);
	for (int i = 0; i < run->nparts; i++)
	{
		const LsmPart *part = &run->parts[i];

		if (i > 0 && run->parts[i - 1].table_id >= part->table_id)
			return sv_fail(err, SV_CORRUPT, "run %lld does not list its tables in ascending order", id);
		if (sv_slice_compare(part->min_key, part->max_key) > 0)
			return sv_fail(err, SV_CORRUPT, "run %lld has a smallest key above its largest for table %d",
						   id, (int) part->table_id);
	}
	return SV_OK;
}

static SvSlice
copy_slice(uint8_t **at, SvSlice from)
{
	SvSlice		copy = sv_slice(*at, from.len);

	if (from.len > 0)
		memcpy(*at, from.data, from.len);
	*at += from.len;
	return copy;
}

size_t
lsm_run_bytes(const LsmRun *run)
{
	size_t		bytes = sizeof(LsmRun) + sizeof(LsmPart) * (size_t) run->nparts +
		strlen(run->object) + 1;

	for (int i = 0; i < run->nparts; i++)
		bytes += run->parts[i].min_key.len + run->parts[i].max_key.len;
	return bytes;
}

LsmRun *
lsm_run_copy(const LsmRun *run, void *memory)
{
	LsmRun	   *copy = memory;
	uint8_t    *at;

	*copy = *run;
	copy->parts = (LsmPart *) (copy + 1);
	at = (uint8_t *) (copy->parts + run->nparts);
	for (int i = 0; i < run->nparts; i++)
	{
		copy->parts[i] = run->parts[i];
		copy->parts[i].min_key = copy_slice(&at, run->parts[i].min_key);
		copy->parts[i].max_key = copy_slice(&at, run->parts[i].max_key);
	}
	memcpy(at, run->object, strlen(run->object) + 1);
	copy->object = (const char *) at;
	return copy;
}

void
lsm_part_init(LsmPart *part, int32_t table_id)
{
	*part = (LsmPart) {
		.table_id = table_id,.expires_min = SST_NEVER_EXPIRES,.expires_max = SST_NEVER_EXPIRES
	};
}

void
lsm_part_count(LsmPart *part, const SstEntry *entry)
{
	part->entries++;
	part->raw_bytes += entry->key.len + entry->value.len;
	if (entry->kind == SST_TOMBSTONE)
		part->tombstones++;
	else if (entry->expires_at != SST_NEVER_EXPIRES)
	{
		if (part->expiring == 0 || entry->expires_at < part->expires_min)
			part->expires_min = entry->expires_at;
		if (part->expiring == 0 || entry->expires_at > part->expires_max)
			part->expires_max = entry->expires_at;
		part->expiring++;
	}
}

uint64_t
lsm_part_expired(const LsmPart *part, int64_t before)
{
	double		share;
	uint64_t	expired;

	if (part->expiring == 0 || before <= part->expires_min)
		return 0;
	if (before > part->expires_max)
		return part->expiring;
	share = ((double) before - (double) part->expires_min) /
		((double) part->expires_max - (double) part->expires_min);
	expired = (uint64_t) (share * (double) part->expiring);
	/* The first has expired, the last has not. */
	if (expired == 0)
		return 1;
	return expired < part->expiring ? expired : part->expiring - 1;
}

bool
lsm_part_has_key(const LsmPart *part, SvSlice key)
{
	return sv_slice_compare(part->min_key, key) <= 0 && sv_slice_compare(key, part->max_key) <= 0;
}

bool
lsm_part_overlaps(const LsmPart *part, const SvSlice *low, const SvSlice *high)
{
	return (low == NULL || sv_slice_compare(part->max_key, *low) >= 0) &&
		(high == NULL || sv_slice_compare(part->min_key, *high) < 0);
}
