/*
 * bench_compact.c
 *		Compaction of overlapping runs into one level, beside RocksDB's
 *		CompactRange of the same entries, each with one thread.
 *
 * Usage: bench_compact DIRECTORY KEYS ROUNDS
 *
 * Eight runs, each with an eighth of KEYS entries at random among KEYS keys of 16
 * bytes, values of 100 bytes of which half compress; zstd at level 1, blocks of 16 kB,
 * filters of 10 bits.  Inputs are files that the operating system has in memory;
 * outputs are written to files and synced.  Contenders take turns.  Prints a
 * line of CSV per round and contender: bytes are keys and values read.
 */
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine_data.h"
#include "lsm/lsm_choose.h"
#include "lsm/lsm_compact.h"

#define RUNS 8
#define KEY_BYTES 16
#define VALUE_BYTES 100
#define RUN_BYTES (UINT64_C(64) << 20)

typedef struct Bench
{
	const char *directory;
	uint64_t	keys;
	uint64_t	entries;		/* of one run */
	int			fds[RUNS];		/* our inputs */
	int			output;
	int			outputs;
	uint64_t	bytes;			/* keys and values of all runs */
} Bench;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
check(SvStatus status, const SvError *err)
{
	if (status != SV_OK)
		engine_die("%s", err->message);
}

/* ------------------------------------------------------------------- data */

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t	left = *(const uint64_t *) a;
	uint64_t	right = *(const uint64_t *) b;

	return (left > right) - (left < right);
}

/* The keys of a run as numbers, ascending, each once; returns how many. */
static uint64_t
run_keys(const Bench *bench, int run, uint64_t *numbers)
{
	uint64_t	state = (uint64_t) (run + 1) << 40;
	uint64_t	n = 0;

	for (uint64_t i = 0; i < bench->entries; i++)
		numbers[i] = engine_random(&state) % bench->keys;
	qsort(numbers, bench->entries, sizeof(uint64_t), compare_numbers);
	for (uint64_t i = 0; i < bench->entries; i++)
		if (n == 0 || numbers[i] != numbers[n - 1])
			numbers[n++] = numbers[i];
	return n;
}

static void
make_entry(uint64_t number, int run, char *key, char *value)
{
	uint64_t	state = number * RUNS + (uint64_t) run + 1;

	snprintf(key, KEY_BYTES + 1, "%016llx", (unsigned long long) (number * 2654435761u));
	memset(value, 'v', VALUE_BYTES);
	for (int i = 0; i < VALUE_BYTES / 2; i += 8)
	{
		uint64_t	random = engine_random(&state);

		memcpy(value + i, &random, i + 8 <= VALUE_BYTES / 2 ? 8 : (size_t) (VALUE_BYTES / 2 - i));
	}
}

/* ------------------------------------------------------------------- ours */

static SvStatus
write_file(void *state, const void *data, size_t len, SvError *err)
{
	int			fd = *(int *) state;

	if (write(fd, data, len) != (ssize_t) len)
		return sv_fail(err, SV_IO, "could not write");
	return SV_OK;
}

static int
create_file(const Bench *bench, const char *kind, int number)
{
	char		path[4096];
	int			fd;

	snprintf(path, sizeof(path), "%s/%s%d.sst", bench->directory, kind, number);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		engine_die("could not create \"%s\"", path);
	return fd;
}

