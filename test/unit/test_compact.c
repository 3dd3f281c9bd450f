/*
 * test_compact.c
 *		The merge of compactions: what comes out, how much memory and how many
 *		reads it takes, and what happens when something fails.
 */
#include "unit.h"

#include "lsm_fixture.h"
#include "lsm/lsm_split.h"

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

static unsigned
mix(unsigned a, unsigned b, unsigned c)
{
	unsigned	h = a * 2654435761u ^ b * 40503u ^ c * 2246822519u;

	h ^= h >> 13;
	h *= 2654435761u;
	return h ^ h >> 16;
}

static bool
has_key(const World *w, int table, int run, int k)
{
	if (w->span > 0)
		return k / w->span == run;
	return mix((unsigned) table, (unsigned) run, (unsigned) k) % 3 == 0;
}

static SstEntry
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

static void
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
static void
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
static void
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

static void
world_free(World *w)
{
	lsm_job_free(w->job);
	lsm_forest_free(w->forest);
	store_free(&w->store);
}

/* What is expected of a table: *entry of the newest run that has the key; false if none. */
static bool
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
static bool
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

static bool
all_is_right(World *w, const LsmResult *result, int64_t expired_before)
{
	bool		right = w->store.open_inputs == 0 && w->store.output == NULL;

	for (int m = 0; m < w->job->nmerges; m++)
		right = right && table_is_right(w, result, m, expired_before);
	return right;
}

static SvStatus
run_job(World *w, int64_t expired_before, LsmResult *result, const SvAlloc *alloc, SvError *err)
{
	LsmCompactIo io = store_io(&w->store);
	LsmCompactOptions options = {.expired_before = expired_before,.read_ahead_bytes = 4096};

	lsm_result_init(result, &sv_malloc_alloc);
	return lsm_compact(w->job, NULL, 0, &options, &io, result, alloc, err);
}

static bool
runs_right(World *w, int64_t expired_before, LsmResult *result)
{
	SvError		err = {0};

	if (run_job(w, expired_before, result, &sv_malloc_alloc, &err) == SV_OK)
		return all_is_right(w, result, expired_before);
	printf("# %s\n", err.message);
	return false;
}

/* ------------------------------------------------------------------- tests */

static void
test_inputs(void)
{
	static const int counts[] = {1, 2, 16, 17, 40, 100};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
	{
		World		w = {.nruns = counts[i],.nkeys = 3000,.ntables = 1,.tombstones = 10};
		LsmResult	result;
		char		name[100];
		LsmCompactCounts *counted = &result.counts;

		world_make(&w, LSM_BUFFER, NULL, NULL);
		sprintf(name, "%d inputs are merged", counts[i]);
		CHECK(w.job->ninputs == counts[i] && runs_right(&w, INT64_MIN, &result), name);
		sprintf(name, "%d inputs: all entries are accounted for", counts[i]);
		CHECK(counted->entries_in == counted->entries_out + counted->hidden + counted->tombstones_dropped &&
			  counted->tombstones_dropped > 0 && counted->expired == 0 &&
			  (counts[i] == 1) == (counted->hidden == 0), name);
		sprintf(name, "%d inputs: several outputs, of the size that was asked for", counts[i]);
		CHECK(result.noutputs > 1 && result.outputs[0].run.file_bytes > settings.run_bytes * 8 / 10 &&
			  result.outputs[0].run.file_bytes < settings.run_bytes * 13 / 10, name);
		lsm_result_free(&result);
		world_free(&w);
	}
}

static void
test_wal(void)
{
	World		w = {.nruns = 9,.nkeys = 300,.ntables = 100,.tombstones = 5};
	LsmResult	result;
	int			reads = 0;
	int			most_outputs = 0;

	world_make(&w, LSM_WAL, NULL, NULL);
	CHECK(w.job->nmerges == 100 && w.job->ninputs == 9 && runs_right(&w, INT64_MIN, &result),
		  "100 tables of WAL runs, and one that they do not speak for");
	CHECK(result.noutputs >= 100, "each has an output of its own");
	for (int i = 0; i < 9; i++)
		reads += w.store.files[i]->file.reads;
	for (int i = 0; i < 9; i++)
		most_outputs += (int) (w.store.files[i]->file.bytes.len / 4096);
	CHECK(reads < most_outputs * 2 + 9, "a WAL run is read once, not once a table");
	CHECK(w.store.most_open_inputs == 9, "and opened once");
	lsm_result_free(&result);
	world_free(&w);
}

