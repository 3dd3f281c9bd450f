/*
 * compact_world.h
 *		Runs whose content is known, the job that merges them all, and whether
 *		what comes out is right.
 */
#ifndef COMPACT_WORLD_H
#define COMPACT_WORLD_H

#include "lsm_fixture.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define MAX_INPUTS 120
#define KEY_BYTES 16

static LsmSettings settings = {
	.wal_runs = 1,.wal_bytes = UINT64_C(1) << 40,.buffer_runs = 1,.buffer_bytes = UINT64_C(1) << 40,
	.level1_bytes = UINT64_C(1) << 40,.ratio = 10,.bottom_level = 6,.run_bytes = 20000,
	.garbage_share = 2,.max_inputs = 200,.max_bytes = UINT64_C(1) << 40
};

/* Runs whose content is known: run r of a table has key k if has_key says so. */
typedef struct World
{
	MemStore	store;
	LsmForest  *forest;
	LsmJob	   *job;
	int			nruns;
	int			nkeys;
	int			ntables;
	size_t		value_bytes;
	int			tombstones;		/* one in so many entries; 0: none */
	int			expiring;		/* one in so many entries expires at its run's number */
	int			span;			/* keys of a run; 0: all */
} World;

static inline unsigned
mix(unsigned a, unsigned b, unsigned c)
{
	unsigned	h = a * 2654435761u ^ b * 40503u ^ c * 2246822519u;

	h ^= h >> 13;
	h *= 2654435761u;
	return h ^ h >> 16;
}

static inline bool
has_key(const World *w, int table, int run, int k)
{
	if (w->span > 0)
		return k / w->span == run;
	return k == 0 || mix((unsigned) table, (unsigned) run, (unsigned) k) % 3 == 0;
}

static inline SstEntry
content(const World *w, int table, int run, int k, char *key, char *value)
{
	unsigned	h = mix((unsigned) table + 7, (unsigned) run, (unsigned) k);
	SstEntry	entry = {.kind = SST_VALUE,.expires_at = SST_NEVER_EXPIRES};

	sprintf(key, "key%08d", k);
	entry.key = sv_slice(key, strlen(key));
	if (w->tombstones > 0 && h % (unsigned) w->tombstones == 0)
	{
		entry.kind = SST_TOMBSTONE;
		return entry;
	}
	if (w->expiring > 0 && h % (unsigned) w->expiring == 1)
		entry.expires_at = run;
	memset(value, 'a' + k % 26, w->value_bytes);
	sprintf(value, "%d/%d/%d", table, run, k);
	entry.value = sv_slice(value, w->value_bytes > 0 ? w->value_bytes : strlen(value));
	return entry;
}

static inline void
write_table(World *w, SstWriter *writer, int table, int run, bool wal, LsmPart *part)
{
	char	   *value = must_allocate(w->value_bytes + 64);
	char		key[KEY_BYTES];
	uint8_t		walkey[LSM_WALKEY_PREFIX_BYTES + KEY_BYTES];
	SvError		err;

	lsm_part_init(part, table);
	for (int k = 0; k < w->nkeys; k++)
	{
		SstEntry	entry;

		if (!has_key(w, table, run, k))
			continue;
		entry = content(w, table, run, k, key, value);
		lsm_part_count(part, &entry);
		if (part->entries == 1)
		{
			part->min_key = sv_slice(must_allocate(KEY_BYTES), entry.key.len);
			part->max_key = sv_slice(must_allocate(KEY_BYTES), entry.key.len);
			strcpy((char *) part->min_key.data, key);
		}
		strcpy((char *) part->max_key.data, key);
		if (wal)
		{
			lsm_walkey_prefix(walkey, table);
			memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, key, entry.key.len);
			entry.key = sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + entry.key.len);
		}
		if (sst_writer_add(writer, &entry, &err) != SV_OK)
			abort();
	}
	free(value);
}

