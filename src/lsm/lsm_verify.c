/*
 * lsm_verify.c
 *		Reads a run as a whole and compares it with what the registry says.
 */
#include "lsm/lsm_verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sv_buffer.h"
#include "base/sv_hash.h"
#include "lsm/lsm_walkey.h"
#include "sst/sst_iterator.h"
#include "sst/sst_reader.h"

#define DETAIL_BYTES 256

/* A run that is full of wrong keys is told once for each kind. */
typedef enum Problem
{
	PROBLEM_ORDER = 1,
	PROBLEM_FILTER = 2,
	PROBLEM_INDEX = 4
} Problem;

/* What was met of a part. */
typedef struct PartSeen
{
	uint64_t	entries;
	uint64_t	tombstones;
	SvBuffer	first;
	SvBuffer	last;
} PartSeen;

typedef struct Walk
{
	const LsmVerify *verify;
	const SstTail *tail;
	PartSeen   *parts;
	SvBuffer	before;			/* the key before this one */
	bool		any;
	unsigned	told;			/* Problem bits */
} Walk;

static void
tell(Walk *walk, Problem which, const char *problem, uint32_t block)
{
	char		detail[DETAIL_BYTES];

	if ((walk->told & which) != 0)
		return;
	walk->told |= which;
	snprintf(detail, sizeof(detail), "first met in block %" PRIu32, block);
	walk->verify->report(walk->verify->state, problem, detail);
}

static PartSeen *
part_of(Walk *walk, SvSlice *key)
{
	const LsmRun *run = walk->verify->run;
	int32_t		table_id;

	if (run->tier != LSM_WAL)
		return run->nparts > 0 ? &walk->parts[0] : NULL;
	if (key->len < LSM_WALKEY_PREFIX_BYTES)
		return NULL;
	table_id = lsm_walkey_table(*key);
	*key = lsm_walkey_key(*key);
	for (int i = 0; i < run->nparts; i++)
		if (run->parts[i].table_id == table_id)
			return &walk->parts[i];
	return NULL;				/* of a table that the run does not speak for any more */
}

static SvStatus
set_key(SvBuffer *buffer, SvSlice key, SvError *err)
{
	sv_buffer_reset(buffer);
	return sv_buffer_append(buffer, key.data, key.len, err);
}

static SvStatus
count(Walk *walk, const SstEntry *entry, SvError *err)
{
	SvSlice		key = entry->key;
	PartSeen   *part = part_of(walk, &key);
	SvStatus	status;

	if (part == NULL)
		return SV_OK;
	if (part->entries++ == 0)
	{
		status = set_key(&part->first, key, err);
		if (status != SV_OK)
			return status;
	}
	part->tombstones += entry->kind == SST_TOMBSTONE;
	return set_key(&part->last, key, err);
}

static SvStatus
check_entry(Walk *walk, uint32_t block, const SstEntry *entry, SvError *err)
{
	SvStatus	status;

	if (walk->any && sv_slice_compare(sv_buffer_slice(&walk->before), entry->key) >= 0)
		tell(walk, PROBLEM_ORDER, "keys are not in order", block);
	walk->any = true;
	if (walk->tail->filter.line_count > 0 && !sst_filter_may_have(&walk->tail->filter, sv_hash64(entry->key)))
		tell(walk, PROBLEM_FILTER, "the filter denies a key that is there", block);
	if (sst_tail_locate(walk->tail, entry->key) != block)
		tell(walk, PROBLEM_INDEX, "the index leads to another block", block);
	status = set_key(&walk->before, entry->key, err);
	return status != SV_OK ? status : count(walk, entry, err);
}

static SvStatus
check_block(Walk *walk, const SstBlock *parsed, uint32_t block, SvError *err)
{
	size_t		offset = 0;

	for (uint32_t i = 0; i < parsed->count; i++)
	{
		SstEntry	entry;
		const char *problem = sst_block_entry(parsed, offset, &entry, &offset);
		SvStatus	status;

		if (problem != NULL)
			return sst_block_damaged(walk->tail, walk->verify->source->name, block, problem, err);
		status = check_entry(walk, block, &entry, err);
		if (status != SV_OK)
			return status;
	}
	return SV_OK;
}

static void
compare_number(const LsmVerify *verify, const LsmPart *part, const char *what, uint64_t is, uint64_t should)
{
	char		detail[DETAIL_BYTES];

	if (is == should)
		return;
	snprintf(detail, sizeof(detail), "of table %" PRId32 ": %" PRIu64 " in the object, %" PRIu64 " in the registry",
			 part->table_id, is, should);
	verify->report(verify->state, what, detail);
}

