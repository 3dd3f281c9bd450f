/*
 * bench_engine.c
 *		The engine side by side with RocksDB and LMDB, without a server.
 *
 *	bench_engine KEYS ROUNDS OPERATIONS DIRECTORY > CSV
 *
 * Whichever of the others was there when it was compiled takes part.
 */
#include <stdlib.h>

#include "engine_rounds.h"

#define MIN_KEYS 10000

static const EnginePeer *const peers[] = {
	&engine_skyvault,
	&engine_skyvault_one_run,
	&engine_skyvault_small_pages,
#ifdef ENGINE_ROCKSDB
	&engine_rocksdb_4k,
	&engine_rocksdb_16k,
#endif
#ifdef ENGINE_LMDB
	&engine_lmdb,
#endif
};

static const EngineSet sets[] = {ENGINE_UNIFORM, ENGINE_STRINGS, ENGINE_LOGNORMAL};

static uint32_t
number(const char *text, uint32_t least, uint32_t most)
{
	char	   *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || n < least || n > most)
		engine_die("not a number from %u to %u: \"%s\"", least, most, text);
	return (uint32_t) n;
}

int
main(int argc, char **argv)
{
	EngineRounds options = {
		.peers = peers,
		.peer_count = sizeof(peers) / sizeof(peers[0]),
		.csv = stdout
	};
	uint64_t	wrong = 0;

	if (argc != 5)
		engine_die("usage: %s KEYS ROUNDS OPERATIONS DIRECTORY", argv[0]);
	options.keys = number(argv[1], MIN_KEYS, 1000000000);
	options.rounds = number(argv[2], 1, ENGINE_MAX_ROUNDS);
	options.operations = number(argv[3], 1, 100000000);
	options.directory = argv[4];
	engine_rounds_header(stdout);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
	{
		fprintf(stderr, "%s\n", engine_set_name(sets[i]));
		wrong += engine_rounds_run(&options, sets[i]);
		fflush(stdout);
	}
	if (wrong > 0)
		engine_die("%llu wrong answers", (unsigned long long) wrong);
	return 0;
}
