/*
 * engine_rounds.c
 *		Each round asks all contenders for the same keys, one after the other,
 *		and begins with another of them.
 */
#include "engine_rounds.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_work.h"

static const EngineWork works[] = {
	{ENGINE_GET_HIT, 1, 1},
	{ENGINE_GET_HIT, 2, 1},
	{ENGINE_GET_MISS, 1, 1},
	{ENGINE_BATCH_HIT, 1, 1},
	{ENGINE_BATCH_HIT, 1, 10},
	{ENGINE_BATCH_HIT, 1, 32},
	{ENGINE_BATCH_HIT, 1, 100},
	{ENGINE_BATCH_HIT, 1, 316},
	{ENGINE_BATCH_HIT, 1, 1000},
	{ENGINE_BATCH_HIT, 1, 3162},
};

#define WORKS (sizeof(works) / sizeof(works[0]))

static const char *const work_names[] = {"get hit", "get miss", "batch"};

typedef struct Contender
{
	const EnginePeer *peer;
	EngineStore *store;
	EngineSession *sessions[ENGINE_MAX_THREADS];
	char		directory[1024];
	double		ns[WORKS][ENGINE_MAX_ROUNDS];
} Contender;

static void
open_contender(Contender *c, const EngineRounds *options, const EnginePeer *peer, const EngineData *data)
{
	c->peer = peer;
	snprintf(c->directory, sizeof(c->directory), "%s/%s", options->directory, peer->name);
	if (mkdir(c->directory, 0700) != 0)
		engine_die("could not make the directory \"%s\"", c->directory);
	c->store = peer->load(peer, data, c->directory);
	for (uint32_t t = 0; t < ENGINE_MAX_THREADS; t++)
		c->sessions[t] = peer->begin(c->store);
}

static int
remove_path(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	(void) st;
	(void) kind;
	(void) place;
	return remove(path);
}

static void
close_contender(Contender *c)
{
	for (uint32_t t = 0; t < ENGINE_MAX_THREADS; t++)
		c->peer->end(c->sessions[t]);
	c->peer->close(c->store);
	if (nftw(c->directory, remove_path, 16, FTW_DEPTH | FTW_PHYS) != 0)
		engine_die("could not remove \"%s\"", c->directory);
}

static uint64_t
measure_work(Contender *contenders, const EngineRounds *options, const EngineData *data, uint32_t w)
{
	uint64_t	wrong = 0;

	for (uint32_t round = 0; round < options->rounds; round++)
	{
		EngineQueries queries;

		engine_queries_make(&queries, data, &works[w], options->operations, round);
		for (uint32_t i = 0; i < options->peer_count; i++)
		{
			Contender  *c = &contenders[(round + i) % options->peer_count];

			c->ns[w][round] = engine_work_time(c->peer, c->sessions, &works[w], &queries, &wrong);
		}
		engine_queries_free(&queries);
	}
	return wrong;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
write_times(Contender *c, const EngineRounds *options, const EngineData *data)
{
	for (uint32_t w = 0; w < WORKS; w++)
	{
		uint32_t	n = options->rounds;
		uint32_t	param = works[w].kind == ENGINE_BATCH_HIT ? works[w].batch : works[w].threads;
		double	   *ns = c->ns[w];

		qsort(ns, n, sizeof(double), compare_doubles);
		fprintf(options->csv, "%s,%s,%s,%u,%.1f,%.1f,%.1f,\n", data->name, work_names[works[w].kind],
				c->peer->name, param, (ns[(n - 1) / 2] + ns[n / 2]) / 2, ns[0], ns[n - 1]);
	}
}

static void
write_sizes(const Contender *c, const EngineRounds *options, const EngineData *data)
{
	uint64_t	index = c->peer->index_bytes(c->store);

	fprintf(options->csv, "%s,disk,%s,,,,,%llu\n", data->name, c->peer->name,
			(unsigned long long) c->peer->disk_bytes(c->store));
	if (index > 0)
		fprintf(options->csv, "%s,index memory,%s,,,,,%llu\n", data->name, c->peer->name,
				(unsigned long long) index);
}

void
engine_rounds_header(FILE *csv)
{
	fputs("dataset,work,contender,param,ns_median,ns_min,ns_max,bytes\n", csv);
}

uint64_t
engine_rounds_run(const EngineRounds *options, EngineSet set)
{
	Contender  *contenders = engine_allocate(ENGINE_MAX_PEERS * sizeof(Contender));
	uint64_t	wrong = 0;
	EngineData	data;

	engine_data_make(&data, set, options->keys, 1);
	fprintf(options->csv, "%s,data,,%u,,,,%llu\n", data.name, data.count,
			(unsigned long long) data.count * (data.key_bytes + ENGINE_VALUE_BYTES));
	for (uint32_t i = 0; i < options->peer_count; i++)
	{
		uint64_t	bad;

		open_contender(&contenders[i], options, options->peers[i], &data);
		bad = engine_verify(options->peers[i], contenders[i].sessions[0], &data);
		if (bad > 0)
			fprintf(stderr, "%s, %s: %llu wrong answers\n", data.name, options->peers[i]->name,
					(unsigned long long) bad);
		wrong += bad;
	}
	for (uint32_t w = 0; w < WORKS && wrong == 0; w++)
		wrong += measure_work(contenders, options, &data, w);
	for (uint32_t i = 0; i < options->peer_count; i++)
	{
		if (wrong == 0)
		{
			write_times(&contenders[i], options, &data);
			write_sizes(&contenders[i], options, &data);
		}
		close_contender(&contenders[i]);
	}
	engine_data_free(&data);
	free(contenders);
	return wrong;
}