static void
write_run(Bench *bench, LsmForest *forest, int run, const uint64_t *numbers, uint64_t n)
{
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	SstSink		sink = {write_file, &bench->fds[run]};
	SstSummary	summary;
	SstWriter  *writer;
	SvError		err;
	char		key[KEY_BYTES + 1];
	char		value[VALUE_BYTES];
	char		low[KEY_BYTES + 1];
	char		object[32];
	LsmPart		part;
	LsmRun		lsm_run = {
		.id = run + 1,.tier = LSM_BUFFER,.seq_lo = run + 1,.seq_hi = run + 1,.nparts = 1,.parts = &part
	};

	bench->fds[run] = create_file(bench, "in", run);
	lsm_part_init(&part, 1);
	check(sst_writer_create(&writer, &options, &sink, &sv_malloc_alloc, &err), &err);
	for (uint64_t i = 0; i < n; i++)
	{
		SstEntry	entry = {.kind = SST_VALUE,.expires_at = SST_NEVER_EXPIRES};

		make_entry(numbers[i], run, key, value);
		if (i == 0)
			memcpy(low, key, sizeof(key));
		entry.key = sv_slice(key, KEY_BYTES);
		entry.value = sv_slice(value, VALUE_BYTES);
		check(sst_writer_add(writer, &entry, &err), &err);
		lsm_part_count(&part, &entry);
	}
	check(sst_writer_finish(writer, &summary, &err), &err);
	sst_writer_destroy(writer);
	part.min_key = sv_slice(low, KEY_BYTES);
	part.max_key = sv_slice(key, KEY_BYTES);
	snprintf(object, sizeof(object), "%d", run);
	lsm_run.object = object;
	lsm_run.file_bytes = summary.file_bytes;
	lsm_run.tail_bytes = summary.tail_bytes;
	check(lsm_forest_add_run(forest, &lsm_run, &err), &err);
	bench->bytes += summary.raw_bytes;
}

static SvStatus
read_input(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	if (pread(*(int *) state, dst, len, (off_t) offset) != (ssize_t) len)
		return sv_fail(err, SV_IO, "could not read");
	return SV_OK;
}

static SvStatus
open_input(void *state, const LsmRun *run, SstSource *source, SvError *err)
{
	Bench	   *bench = state;

	(void) err;
	*source = (SstSource) {.read = read_input,.state = &bench->fds[run->id - 1],.name = run->object};
	return SV_OK;
}

static void
close_input(void *state, SstSource *source)
{
	(void) state;
	(void) source;
}

static SvStatus
begin_output(void *state, const LsmMergePlan *merge, SstWriterOptions *options, SstSink *sink, SvError *err)
{
	Bench	   *bench = state;

	(void) merge;
	(void) err;
	bench->output = create_file(bench, "out", bench->outputs++);
	*options = (SstWriterOptions) SST_WRITER_DEFAULTS;
	*sink = (SstSink) {write_file, &bench->output};
	return SV_OK;
}

static SvStatus
end_output(void *state, const LsmRun *run, const char **object, SvError *err)
{
	Bench	   *bench = state;

	(void) run;
	*object = "out";
	if (fsync(bench->output) != 0 || close(bench->output) != 0)
		return sv_fail(err, SV_IO, "could not sync");
	return SV_OK;
}

/* Seconds; *stored: bytes of the outputs. */
static double
compact_ours(Bench *bench, const LsmForest *forest, uint64_t *stored)
{
	LsmSettings settings = LSM_SETTINGS_DEFAULTS;
	LsmTable	table = {1, &settings};
	LsmQuestion question = {
		.forest = forest,.settings = &settings,.ntables = 1,.tables = &table,
		.expired_before = INT64_MIN,.alloc = &sv_malloc_alloc
	};
	LsmCompactOptions options = {.expired_before = INT64_MIN,.read_ahead_bytes = 1024 * 1024};
	LsmCompactIo io = {
		.open_input = open_input,.close_input = close_input,
		.begin_output = begin_output,.end_output = end_output,.state = bench
	};
	LsmResult	result;
	LsmJob	   *job;
	SvError		err;
	bool		waits;
	double		began;
	double		took;

	settings.max_bytes = UINT64_MAX / 4;
	settings.run_bytes = RUN_BYTES;
	check(lsm_choose_table(&question, 1, true, RUNS, &job, &waits, &err), &err);
	bench->outputs = 0;
	lsm_result_init(&result, &sv_malloc_alloc);
	began = now();
	check(lsm_compact(job, NULL, 0, &options, &io, &result, &sv_malloc_alloc, &err), &err);
	took = now() - began;
	*stored = result.counts.bytes_out;
	lsm_result_free(&result);
	lsm_job_free(job);
	return took;
}

/* ---------------------------------------------------------------- RocksDB */

static void
check_rocksdb(char *error)
{
	if (error != NULL)
		engine_die("RocksDB: %s", error);
}

