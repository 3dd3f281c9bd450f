/*
 * compact_sim.h
 *		A vault in memory: what each key holds, what of it is in the delta, and
 *		the registered runs; writes, flushes, loads, truncations and drops.
 */
#ifndef COMPACT_SIM_H
#define COMPACT_SIM_H

#include "lsm_fixture.h"

#define TABLES 4
#define KEYS 30
#define RUNS 4000
#define JOBS 2
#define GRACE 5

/* What a key holds; version 0: nothing. */
typedef struct Cell
{
	int			version;
	bool		deleted;
	int64_t		expires_at;
} Cell;

typedef struct SimTable
{
	int32_t		id;
	int64_t		floor;
	Cell		truth[KEYS];
	Cell		delta[KEYS];	/* not flushed */
	LsmSettings settings;
} SimTable;

typedef struct SimRun
{
	LsmRun		run;			/* its parts are its own; keys point to key_text */
	SstReader  *reader;
} SimRun;

typedef struct SimJob
{
	LsmJob	   *job;			/* NULL: a free place */
	LsmClaim	claim;
	LsmResult	result;
} SimJob;

typedef struct Sim
{
	int64_t		next_seq;
	int64_t		next_id;
	int			next_version;
	int32_t		next_table;
	int64_t		now;
	SimTable	tables[TABLES];
	int			nruns;
	SimRun	   *runs[RUNS];
	SimJob		jobs[JOBS];
	LsmSettings settings;
	MemStore	store;
	int			published[256]; /* by kind of job */
	int			moves;
	int			left_out;
	int			gone;
	int			outputs_of_a_merge;
	int			again;			/* jobs that did not fit the forest any more */
} Sim;

static char key_text[KEYS][8];

static inline SvSlice
key_of(int k)
{
	return sv_slice(key_text[k], strlen(key_text[k]));
}

static inline int
number_of(SvSlice key)
{
	return atoi((const char *) key.data + 1);
}

static inline bool
is_visible(const Cell *cell, int64_t now)
{
	return cell->version != 0 && !cell->deleted && cell->expires_at > now;
}

/* ---------------------------------------------------------------- registry */

static inline LsmForest *
sim_forest(Sim *sim)
{
	LsmForest  *forest;
	SvError		err = {0};
	SvStatus	status = lsm_forest_create(&forest, &sv_malloc_alloc, &err);

	for (int i = 0; i < sim->nruns && status == SV_OK; i++)
		status = lsm_forest_add_run(forest, &sim->runs[i]->run, &err);
	for (int t = 0; t < TABLES && status == SV_OK; t++)
	{
		LsmFloor	floor = {.table_id = sim->tables[t].id,.floor_seq = sim->tables[t].floor};

		if (floor.floor_seq > 0)
			status = lsm_forest_add_floor(forest, &floor, &err);
	}
	if (status == SV_OK)
		status = lsm_forest_finish(forest, &err);
	if (status == SV_OK)
		return forest;
	printf("# %s\n", err.message);
	lsm_forest_free(forest);
	return NULL;
}