static void
compare_key(const LsmVerify *verify, const LsmPart *part, const char *what, const SvBuffer *is, SvSlice should)
{
	char		detail[DETAIL_BYTES];

	if (sv_slice_compare(sv_buffer_slice(is), should) == 0)
		return;
	snprintf(detail, sizeof(detail), "of table %" PRId32, part->table_id);
	verify->report(verify->state, what, detail);
}

static void
compare_parts(const Walk *walk)
{
	const LsmVerify *verify = walk->verify;

	for (int i = 0; i < verify->run->nparts; i++)
	{
		const LsmPart *part = &verify->run->parts[i];
		const PartSeen *seen = &walk->parts[i];

		compare_number(verify, part, "wrong number of entries", seen->entries, part->entries);
		compare_number(verify, part, "wrong number of tombstones", seen->tombstones, part->tombstones);
		if (seen->entries > 0)
		{
			compare_key(verify, part, "wrong lowest key", &seen->first, part->min_key);
			compare_key(verify, part, "wrong highest key", &seen->last, part->max_key);
		}
	}
}

/* What can be said without reading the blocks. */
static void
check_tail(const LsmVerify *verify, const SstTail *tail)
{
	const LsmRun *run = verify->run;
	uint64_t	entries = 0;
	char		detail[DETAIL_BYTES];

	for (int i = 0; i < run->nparts; i++)
		entries += run->parts[i].entries;
	if (entries == tail->properties.entries || (run->tier == LSM_WAL && entries < tail->properties.entries))
		return;
	snprintf(detail, sizeof(detail), "%" PRIu64 " in the object, %" PRIu64 " in the registry",
			 tail->properties.entries, entries);
	verify->report(verify->state, "wrong number of entries in all", detail);
}

static SvStatus
walk_blocks(Walk *walk, SstReader *reader, SvError *err)
{
	SstBlockSource blocks = sst_reader_block_source(reader);
	SvStatus	status = SV_OK;
	SvBuffer	raw;

	sv_buffer_init(&raw, walk->verify->alloc);
	for (uint32_t i = 0; status == SV_OK && i < walk->tail->index.count; i++)
	{
		SstBlock	parsed;

		status = blocks.fetch(blocks.state, i, &raw, &parsed, err);
		if (status == SV_OK)
			status = check_block(walk, &parsed, i, err);
		if (status == SV_OK)
			status = walk->verify->progress(walk->verify->state, raw.len, err);
	}
	sv_buffer_free(&raw);
	if (status == SV_OK)
		compare_parts(walk);
	return status;
}

static SvStatus
verify_deep(const LsmVerify *verify, SstReader *reader, SvError *err)
{
	Walk		walk = {.verify = verify,.tail = sst_reader_tail(reader)};
	int			nparts = verify->run->nparts;
	SvStatus	status;

	walk.parts = sv_allocate(verify->alloc, (size_t) (nparts > 0 ? nparts : 1) * sizeof(PartSeen));
	if (walk.parts == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	memset(walk.parts, 0, (size_t) nparts * sizeof(PartSeen));
	sv_buffer_init(&walk.before, verify->alloc);
	for (int i = 0; i < nparts; i++)
	{
		sv_buffer_init(&walk.parts[i].first, verify->alloc);
		sv_buffer_init(&walk.parts[i].last, verify->alloc);
	}
	status = walk_blocks(&walk, reader, err);
	for (int i = 0; i < nparts; i++)
	{
		sv_buffer_free(&walk.parts[i].first);
		sv_buffer_free(&walk.parts[i].last);
	}
	sv_buffer_free(&walk.before);
	sv_release(verify->alloc, walk.parts);
	return status;
}

SvStatus
lsm_verify_run(const LsmVerify *verify, SvError *err)
{
	SstReader  *reader;
	SvStatus	status = sst_reader_open(&reader, verify->source, verify->run->file_bytes,
										 verify->run->tail_bytes, verify->alloc, err);

	if (status == SV_OK)
	{
		check_tail(verify, sst_reader_tail(reader));
		if (verify->deep)
			status = verify_deep(verify, reader, err);
		sst_reader_close(reader);
	}
	if (status == SV_CORRUPT)
	{
		verify->report(verify->state, "damaged", err->message);
		status = SV_OK;
	}
	return status;
}