static void
test_expiry(void)
{
	World		w = {.nruns = 10,.nkeys = 2000,.ntables = 1,.tombstones = 10,.expiring = 4};
	LsmResult	result;

	world_make(&w, LSM_BUFFER, "key00000500", "key00000999");
	CHECK(w.job->merges[0].nolder == 1 && runs_right(&w, 7, &result),
		  "what expired before the cut-off goes, or becomes a tombstone where something older may be");
	CHECK(result.counts.expired > 0 && result.counts.tombstones_dropped > 0, "both were met");
	lsm_result_free(&result);
	CHECK(runs_right(&w, 0, &result) && result.counts.expired == 0, "what expires at the cut-off stays");
	lsm_result_free(&result);
	CHECK(runs_right(&w, INT64_MIN, &result) && result.counts.expired == 0, "nothing expires without one");
	lsm_result_free(&result);
	world_free(&w);
}

/* An allocator that knows how much is out. */
typedef struct Meter
{
	size_t		now;
	size_t		most;
} Meter;

static void *
meter_allocate(void *state, size_t bytes)
{
	Meter	   *meter = state;
	size_t	   *block = must_allocate(bytes + 16);

	*block = bytes;
	meter->now += bytes;
	meter->most = meter->now > meter->most ? meter->now : meter->most;
	return (char *) block + 16;
}

static void
meter_release(void *state, void *ptr)
{
	size_t	   *block = ptr == NULL ? NULL : (size_t *) ((char *) ptr - 16);

	if (block == NULL)
		return;
	((Meter *) state)->now -= *block;
	free(block);
}

static void *
meter_resize(void *state, void *ptr, size_t bytes)
{
	void	   *resized = meter_allocate(state, bytes);
	size_t		old = ptr == NULL ? 0 : *(size_t *) ((char *) ptr - 16);

	if (old > 0)
		memcpy(resized, ptr, old < bytes ? old : bytes);
	meter_release(state, ptr);
	return resized;
}

static size_t
peak_memory(World *w)
{
	Meter		meter = {0};
	SvAlloc		alloc = {meter_allocate, meter_resize, meter_release, &meter};
	LsmResult	result;
	SvError		err;

	if (run_job(w, INT64_MIN, &result, &alloc, &err) != SV_OK || !all_is_right(w, &result, INT64_MIN) ||
		meter.now != 0)
		abort();
	lsm_result_free(&result);
	return meter.most;
}

static void
test_memory(void)
{
	World		small = {.nruns = 10,.nkeys = 3000,.ntables = 1,.span = 300};
	World		large = {.nruns = 10,.nkeys = 60000,.ntables = 1,.span = 6000};
	World		many = {.nruns = 100,.nkeys = 30000,.ntables = 1,.span = 300};
	size_t		longest_tail = 0;
	size_t		memory;

	settings.run_bytes = 50000;
	world_make(&small, LSM_BUFFER, NULL, NULL);
	world_make(&large, LSM_BUFFER, NULL, NULL);
	world_make(&many, LSM_BUFFER, NULL, NULL);
	memory = peak_memory(&small);
	CHECK(peak_memory(&many) < memory + 60000, "runs beside each other take the memory of one");
	CHECK(many.store.most_open_inputs == 1, "being open one at a time");
	CHECK(peak_memory(&large) < memory * 3, "runs of twenty times the size take not much more");
	for (int i = 0; i < large.nruns; i++)
	{
		size_t		tail = large.store.files[i]->file.summary.tail_bytes;

		longest_tail = tail > longest_tail ? tail : longest_tail;
	}
	CHECK(large.store.longest_read == longest_tail && small.store.longest_read <= 4096,
		  "nothing is read in one piece but tails");
	world_free(&small);
	world_free(&large);
	world_free(&many);
	settings.run_bytes = 20000;
}

