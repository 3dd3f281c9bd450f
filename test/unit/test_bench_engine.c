/*
 * test_bench_engine.c
 *		The engine's benchmark with few keys: writer, caches and lookups all
 *		together, every answer compared, by two threads too.
 */
#include <stdlib.h>
#include <unistd.h>

#include "engine_rounds.h"
#include "unit.h"

#define KEYS 20000
#define WORKS 10

static const EnginePeer *const peers[] = {
	&engine_skyvault,
	&engine_skyvault_one_run,
	&engine_skyvault_small_pages,
};

#define PEERS (sizeof(peers) / sizeof(peers[0]))

/* The lines of the file that have a time of more than 0, or a size. */
static unsigned
count_figures(FILE *csv)
{
	char		line[256];
	unsigned	found = 0;

	rewind(csv);
	while (fgets(line, sizeof(line), csv) != NULL)
	{
		double		ns;
		unsigned long long bytes;

		if (sscanf(line, "%*[^,],%*[^,],%*[^,],%*u,%lf", &ns) == 1)
			found += ns > 0;
		else if (sscanf(line, "%*[^,],%*[^,],%*[^,],,,,,%llu", &bytes) == 1)
			found += bytes > 0;
	}
	return found;
}

static void
test_set(EngineSet set, const char *directory)
{
	FILE	   *csv = tmpfile();
	EngineRounds options = {
		.peers = peers,
		.peer_count = PEERS,
		.keys = KEYS,
		.rounds = 2,
		.operations = KEYS / 4,
		.directory = directory,
		.csv = csv
	};

	if (!CHECK(csv != NULL, "a file for the figures"))
		return;
	CHECK(engine_rounds_run(&options, set) == 0, engine_set_name(set));
	CHECK(count_figures(csv) == PEERS * (WORKS + 2), "a figure for each work, and two sizes");
	fclose(csv);
}

int
main(void)
{
	const char *base = getenv("TMPDIR");
	char		directory[512];

	snprintf(directory, sizeof(directory), "%s/skyvault-engine-XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(directory) == NULL)
		engine_die("could not make \"%s\"", directory);
	for (int set = 0; set < ENGINE_SETS; set++)
		if (set != ENGINE_DENSE)
			test_set((EngineSet) set, directory);
	CHECK(rmdir(directory) == 0, "nothing is left behind");
	return unit_done();
}
