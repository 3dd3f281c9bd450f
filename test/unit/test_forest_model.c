/*
 * test_forest_model.c
 *		A model check of lookup order: whatever history of writes, flushes,
 *		loads, merges and truncations made the runs, the first entry met in
 *		lookup order is the newest, by runs, by groups, and in a copy.
 *
 * Usage: test_forest_model [seed]
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lsm/lsm_forest.h"

#define TABLES 3
#define MODEL_KEYS 12
#define SIM_RUNS 400
#define LEVELS 3

/* A simulated run: versions of its entries, 0 for none. */
typedef struct SimRun
{
	bool		live;
	LsmTier		tier;
	int			level;
	int			seq_lo;
	int			seq_hi;
	int			version[TABLES][MODEL_KEYS];
} SimRun;

typedef struct Sim
{
	int			next_seq;
	int			next_version;
	int			nruns;
	SimRun		runs[SIM_RUNS];
	int			delta[TABLES][MODEL_KEYS];
	int			newest[TABLES][MODEL_KEYS]; /* the model: the newest version in a run, or 0 */
	int			floor[TABLES];
} Sim;

static SimRun *
sim_add_run(Sim *sim, LsmTier tier, int level, int seq_lo, int seq_hi)
{
	SimRun	   *run = &sim->runs[sim->nruns++];

	memset(run, 0, sizeof(*run));
	run->live = true;
	run->tier = tier;
	run->level = level;
	run->seq_lo = seq_lo;
	run->seq_hi = seq_hi;
	return run;
}

static bool
sim_speaks(const Sim *sim, const SimRun *run, int table)
{
	if (!run->live || (sim->floor[table] != 0 && run->seq_hi <= sim->floor[table]))
		return false;
	for (int k = 0; k < MODEL_KEYS; k++)
	{
		if (run->version[table][k] != 0)
			return true;
	}
	return false;
}

static void
sim_write(Sim *sim)
{
	for (int n = rand() % 6; n >= 0; n--)
		sim->delta[rand() % TABLES][rand() % MODEL_KEYS] = ++sim->next_version;
}

/* One WAL run of the delta; now and then a table is locked and left out. */
static void
sim_flush(Sim *sim)
{
	int			seq = ++sim->next_seq;
	SimRun	   *run = sim_add_run(sim, LSM_WAL, 0, seq, seq);

	for (int t = 0; t < TABLES; t++)
	{
		if (rand() % 5 == 0)
			continue;
		for (int k = 0; k < MODEL_KEYS; k++)
		{
			if (sim->delta[t][k] == 0)
				continue;
			run->version[t][k] = sim->newest[t][k] = sim->delta[t][k];
			sim->delta[t][k] = 0;
		}
	}
}

/* A load of one table, in two files that share a sequence; it replaces delta rows. */
static void
sim_load(Sim *sim)
{
	int			t = rand() % TABLES;
	int			cut = rand() % MODEL_KEYS;
	int			seq = ++sim->next_seq;
	SimRun	   *files[2];

	files[0] = sim_add_run(sim, LSM_BUFFER, 0, seq, seq);
	files[1] = sim_add_run(sim, LSM_BUFFER, 0, seq, seq);
	for (int k = 0; k < MODEL_KEYS; k++)
	{
		if (rand() % 2 == 0)
			continue;
		files[k >= cut]->version[t][k] = sim->newest[t][k] = ++sim->next_version;
		sim->delta[t][k] = 0;
	}
}

static void
sim_truncate(Sim *sim)
{
	int			t = rand() % TABLES;

	for (int r = 0; r < sim->nruns; r++)
	{
		if (sim->runs[r].tier != LSM_WAL && sim_speaks(sim, &sim->runs[r], t))
			sim->runs[r].live = false;
	}
	sim->floor[t] = ++sim->next_seq;
	for (int k = 0; k < MODEL_KEYS; k++)
		sim->delta[t][k] = sim->newest[t][k] = 0;
}

/* Takes the newest of both for each key of one table out of `from`. */
static void
sim_absorb(SimRun *into, SimRun *from, int table)
{
	for (int k = 0; k < MODEL_KEYS; k++)
	{
		if (from->version[table][k] > into->version[table][k])
			into->version[table][k] = from->version[table][k];
		from->version[table][k] = 0;
	}
}

