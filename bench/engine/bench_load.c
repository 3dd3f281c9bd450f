/*
 * bench_load.c
 *		What a bulk load is compared with: RocksDB's SstFileWriter and
 *		IngestExternalFile, of random keys of 8 bytes and values of 100 that lie
 *		sorted in memory, and the same with the sort.
 *
 *		bench_load DIRECTORY KEYS ROUNDS
 *
 * A line for each round: what, rows per second.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine_data.h"
#include "peer.h"

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

/* The keys in random order, as they come; then in order again. */
static void
shuffle_keys(EngineData *data)
{
	uint8_t    *shuffled = engine_allocate((size_t) data->count * data->key_bytes);

	for (uint32_t i = 0; i < data->count; i++)
		memcpy(shuffled + (size_t) i * data->key_bytes, engine_key(data, data->order[i]).data, data->key_bytes);
	free(data->keys);
	data->keys = shuffled;
}

static void
load_once(EngineData *data, const char *directory, const char *what)
{
	char		place[4096];
	double		begin;
	EngineStore *store;

	snprintf(place, sizeof(place), "%s/load-XXXXXX", directory);
	if (mkdtemp(place) == NULL)
		engine_die("cannot make a directory in %s", directory);
	begin = seconds_now();
	if (strcmp(what, "sort and write") == 0)
		qsort(data->keys, data->count, data->key_bytes, compare_keys);
	store = engine_rocksdb_16k.load(&engine_rocksdb_16k, data, place);
	printf("%s,%.0f\n", what, data->count / (seconds_now() - begin));
	fflush(stdout);
	engine_rocksdb_16k.close(store);
}

int
main(int argc, char **argv)
{
	EngineData	data;

	if (argc != 4)
		engine_die("usage: bench_load DIRECTORY KEYS ROUNDS");
	engine_data_make(&data, ENGINE_UNIFORM, (uint32_t) strtoul(argv[2], NULL, 10), 1);
	for (int round = 0; round < atoi(argv[3]); round++)
	{
		load_once(&data, argv[1], "write");
		shuffle_keys(&data);
		load_once(&data, argv[1], "sort and write");
	}
	engine_data_free(&data);
	return 0;
}
