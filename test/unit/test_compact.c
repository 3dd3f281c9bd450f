/*
 * test_compact.c
 *		The merge of compactions: what comes out, how much memory and how many
 *		reads it takes, and what happens when something fails.
 */
#include "unit.h"

#include "compact_world.h"

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
	int			least = 0;

	world_make(&w, LSM_WAL, NULL, NULL);
	CHECK(w.job->nmerges == 100 && w.job->ninputs == 9 && runs_right(&w, INT64_MIN, &result),
		  "100 tables of WAL runs, and one that they do not speak for");
	CHECK(result.noutputs >= 100, "each has an output of its own");
	for (int i = 0; i < 9; i++)
		reads += w.store.files[i]->file.reads;
	for (int i = 0; i < 9; i++)
		least += 2 + (int) (w.store.files[i]->file.bytes.len / 4096);
	CHECK(reads <= least, "a WAL run is read once, not once a table");
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
	return unit_done();
}