/*
 * Merges, per table, stretches of level-0 runs that are neighbours in sequence
 * into buffer runs: a load that stays out of the job splits the stretch.
 */
static void
sim_merge_level0(Sim *sim)
{
	bool		in_job[SIM_RUNS];
	int			existing = sim->nruns;

	for (int r = 0; r < existing; r++)
		in_job[r] = sim->runs[r].live && sim->runs[r].tier == LSM_WAL && rand() % 4 != 0;
	for (int t = 0; t < TABLES; t++)
	{
		SimRun	   *output = NULL;

		for (int seq = 1; seq <= sim->next_seq; seq++)
		{
			for (int r = 0; r < existing; r++)
			{
				SimRun	   *run = &sim->runs[r];

				if (run->level != 0 || run->seq_lo != seq || !sim_speaks(sim, run, t))
					continue;
				if (!in_job[r])
					output = NULL;
				else
				{
					if (output == NULL)
						output = sim_add_run(sim, LSM_BUFFER, 0, run->seq_lo, run->seq_hi);
					output->seq_hi = run->seq_hi;
					sim_absorb(output, run, t);
				}
			}
		}
	}
}

/* Moves all of one table's level n to level n + 1, which it overlaps or may. */
static void
sim_move_down(Sim *sim)
{
	int			t = rand() % TABLES;
	int			level = rand() % LEVELS;
	SimRun		merged;
	int			cut = rand() % MODEL_KEYS;
	SimRun	   *outputs[2];

	memset(&merged, 0, sizeof(merged));
	merged.seq_lo = sim->next_seq;
	for (int r = 0; r < sim->nruns; r++)
	{
		SimRun	   *run = &sim->runs[r];

		if (!sim_speaks(sim, run, t) || (run->level != level && run->level != level + 1))
			continue;
		if (run->seq_lo < merged.seq_lo)
			merged.seq_lo = run->seq_lo;
		if (run->seq_hi > merged.seq_hi)
			merged.seq_hi = run->seq_hi;
		sim_absorb(&merged, run, t);
	}
	if (merged.seq_hi == 0)
		return;
	for (int i = 0; i < 2; i++)
		outputs[i] = sim_add_run(sim, LSM_LEVEL, level + 1, merged.seq_lo, merged.seq_hi);
	for (int k = 0; k < MODEL_KEYS; k++)
		outputs[k >= cut]->version[t][k] = merged.version[t][k];
}

/* Two digits: keys sort as their numbers do. */
static SvSlice
sim_key(char *buf, int key)
{
	return sv_slice(buf, (size_t) sprintf(buf, "%02d", key));
}

static SvStatus
sim_register(const Sim *sim, LsmForest *forest, int index, SvError *err)
{
	const SimRun *sim_run = &sim->runs[index];
	char		keys[TABLES][2][16];
	LsmPart		parts[TABLES];
	LsmRun		run = {.id = index + 1, .tier = sim_run->tier, .level = sim_run->level,
	.seq_lo = sim_run->seq_lo, .seq_hi = sim_run->seq_hi, .object = "o", .parts = parts};

	memset(parts, 0, sizeof(parts));
	for (int t = 0; t < TABLES; t++)
	{
		int			low = -1;
		int			high = -1;

		for (int k = 0; k < MODEL_KEYS; k++)
		{
			if (sim_run->version[t][k] == 0)
				continue;
			low = low < 0 ? k : low;
			high = k;
		}
		if (low < 0)
			continue;
		parts[run.nparts].table_id = t;
		parts[run.nparts].min_key = sim_key(keys[t][0], low);
		parts[run.nparts].max_key = sim_key(keys[t][1], high);
		run.nparts++;
	}
	return run.nparts == 0 ? SV_OK : lsm_forest_add_run(forest, &run, err);
}