static void
test_large_values(void)
{
	World		w = {.nruns = 5,.nkeys = 60,.ntables = 1,.value_bytes = 40000};
	LsmResult	result;

	world_make(&w, LSM_BUFFER, NULL, NULL);
	CHECK(runs_right(&w, INT64_MIN, &result) && w.store.longest_read >= 40000,
		  "values larger than a block and than what is read ahead");
	CHECK(result.noutputs > 10, "each of them fills an output");
	lsm_result_free(&result);
	world_free(&w);
}

/* Fails at the first call, the second, ... until it passes: nothing leaks, nothing stays open. */
static void
test_failing_store(void)
{
	World		w = {.nruns = 4,.nkeys = 300,.ntables = 3,.tombstones = 7};
	LsmResult	result;
	SvError		err;
	SvStatus	status;
	bool		ok = true;
	int			fail_at = 0;

	settings.run_bytes = 3000;
	world_make(&w, LSM_WAL, NULL, NULL);
	do
	{
		w.store.calls = 0;
		w.store.fail_at = ++fail_at;
		status = run_job(&w, INT64_MIN, &result, &sv_malloc_alloc, &err);
		ok &= w.store.open_inputs == 0 && (status == SV_OK || status == SV_IO);
		w.store.output = NULL;
		if (status == SV_OK)
			ok &= all_is_right(&w, &result, INT64_MIN);
		lsm_result_free(&result);
	} while (status != SV_OK && fail_at < 100000);
	CHECK(ok && fail_at > 100, "a store that fails anywhere ends the compaction");
	settings.run_bytes = 20000;
	world_free(&w);
}

static void
test_failing_memory(void)
{
	World		w = {.nruns = 4,.nkeys = 300,.ntables = 3,.tombstones = 7};
	bool		ok = true;
	long		n = 0;
	bool		failed = true;

	settings.run_bytes = 3000;
	world_make(&w, LSM_WAL, NULL, NULL);
	for (; failed && n < 100000; n += 1 + n / 50)
	{
		FailingAlloc failing = {.countdown = n};
		SvAlloc		alloc = failing_alloc(&failing);
		LsmResult	result;
		SvError		err;
		SvStatus	status = run_job(&w, INT64_MIN, &result, &alloc, &err);

		failed = failing.failed;
		ok &= failing.outstanding == 0 && w.store.open_inputs == 0 &&
			status == (failed ? SV_NO_MEMORY : SV_OK);
		w.store.output = NULL;
		lsm_result_free(&result);
	}
	CHECK(ok && !failed && n > 50, "memory that runs out anywhere ends it as well");
	settings.run_bytes = 20000;
	world_free(&w);
}

static SvStatus
cancel(void *state, const LsmCompactCounts *counts, SvError *err)
{
	(void) state;
	return counts->entries_in < 1000 ? SV_OK : sv_fail(err, SV_CANCELLED, "stop");
}

static void
test_cancel(void)
{
	World		w = {.nruns = 4,.nkeys = 9000,.ntables = 1};
	LsmCompactIo io;
	LsmCompactOptions options = {.expired_before = INT64_MIN,.read_ahead_bytes = 4096};
	LsmResult	result;
	SvError		err;

	world_make(&w, LSM_BUFFER, NULL, NULL);
	io = store_io(&w.store);
	io.progress = cancel;
	lsm_result_init(&result, &sv_malloc_alloc);
	CHECK(lsm_compact(w.job, NULL, 0, &options, &io, &result, &sv_malloc_alloc, &err) == SV_CANCELLED &&
		  result.counts.entries_in < 1300, "it stops soon after it is asked to");
	lsm_result_free(&result);
	io.progress = NULL;
	lsm_result_init(&result, &sv_malloc_alloc);
	w.store.output = NULL;
	CHECK(lsm_compact(w.job, NULL, 0, &options, &io, &result, &sv_malloc_alloc, &err) == SV_OK &&
		  all_is_right(&w, &result, INT64_MIN), "nobody has to listen");
	lsm_result_free(&result);
	world_free(&w);
}