static rocksdb_options_t *
rocksdb_settings(void)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_size(table, 16 * 1024);
	rocksdb_block_based_options_set_filter_policy(table, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_compression(options, rocksdb_zstd_compression);
	rocksdb_options_set_compression_options(options, -14, 1, 0, 0);
	rocksdb_options_set_disable_auto_compactions(options, 1);
	rocksdb_options_set_max_subcompactions(options, 1);
	rocksdb_options_set_target_file_size_base(options, RUN_BYTES);
	rocksdb_options_set_write_buffer_size(options, (size_t) 4 << 30);
	rocksdb_options_set_level0_slowdown_writes_trigger(options, 1000);
	rocksdb_options_set_level0_stop_writes_trigger(options, 1000);
	return options;
}

static void
write_rocksdb_run(rocksdb_t *db, int run, const uint64_t *numbers, uint64_t n)
{
	rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
	rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
	char		key[KEY_BYTES + 1];
	char		value[VALUE_BYTES];
	char	   *error = NULL;

	rocksdb_writeoptions_disable_WAL(write, 1);
	for (uint64_t i = 0; i < n; i++)
	{
		make_entry(numbers[i], run, key, value);
		rocksdb_put(db, write, key, KEY_BYTES, value, VALUE_BYTES, &error);
		check_rocksdb(error);
	}
	rocksdb_flush(db, flush, &error);
	check_rocksdb(error);
	rocksdb_flushoptions_destroy(flush);
	rocksdb_writeoptions_destroy(write);
}

/* Seconds; *stored: bytes of the outputs. */
static double
compact_rocksdb(const Bench *bench, uint64_t *numbers, uint64_t *stored)
{
	rocksdb_options_t *options = rocksdb_settings();
	char		path[4096];
	char	   *error = NULL;
	char	   *size;
	rocksdb_t  *db;
	double		began;
	double		took;

	snprintf(path, sizeof(path), "%s/rocksdb", bench->directory);
	rocksdb_destroy_db(options, path, &error);
	error = NULL;
	db = rocksdb_open(options, path, &error);
	check_rocksdb(error);
	for (int run = 0; run < RUNS; run++)
		write_rocksdb_run(db, run, numbers, run_keys(bench, run, numbers));
	began = now();
	rocksdb_compact_range(db, NULL, 0, NULL, 0);
	took = now() - began;
	size = rocksdb_property_value(db, "rocksdb.live-sst-files-size");
	*stored = size != NULL ? strtoull(size, NULL, 10) : 0;
	rocksdb_free(size);
	rocksdb_close(db);
	rocksdb_options_destroy(options);
	return took;
}

int
main(int argc, char **argv)
{
	Bench		bench = {0};
	LsmForest  *forest;
	uint64_t   *numbers;
	SvError		err;
	int			rounds;

	if (argc != 4)
		engine_die("usage: bench_compact DIRECTORY KEYS ROUNDS");
	bench.directory = argv[1];
	bench.keys = strtoull(argv[2], NULL, 10);
	rounds = atoi(argv[3]);
	bench.entries = bench.keys / RUNS;
	numbers = malloc((bench.entries + 1) * sizeof(uint64_t));
	check(lsm_forest_create(&forest, &sv_malloc_alloc, &err), &err);
	for (int run = 0; run < RUNS; run++)
		write_run(&bench, forest, run, numbers, run_keys(&bench, run, numbers));
	check(lsm_forest_finish(forest, &err), &err);

	printf("contender,round,seconds,mb_per_s,stored_bytes\n");
	for (int round = 1; round <= rounds; round++)
	{
		uint64_t	stored;
		double		took = compact_ours(&bench, forest, &stored);

		printf("skyvault,%d,%.3f,%.1f,%llu\n", round, took, bench.bytes / took / 1e6, (unsigned long long) stored);
		took = compact_rocksdb(&bench, numbers, &stored);
		printf("rocksdb,%d,%.3f,%.1f,%llu\n", round, took, bench.bytes / took / 1e6, (unsigned long long) stored);
		fflush(stdout);
	}
	lsm_forest_free(forest);
	free(numbers);
	return 0;
}