static inline void
sim_add(Sim *sim, const LsmRun *run)
{
	SimRun	   *added = must_allocate(sizeof(SimRun));
	StoreFile  *file = store_find(&sim->store, run->object);
	SvError		err;

	if (sim->nruns == RUNS)
		abort();
	added->run = *run;
	added->run.id = ++sim->next_id;
	added->run.object = file->object;
	added->run.parts = must_allocate(sizeof(LsmPart) * (size_t) run->nparts);
	for (int i = 0; i < run->nparts; i++)
	{
		added->run.parts[i] = run->parts[i];
		added->run.parts[i].min_key = key_of(number_of(run->parts[i].min_key));
		added->run.parts[i].max_key = key_of(number_of(run->parts[i].max_key));
	}
	if (mem_open(&added->reader, &file->file, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	sim->runs[sim->nruns++] = added;
}

static inline int
sim_find(const Sim *sim, int64_t id)
{
	for (int i = 0; i < sim->nruns; i++)
	{
		if (sim->runs[i]->run.id == id)
			return i;
	}
	abort();
}

static inline void
sim_remove(Sim *sim, int index)
{
	SimRun	   *run = sim->runs[index];

	sst_reader_close(run->reader);
	free(run->run.parts);
	free(run);
	sim->runs[index] = sim->runs[--sim->nruns];
}

static inline SstEntry
cell_entry(const Cell *cell, SvSlice key, char *value)
{
	SstEntry	entry = {.key = key,.kind = SST_VALUE,.expires_at = cell->expires_at};

	if (cell->deleted)
	{
		entry.kind = SST_TOMBSTONE;
		entry.expires_at = SST_NEVER_EXPIRES;
		return entry;
	}
	sprintf(value, "%d:%.*s", cell->version, cell->version % 40,
			"0123456789012345678901234567890123456789");
	entry.value = sv_slice(value, strlen(value));
	return entry;
}

/* ------------------------------------------------------------------ writes */

static inline void
sim_write(Sim *sim)
{
	SimTable   *table = &sim->tables[rand() % TABLES];
	Cell	   *cell = &table->delta[rand() % KEYS];

	cell->version = ++sim->next_version;
	cell->deleted = rand() % 3 == 0;
	cell->expires_at = rand() % 3 == 0 ? sim->now + rand() % 30 : SST_NEVER_EXPIRES;
	table->truth[cell - table->delta] = *cell;
}

/* The flush's own rule for tombstones: nothing older may have the key. */
static inline bool
needs_tombstone(const LsmForest *forest, int32_t table_id, SvSlice key)
{
	int			n;
	const LsmGroup *groups = lsm_forest_groups(forest, table_id, &n);

	for (int i = 0; i < n; i++)
	{
		if (lsm_group_find(&groups[i], key) != NULL)
			return true;
	}
	return false;
}

static inline int
compare_tables(const void *a, const void *b)
{
	int32_t		ta = (*(SimTable *const *) a)->id;
	int32_t		tb = (*(SimTable *const *) b)->id;

	return (ta > tb) - (ta < tb);
}

static inline void
sort_tables(Sim *sim, SimTable **sorted)
{
	for (int t = 0; t < TABLES; t++)
		sorted[t] = &sim->tables[t];
	qsort(sorted, TABLES, sizeof(SimTable *), compare_tables);
}

/* One WAL run of all tables.  Of a table that is left out the file has entries, but does not speak for it. */
static inline void
sim_flush(Sim *sim)
{
	LsmForest  *forest = sim_forest(sim);
	StoreFile  *file = store_new(&sim->store);
	SstSink		sink = mem_sink(&file->file);
	LsmPart		parts[TABLES];
	LsmRun		run = {.tier = LSM_WAL,.object = file->object,.parts = parts};
	SimTable   *sorted[TABLES];
	SstWriter  *writer;
	SvError		err;

	sort_tables(sim, sorted);
	run.seq_lo = run.seq_hi = ++sim->next_seq;
	if (sst_writer_create(&writer, &sim->store.options, &sink, &sv_malloc_alloc, &err) != SV_OK)
		abort();
	for (int t = 0; t < TABLES; t++)
	{
		SimTable   *table = sorted[t];
		bool		left_out = rand() % 6 == 0;
		LsmPart    *part = &parts[run.nparts];

		lsm_part_init(part, table->id);
		for (int k = 0; k < KEYS; k++)
		{
			Cell	   *cell = &table->delta[k];
			uint8_t		walkey[16];
			char		value[64];
			SstEntry	entry;

			if (cell->version == 0 ||
				(cell->deleted && !left_out && !needs_tombstone(forest, table->id, key_of(k))))
			{
				cell->version = left_out ? cell->version : 0;
				continue;
			}
			entry = cell_entry(cell, key_of(k), value);
			if (part->entries == 0)
				part->min_key = entry.key;
			part->max_key = entry.key;
			lsm_part_count(part, &entry);
			lsm_walkey_prefix(walkey, table->id);
			memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, entry.key.data, entry.key.len);
			entry.key = sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + entry.key.len);
			if (sst_writer_add(writer, &entry, &err) != SV_OK)
				abort();
			if (!left_out)
				cell->version = 0;
		}
		run.nparts += part->entries > 0 && !left_out;
	}
	if (sst_writer_finish(writer, &file->file.summary, &err) != SV_OK)
		abort();
	sst_writer_destroy(writer);
	run.file_bytes = file->file.summary.file_bytes;
	run.tail_bytes = file->file.summary.tail_bytes;
	if (run.nparts > 0)
		sim_add(sim, &run);
	lsm_forest_free(forest);
}

/* Files of one table that share a sequence; what it loads leaves the delta. */
static inline void
sim_load(Sim *sim)
{
	SimTable   *table = &sim->tables[rand() % TABLES];
	int			nfiles = 1 + rand() % 3;
	int64_t		seq = ++sim->next_seq;

	for (int f = 0; f < nfiles; f++)
	{
		StoreFile  *file = store_new(&sim->store);
		SstSink		sink = mem_sink(&file->file);
		LsmPart		part;
		LsmRun		run = {
			.tier = LSM_BUFFER,.seq_lo = seq,.seq_hi = seq,.object = file->object,
			.nparts = 1,.parts = &part
		};
		SstWriter  *writer;
		SvError		err;

		lsm_part_init(&part, table->id);
		if (sst_writer_create(&writer, &sim->store.options, &sink, &sv_malloc_alloc, &err) != SV_OK)
			abort();
		for (int k = KEYS * f / nfiles; k < KEYS * (f + 1) / nfiles; k++)
		{
			char		value[64];
			Cell		cell = {.version = ++sim->next_version,.expires_at = SST_NEVER_EXPIRES};
			SstEntry	entry = cell_entry(&cell, key_of(k), value);

			if (rand() % 3 == 0)
				continue;
			if (part.entries == 0)
				part.min_key = entry.key;
			part.max_key = entry.key;
			lsm_part_count(&part, &entry);
			if (sst_writer_add(writer, &entry, &err) != SV_OK)
				abort();
			table->truth[k] = cell;
			table->delta[k].version = 0;
		}
		if (sst_writer_finish(writer, &file->file.summary, &err) != SV_OK)
			abort();
		sst_writer_destroy(writer);
		run.file_bytes = file->file.summary.file_bytes;
		run.tail_bytes = file->file.summary.tail_bytes;
		if (part.entries > 0)
			sim_add(sim, &run);
	}
}

/* TRUNCATE, or DROP and a new table: its own runs go, what it shares stays. */
static inline void
sim_truncate(Sim *sim, bool drop)
{
	SimTable   *table = &sim->tables[rand() % TABLES];

	for (int i = sim->nruns - 1; i >= 0; i--)
	{
		if (sim->runs[i]->run.nparts == 1 && sim->runs[i]->run.parts[0].table_id == table->id)
			sim_remove(sim, i);
	}
	table->floor = ++sim->next_seq;
	if (drop)
	{
		table->id = ++sim->next_table;
		table->floor = 0;
	}
	memset(table->truth, 0, sizeof(table->truth));
	memset(table->delta, 0, sizeof(table->delta));
}

#endif							/* COMPACT_SIM_H */