static void
test_damage(void)
{
	World		w = {.nruns = 3,.nkeys = 900,.ntables = 1};
	LsmResult	result;
	SvError		err = {0};

	world_make(&w, LSM_BUFFER, NULL, NULL);
	w.store.files[1]->file.bytes.data[1000] ^= 1;
	CHECK(run_job(&w, INT64_MIN, &result, &sv_malloc_alloc, &err) == SV_CORRUPT &&
		  strstr(err.message, "run-1") != NULL && w.store.open_inputs == 0,
		  "a damaged block is an error that names its object");
	lsm_result_free(&result);
	w.store.output = NULL;
	w.store.files[1]->file.bytes.data[1000] ^= 1;
	w.store.files[2]->file.bytes.data[w.store.files[2]->file.bytes.len - 20] ^= 1;
	CHECK(run_job(&w, INT64_MIN, &result, &sv_malloc_alloc, &err) == SV_CORRUPT &&
		  strstr(err.message, "run-2") != NULL && w.store.open_inputs == 0, "a damaged tail as well");
	lsm_result_free(&result);
	world_free(&w);
}

/* The merge in pieces, each with a result of its own: together they are the whole. */
static void
check_pieces(World *w, LsmMarks *marks, int pieces, int expected, const char *name)
{
	LsmSlice	slices[16];
	LsmCompactIo io = store_io(&w->store);
	LsmCompactOptions options = {.expired_before = INT64_MIN,.read_ahead_bytes = 4096};
	LsmResult	whole;
	uint64_t	entries = 0;
	uint64_t	largest = 0;
	int			n = lsm_split(marks, 0, pieces, slices);
	SvError		err;
	bool		ok = n == expected;

	lsm_result_init(&whole, &sv_malloc_alloc);
	for (int i = 0; i < n && ok; i++)
	{
		LsmResult	piece;

		lsm_result_init(&piece, &sv_malloc_alloc);
		ok = lsm_compact(w->job, &slices[i], 1, &options, &io, &piece, &sv_malloc_alloc, &err) == SV_OK &&
			lsm_result_append(&whole, &piece, &err) == SV_OK;
		entries += piece.counts.entries_in;
		largest = piece.counts.entries_in > largest ? piece.counts.entries_in : largest;
		lsm_result_free(&piece);
	}
	CHECK(ok && all_is_right(w, &whole, INT64_MIN) && whole.counts.entries_in == entries, name);
	CHECK(n == 1 || largest * (uint64_t) n < entries * 3 / 2, "pieces are about equal");
	lsm_result_free(&whole);
}

static void
test_split(void)
{
	World		beside = {.nruns = 40,.nkeys = 4000,.ntables = 1,.span = 100};
	World		across = {.nruns = 6,.nkeys = 9000,.ntables = 1,.tombstones = 5};
	LsmMarks	marks;
	SvError		err;

	world_make(&beside, LSM_BUFFER, NULL, NULL);
	lsm_marks_init(&marks, &sv_malloc_alloc);
	CHECK(lsm_marks_add_runs(&marks, beside.job, 0, &err) == SV_OK, "marks of runs");
	check_pieces(&beside, &marks, 1, 1, "one piece is the whole");
	check_pieces(&beside, &marks, 4, 4, "four pieces of runs beside each other");
	lsm_marks_free(&marks);
	world_free(&beside);

	world_make(&across, LSM_BUFFER, NULL, NULL);
	lsm_marks_init(&marks, &sv_malloc_alloc);
	for (int i = 0; i < 6; i++)
	{
		SstReader  *reader;

		if (mem_open(&reader, &across.store.files[i]->file, &sv_malloc_alloc, &err) != SV_OK)
			abort();
		CHECK(lsm_marks_add_blocks(&marks, sst_reader_tail(reader), &err) == SV_OK, "marks of blocks");
		sst_reader_close(reader);
	}
	check_pieces(&across, &marks, 7, 7, "seven pieces across all runs");
	lsm_marks_free(&marks);

	lsm_marks_init(&marks, &sv_malloc_alloc);
	check_pieces(&across, &marks, 3, 1, "without marks there is one piece");
	lsm_marks_free(&marks);
	world_free(&across);
}

int
main(void)
{
	test_inputs();
	test_wal();
	test_expiry();
	test_memory();
	test_large_values();
	test_failing_store();
	test_failing_memory();
	test_cancel();
	test_damage();
	test_split();
	return unit_done();
}