/* Whether the first entry met for every key is the newest. */
static bool
sim_agrees(const Sim *sim, const LsmForest *forest)
{
	for (int t = 0; t < TABLES; t++)
	{
		int			count;
		const LsmSourceRun *sources = lsm_forest_sources(forest, t, &count);

		for (int k = 0; k < MODEL_KEYS; k++)
		{
			char		buf[16];
			SvSlice		key = sim_key(buf, k);
			int			found = 0;

			for (int s = 0; s < count && found == 0; s++)
			{
				if (lsm_part_has_key(sources[s].part, key))
					found = sim->runs[sources[s].run->id - 1].version[t][k];
			}
			if (found != sim->newest[t][k])
				return false;
		}
	}
	return true;
}

/* The same asked by groups, as lookups do. */
static bool
groups_agree(const Sim *sim, const LsmForest *forest)
{
	for (int t = 0; t < TABLES; t++)
	{
		int			count;
		const LsmGroup *groups = lsm_forest_groups(forest, t, &count);

		for (int k = 0; k < MODEL_KEYS; k++)
		{
			char		buf[16];
			SvSlice		key = sim_key(buf, k);
			int			found = 0;

			for (int g = 0; g < count && found == 0; g++)
			{
				const LsmSourceRun *source = lsm_group_find(&groups[g], key);

				if (source != NULL)
					found = sim->runs[source->run->id - 1].version[t][k];
			}
			if (found != sim->newest[t][k])
				return false;
		}
	}
	return true;
}

/* A copy answers alike, after the original is gone. */
static bool
copy_agrees(const Sim *sim, LsmForest *forest)
{
	size_t		bytes = lsm_forest_copy_bytes(forest);
	void	   *memory = malloc(bytes);
	LsmForest  *copy;
	bool		ok;

	if (memory == NULL)
		abort();
	copy = lsm_forest_copy(forest, memory);
	lsm_forest_free(forest);
	ok = sim_agrees(sim, copy) && groups_agree(sim, copy);
	for (int t = 0; t < TABLES && ok; t++)
	{
		const LsmFloor *floor = lsm_forest_floor(copy, t);

		ok = sim->floor[t] == (floor == NULL ? 0 : floor->floor_seq);
	}
	free(memory);
	return ok;
}

static bool
sim_check(const Sim *sim)
{
	LsmForest  *forest;
	SvError		err = {0};
	bool		ok = lsm_forest_create(&forest, &sv_malloc_alloc, &err) == SV_OK;

	for (int r = 0; r < sim->nruns && ok; r++)
		ok = !sim->runs[r].live || sim_register(sim, forest, r, &err) == SV_OK;
	for (int t = 0; t < TABLES && ok; t++)
	{
		LsmFloor	floor = {.table_id = t, .floor_seq = sim->floor[t]};

		ok = sim->floor[t] == 0 || lsm_forest_add_floor(forest, &floor, &err) == SV_OK;
	}
	ok = ok && lsm_forest_finish(forest, &err) == SV_OK;
	if (!ok)
		printf("# %s\n", err.message);
	ok = ok && sim_agrees(sim, forest) && groups_agree(sim, forest);
	if (ok)
		return copy_agrees(sim, forest);
	lsm_forest_free(forest);
	return false;
}

static void
test_model(void)
{
	static Sim	sim;
	bool		agrees = true;
	int			merges = 0;

	for (int history = 0; history < 100 && agrees; history++)
	{
		memset(&sim, 0, sizeof(sim));
		while (sim.nruns < SIM_RUNS - 100 && sim.next_seq < 60 && agrees)
		{
			int			dice = rand() % 20;

			sim_write(&sim);
			if (dice < 8)
				sim_flush(&sim);
			else if (dice < 11)
				sim_load(&sim);
			else if (dice < 12)
				sim_truncate(&sim);
			else if (dice < 15)
				sim_merge_level0(&sim);
			else
				sim_move_down(&sim);
			merges += dice >= 12;
			agrees = sim_check(&sim);
		}
	}
	CHECK(agrees && merges > 100, "lookup order finds the newest entry after every step");
}

int
main(int argc, char **argv)
{
	unsigned	seed = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : (unsigned) time(NULL);

	printf("# seed %u\n", seed);
	srand(seed);
	test_model();
	return unit_done();
}