/* Run number `run` has sequence run + 1; a WAL run also has entries of a table that it does not list. */
static inline void
add_run(World *w, int run, LsmTier tier)
{
	StoreFile  *file = store_new(&w->store);
	SstSink		sink = mem_sink(&file->file);
	LsmPart    *parts = must_allocate(sizeof(LsmPart) * (size_t) (w->ntables + 1));
	LsmRun		r = {
		.id = run + 1,.tier = tier,.level = tier == LSM_LEVEL ? 1 : 0,.seq_lo = run + 1,
		.seq_hi = run + 1,.object = file->object,.parts = parts
	};
	SstWriter  *writer;
	SvError		err;

	if (sst_writer_create(&writer, &w->store.options, &sink, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	for (int table = 1; table <= w->ntables; table++)
	{
		write_table(w, writer, table, run, tier == LSM_WAL, &parts[r.nparts]);
		r.nparts += parts[r.nparts].entries > 0;
	}
	if (tier == LSM_WAL)
	{
		write_table(w, writer, w->ntables + 1, run, true, &parts[w->ntables]);
		free((void *) parts[w->ntables].min_key.data);
		free((void *) parts[w->ntables].max_key.data);
	}
	if (sst_writer_finish(writer, &file->file.summary, &err) != SV_OK)
		abort();
	sst_writer_destroy(writer);
	r.file_bytes = file->file.summary.file_bytes;
	r.tail_bytes = file->file.summary.tail_bytes;
	if (lsm_forest_add_run(w->forest, &r, &err) != SV_OK)
		abort();
	for (int p = 0; p < r.nparts; p++)
	{
		free((void *) parts[p].min_key.data);
		free((void *) parts[p].max_key.data);
	}
	free(parts);
}

/* Makes the runs and chooses the job that takes them all; below is what an older run would cover. */
static inline void
world_make(World *w, LsmTier tier, const char *older_low, const char *older_high)
{
	LsmTable	tables[MAX_INPUTS];
	LsmQuestion question = {
		.settings = &settings,.ntables = w->ntables,.tables = tables,
		.expired_before = INT64_MIN,.alloc = &sv_malloc_alloc
	};
	SvError		err;

	store_init(&w->store);
	if (lsm_forest_create(&w->forest, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	for (int r = 0; r < w->nruns; r++)
		add_run(w, r, tier);
	if (older_low != NULL)
	{
		LsmPart		part = {
			.table_id = 1,.min_key = sv_slice(older_low, strlen(older_low)),
			.max_key = sv_slice(older_high, strlen(older_high)),.entries = 1
		};
		LsmRun		run = {.id = 1000,.tier = LSM_LEVEL,.level = 5,.object = "run-0",.nparts = 1,.parts = &part};

		if (lsm_forest_add_run(w->forest, &run, &err) != SV_OK)
			abort();
	}
	if (lsm_forest_finish(w->forest, &err) != SV_OK)
		abort();
	for (int t = 0; t < w->ntables; t++)
		tables[t] = (LsmTable) {t + 1, &settings};
	question.forest = w->forest;
	if (lsm_choose(&question, &w->job, &err) != SV_OK)
		abort();
}

static inline void
world_free(World *w)
{
	lsm_job_free(w->job);
	lsm_forest_free(w->forest);
	store_free(&w->store);
}

/* What is expected of a table: *entry of the newest run that has the key; false if none. */
static inline bool
expected_entry(const World *w, int table, int k, const LsmMergePlan *merge, int64_t expired_before,
			   char *key, char *value, SstEntry *entry)
{
	for (int run = w->nruns - 1; run >= 0; run--)
	{
		if (!has_key(w, table, run, k))
			continue;
		*entry = content(w, table, run, k, key, value);
		if (entry->kind == SST_VALUE && entry->expires_at < expired_before)
		{
			entry->kind = SST_TOMBSTONE;
			entry->value = sv_slice(NULL, 0);
			entry->expires_at = SST_NEVER_EXPIRES;
		}
		return entry->kind == SST_VALUE || !lsm_merge_may_drop(merge, entry->key);
	}
	return false;
}

/* Reads the outputs of a table one after the other and compares; parts and sizes as well. */
static inline bool
table_is_right(World *w, const LsmResult *result, int merge, int64_t expired_before)
{
	int			table = w->job->merges[merge].table_id;
	char	   *value = must_allocate(w->value_bytes + 64);
	char		key[KEY_BYTES];
	int			k = 0;
	bool		right = true;

	for (int o = 0; o < result->noutputs && right; o++)
	{
		const LsmRun *run = &result->outputs[o].run;
		StoreFile  *file;
		SstReader  *reader;
		SstIterator *it;
		SstEntry	entry;
		LsmPart		counted;
		SvError		err;

		if (result->outputs[o].merge != merge)
			continue;
		file = store_find(&w->store, run->object);
		lsm_part_init(&counted, table);
		if (mem_open(&reader, &file->file, &sv_malloc_alloc, &err) != SV_OK ||
			mem_iterate(&it, reader, NULL, NULL, false, &sv_malloc_alloc, &err) != SV_OK)
			abort();
		while (right && sst_iterator_next(it, &entry, &err) == SV_OK)
		{
			SstEntry	expected;

			while (k < w->nkeys && !expected_entry(w, table, k, &w->job->merges[merge],
												   expired_before, key, value, &expected))
				k++;
			right = k < w->nkeys && same_entry(&entry, &expected);
			if (counted.entries == 0)
				right &= sv_slice_equal(entry.key, run->parts[0].min_key);
			lsm_part_count(&counted, &entry);
			counted.max_key = run->parts[0].max_key;
			if (counted.entries == run->parts[0].entries)
				right &= sv_slice_equal(entry.key, run->parts[0].max_key);
			k++;
		}
		right = right && counted.entries == run->parts[0].entries &&
			counted.tombstones == run->parts[0].tombstones &&
			counted.raw_bytes == run->parts[0].raw_bytes &&
			counted.expiring == run->parts[0].expiring &&
			counted.expires_min == run->parts[0].expires_min &&
			counted.expires_max == run->parts[0].expires_max &&
			run->file_bytes == file->file.bytes.len;
		sst_iterator_close(it);
		sst_reader_close(reader);
	}
	while (right && k < w->nkeys)
	{
		SstEntry	expected;

		right = !expected_entry(w, table, k++, &w->job->merges[merge], expired_before, key, value,
								&expected);
	}
	free(value);
	return right;
}

static inline bool
all_is_right(World *w, const LsmResult *result, int64_t expired_before)
{
	bool		right = w->store.open_inputs == 0 && w->store.output == NULL;

	for (int m = 0; m < w->job->nmerges; m++)
		right = right && table_is_right(w, result, m, expired_before);
	return right;
}

static inline SvStatus
run_job(World *w, int64_t expired_before, LsmResult *result, const SvAlloc *alloc, SvError *err)
{
	LsmCompactIo io = store_io(&w->store);
	LsmCompactOptions options = {.expired_before = expired_before,.read_ahead_bytes = 4096};

	lsm_result_init(result, &sv_malloc_alloc);
	return lsm_compact(w->job, NULL, 0, &options, &io, result, alloc, err);
}

static inline bool
runs_right(World *w, int64_t expired_before, LsmResult *result)
{
	SvError		err = {0};

	if (run_job(w, expired_before, result, &sv_malloc_alloc, &err) == SV_OK)
		return all_is_right(w, result, expired_before);
	printf("# %s\n", err.message);
	return false;
}

#endif							/* COMPACT_WORLD_H */
