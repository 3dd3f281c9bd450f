/*
 * test_compact_model.c
 *		A model check of compaction: random histories of writes, flushes,
 *		loads, truncations, drops and expiries, with two jobs at a time chosen,
 *		run on files in memory and published late.  After every step each key
 *		of each table is what a plain map says, the forest keeps its order, and
 *		at the end everything comes to rest.  And jobs of up to 100 inputs.
 *
 * Usage: test_compact_model [seed [histories]]
 */
#include "unit.h"

#include <time.h>

#include "compact_sim.h"

/* -------------------------------------------------------------------- jobs */

static SvStatus
sim_choose(Sim *sim, int mode, SimTable *by_hand, LsmJob **job, bool *waits)
{
	LsmForest  *forest = sim_forest(sim);
	SimTable   *sorted[TABLES];
	LsmTable	tables[TABLES];
	LsmClaim	claims[JOBS];
	LsmQuestion question = {
		.forest = forest,.settings = &sim->settings,.ntables = TABLES,.tables = tables,
		.claims = claims,.expired_before = sim->now - GRACE,.alloc = &sv_malloc_alloc
	};
	SvStatus	status;
	SvError		err;

	sort_tables(sim, sorted);
	for (int t = 0; t < TABLES; t++)
		tables[t] = (LsmTable) {sorted[t]->id, &sorted[t]->settings};
	for (int j = 0; j < JOBS; j++)
	{
		if (sim->jobs[j].job != NULL)
			claims[question.nclaims++] = sim->jobs[j].claim;
	}
	*waits = false;
	status = mode == 0 ? lsm_choose(&question, job, &err) :
		lsm_choose_table(&question, by_hand->id, mode == 2, lsm_forest_newest_seq(forest), job,
						 waits, &err);
	lsm_forest_free(forest);
	return status;
}

/* All that its sources have of their tables. */
static uint64_t
entries_of_sources(const LsmJob *job)
{
	uint64_t	entries = 0;

	for (int m = 0; m < job->nmerges; m++)
	{
		const LsmMergePlan *merge = &job->merges[m];

		for (int s = 0; s < merge->nsources && !merge->is_move; s++)
			entries += job->inputs[merge->sources[s].input].run.parts[merge->sources[s].part].entries;
	}
	return entries;
}

/* Whether what a job writes follows from the contract of lsm_compact. */
static bool
result_is_sound(const LsmJob *job, const LsmResult *result)
{
	/* Entries that are not accounted for but by being expired. */
	uint64_t	lost = result->counts.entries_in - result->counts.hidden -
		result->counts.tombstones_dropped - result->counts.entries_out;

	for (int i = 0; i < result->noutputs; i++)
	{
		const LsmOutput *output = &result->outputs[i];
		const LsmMergePlan *merge = &job->merges[output->merge];
		const LsmPart *part = &output->run.parts[0];

		if (merge->is_move || output->run.nparts != 1 || part->table_id != merge->table_id ||
			output->run.level != merge->level || output->run.tier != merge->tier ||
			output->run.seq_lo != merge->seq_lo || output->run.seq_hi != merge->seq_hi ||
			sv_slice_compare(part->min_key, merge->range.low) < 0 ||
			sv_slice_compare(part->max_key, merge->range.high) > 0 || part->entries == 0)
			return false;
		if (i > 0 && output[-1].merge == output->merge &&
			sv_slice_compare(output[-1].run.parts[0].max_key, part->min_key) >= 0)
			return false;
	}
	return lost <= result->counts.expired && result->counts.entries_in == entries_of_sources(job);
}

/* Chooses a job into a free place and runs it; false if something is wrong. */
static bool
sim_begin(Sim *sim, int mode, SimTable *by_hand, SvStatus *status, bool *waits)
{
	LsmCompactOptions options = {.expired_before = sim->now - GRACE,.read_ahead_bytes = 400};
	LsmCompactIo io = store_io(&sim->store);
	SimJob	   *place = NULL;
	SvError		err = {0};

	for (int j = 0; j < JOBS; j++)
	{
		if (sim->jobs[j].job == NULL)
			place = &sim->jobs[j];
	}
	*status = SV_NOT_FOUND;
	if (place == NULL)
		return true;
	*status = sim_choose(sim, mode, by_hand, &place->job, waits);
	if (*status != SV_OK)
		return *status == SV_NOT_FOUND;
	lsm_result_init(&place->result, &sv_malloc_alloc);
	if (lsm_job_claim(place->job, &place->claim, &err) != SV_OK ||
		lsm_compact(place->job, NULL, 0, &options, &io, &place->result, &sv_malloc_alloc,
					&err) != SV_OK)
	{
		printf("# %s\n", err.message);
		return false;
	}
	return result_is_sound(place->job, &place->result) && sim->store.open_inputs == 0;
}

typedef struct States
{
	const Sim  *sim;
	int32_t		locked;			/* a table that cannot be had */
} States;

static LsmTableState
state_of_table(void *state, int32_t table_id)
{
	const States *states = state;

	if (states->locked == table_id)
		return LSM_TABLE_LOCKED;
	for (int t = 0; t < TABLES; t++)
	{
		if (states->sim->tables[t].id == table_id)
			return LSM_TABLE_LIVE;
	}
	return LSM_TABLE_DROPPED;
}

static void
sim_apply(Sim *sim, const LsmChanges *changes)
{
	for (int i = 0; i < changes->nremoved; i++)
		sim_remove(sim, sim_find(sim, changes->removed[i]));
	for (int i = 0; i < changes->nchanged; i++)
	{
		const LsmRunChange *change = &changes->changed[i];
		LsmRun	   *run = &sim->runs[sim_find(sim, change->run_id)]->run;

		run->tier = change->tier;
		run->level = change->level;
		run->nparts = change->nparts;
		for (int p = 0; p < change->nparts; p++)
		{
			run->parts[p] = change->parts[p];
			run->parts[p].min_key = key_of(number_of(change->parts[p].min_key));
			run->parts[p].max_key = key_of(number_of(change->parts[p].max_key));
		}
	}
	for (int i = 0; i < changes->nadded; i++)
		sim_add(sim, changes->added[i]);
}

static void
sim_count(Sim *sim, const SimJob *place, const LsmChanges *changes)
{
	sim->published[(unsigned char) place->job->kind]++;
	sim->left_out += changes->nleft_out > 0;
	sim->gone += changes->nunused > 0 && changes->nleft_out == 0;
	for (int i = 0; i < place->job->nmerges; i++)
		sim->moves += place->job->merges[i].is_move;
	for (int i = 1; i < place->result.noutputs; i++)
		sim->outputs_of_a_merge += place->result.outputs[i].merge == place->result.outputs[i - 1].merge;
}

/* Publishes a running job, if there is one. */
static bool
sim_end(Sim *sim, int which, bool may_lock)
{
	SimJob	   *place = &sim->jobs[which];
	LsmForest  *forest;
	States		states = {.sim = sim};
	LsmApplyInput input = {
		.job = place->job,.result = &place->result,.table_state = state_of_table,.state = &states,
		.alloc = &sv_malloc_alloc
	};
	LsmChanges	changes;
	LsmVerdict	verdict;
	SvError		err;
	bool		ok;

	if (place->job == NULL)
		return true;
	if (may_lock && rand() % 5 == 0)
		states.locked = sim->tables[rand() % TABLES].id;
	input.forest = forest = sim_forest(sim);
	ok = lsm_apply(&input, &verdict, &changes, &err) == SV_OK;
	if (ok && verdict == LSM_VERDICT_AGAIN)
	{
		sim->again++;
		ok = changes.nadded == 0 && changes.nremoved == 0 && changes.nchanged == 0 &&
			changes.nunused == place->result.noutputs;
	}
	else if (ok)
	{
		sim_count(sim, place, &changes);
		sim_apply(sim, &changes);
	}
	lsm_changes_free(&changes);
	lsm_result_free(&place->result);
	lsm_job_free(place->job);
	lsm_forest_free(forest);
	place->job = NULL;
	return ok;
}

/* ------------------------------------------------------------------ checks */

/* The run's entry for the key, if its part may have it; false if there is none. */
static bool
read_entry(SimRun *run, const LsmPart *part, SvSlice key, SvBuffer *scratch, SstEntry *entry)
{
	uint8_t		walkey[16];
	SvError		err;
	SvStatus	status;

	if (!lsm_part_has_key(part, key))
		return false;
	if (run->run.tier == LSM_WAL)
	{
		lsm_walkey_prefix(walkey, part->table_id);
		memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
		key = sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + key.len);
	}
	status = sst_reader_get(run->reader, key, entry, scratch, &err);
	if (status != SV_OK && status != SV_NOT_FOUND)
		abort();
	return status == SV_OK;
}

/* Looks a key up as readers do, and that what is met later is older. */
static bool
key_is_right(Sim *sim, const LsmForest *forest, const SimTable *table, int k, SvBuffer *scratch)
{
	int			n;
	const LsmSourceRun *sources = lsm_forest_sources(forest, table->id, &n);
	const Cell *truth = &table->truth[k];
	bool		found = false;
	int			last_version = INT32_MAX;
	Cell		seen = table->delta[k];

	found = seen.version != 0;
	for (int i = 0; i < n; i++)
	{
		SimRun	   *run = sim->runs[sim_find(sim, sources[i].run->id)];
		SstEntry	entry;
		int			version;

		if (!read_entry(run, sources[i].part, key_of(k), scratch, &entry))
			continue;
		version = entry.kind == SST_VALUE ? atoi((const char *) entry.value.data) : 0;
		if (!found)
			seen = (Cell) {
			.version = version == 0 ? -1 : version,.deleted = entry.kind == SST_TOMBSTONE,
				.expires_at = entry.expires_at
		};
		found = true;
		if (entry.kind == SST_VALUE && version >= last_version)
			return false;
		if (entry.kind == SST_VALUE)
			last_version = version;
	}
	if (is_visible(truth, sim->now) != is_visible(&seen, sim->now))
		return false;
	return !is_visible(truth, sim->now) || truth->version == seen.version;
}

static bool
sim_is_right(Sim *sim)
{
	LsmForest  *forest = sim_forest(sim);
	bool		ok = forest != NULL;
	SvBuffer	scratch;

	sv_buffer_init(&scratch, &sv_malloc_alloc);
	for (int t = 0; t < TABLES && ok; t++)
	{
		for (int k = 0; k < KEYS && ok; k++)
		{
			ok = key_is_right(sim, forest, &sim->tables[t], k, &scratch);
			if (!ok)
				printf("# table %d, key %d\n", (int) sim->tables[t].id, k);
		}
	}
	sv_buffer_free(&scratch);
	lsm_forest_free(forest);
	return ok;
}

/* After full compactions: one entry a key, and nothing of what is gone. */
static bool
sim_is_clean(Sim *sim)
{
	bool		clean = true;

	for (int i = 0; i < sim->nruns; i++)
	{
		const LsmRun *run = &sim->runs[i]->run;

		clean &= run->tier == LSM_LEVEL && run->parts[0].tombstones == 0 &&
			lsm_part_expired(&run->parts[0], sim->now - GRACE) == 0;
		for (int j = 0; j < i; j++)
		{
			const LsmPart *a = &run->parts[0];
			const LsmPart *b = &sim->runs[j]->run.parts[0];

			clean &= a->table_id != b->table_id || sv_slice_compare(a->max_key, b->min_key) < 0 ||
				sv_slice_compare(b->max_key, a->min_key) < 0;
		}
	}
	return clean;
}

/* --------------------------------------------------------------- histories */

static LsmSettings
random_settings(void)
{
	return (LsmSettings) {
		.wal_runs = 1 + rand() % 5,.wal_bytes = rand() % 2 ? 3000 : 1 << 20,
		.buffer_runs = 1 + rand() % 5,.buffer_bytes = rand() % 2 ? 3000 : 1 << 20,
		.level1_bytes = (uint64_t) (100 + rand() % 3000),.ratio = 1 + rand() % 4,
		.bottom_level = 1 + rand() % 4,.run_bytes = (uint64_t) (200 + rand() % 3000),
		.garbage_share = rand() % 3 == 0 ? 2 : (1 + rand() % 10) / 10.0,
		.trivial_moves = rand() % 4 != 0,
		.max_inputs = 2 + rand() % 40,.max_bytes = rand() % 3 == 0 ? 4000 : 1 << 20
	};
}

static void
sim_init(Sim *sim)
{
	memset(sim, 0, sizeof(*sim));
	store_init(&sim->store);
	sim->now = 1000;
	sim->settings = random_settings();
	for (int t = 0; t < TABLES; t++)
	{
		sim->tables[t].id = ++sim->next_table;
		sim->tables[t].settings = random_settings();
	}
}

static void
sim_free(Sim *sim)
{
	for (int j = 0; j < JOBS; j++)
	{
		if (sim->jobs[j].job == NULL)
			continue;
		lsm_result_free(&sim->jobs[j].result);
		lsm_job_free(sim->jobs[j].job);
	}
	while (sim->nruns > 0)
		sim_remove(sim, sim->nruns - 1);
	store_free(&sim->store);
}

static bool
sim_step(Sim *sim)
{
	int			dice = rand() % 40;
	SvStatus	status;
	bool		waits;

	sim->now += rand() % 3;
	for (int n = rand() % 12; n > 0; n--)
		sim_write(sim);
	if (dice < 12)
		sim_flush(sim);
	else if (dice < 15)
		sim_load(sim);
	else if (dice < 17)
		sim_truncate(sim, dice == 16);
	else if (dice < 28)
		return sim_begin(sim, 0, NULL, &status, &waits);
	else if (dice < 30)
		return sim_begin(sim, dice - 27, &sim->tables[rand() % TABLES], &status, &waits);
	else
		return sim_end(sim, rand() % JOBS, true);
	return true;
}

/* No more writes: choice comes to an end, and full compactions leave nothing to do. */
static bool
sim_rest(Sim *sim)
{
	bool		ok = sim_end(sim, 0, false) && sim_end(sim, 1, false);
	SvStatus	status = SV_OK;
	bool		waits;
	int			jobs = 0;

	sim_flush(sim);
	sim_flush(sim);
	while (ok && status == SV_OK)
	{
		ok = sim_begin(sim, 0, NULL, &status, &waits) && sim_end(sim, 0, false) &&
			sim_end(sim, 1, false) && ++jobs < 500;
	}
	ok = ok && sim_is_right(sim);
	sim->now += GRACE;
	for (int t = 0; t < TABLES && ok; t++)
	{
		status = SV_OK;
		while (ok && status == SV_OK)
		{
			ok = sim_begin(sim, 2, &sim->tables[t], &status, &waits) && sim_end(sim, 0, false) &&
				sim_end(sim, 1, false) && ++jobs < 1000;
		}
		ok = ok && !waits;
	}
	/* Parts of dropped tables are what is left to remove. */
	status = SV_OK;
	while (ok && status == SV_OK)
		ok = sim_begin(sim, 0, NULL, &status, &waits) && sim_end(sim, 0, false) &&
			sim_end(sim, 1, false) && ++jobs < 1500;
	if (jobs >= 500)
		printf("# does not come to rest\n");
	return ok && sim_is_right(sim);
}

static bool
run_history(Sim *sim)
{
	bool		ok = true;
	int			steps = 20 + rand() % 100;

	for (int step = 0; step < steps && ok; step++)
	{
		ok = sim_step(sim) && sim_is_right(sim);
		if (!ok)
			printf("# step %d\n", step);
	}
	return ok;
}

/* ----------------------------------------------------- jobs of many inputs */

/* The next job, which has to be of that kind, run and published: how many inputs it had, or -1. */
static int
sim_do(Sim *sim, LsmJobKind kind)
{
	SvStatus	status;
	bool		waits;
	int			inputs = -1;

	if (!sim_begin(sim, 0, NULL, &status, &waits) || status != SV_OK)
		return -1;
	for (int j = 0; j < JOBS; j++)
	{
		if (sim->jobs[j].job != NULL && sim->jobs[j].job->kind == kind)
			inputs = sim->jobs[j].job->ninputs;
	}
	return sim_end(sim, 0, false) && sim_end(sim, 1, false) ? inputs : -1;
}

/*
 * Some writes and a flush; whether there is a run more.  Of the first table the run
 * reaches from the first key to the last, so that all its runs overlap.
 */
static bool
sim_flush_some(Sim *sim)
{
	int			before = sim->nruns;

	sim->now++;
	for (int i = 0; i < 10; i++)
		sim_write(sim);
	for (int k = 0; k < KEYS; k += KEYS - 1)
	{
		Cell	   *cell = &sim->tables[0].delta[k];

		*cell = (Cell) {.version = ++sim->next_version,.expires_at = SST_NEVER_EXPIRES};
		sim->tables[0].truth[k] = *cell;
	}
	sim_flush(sim);
	return sim->nruns > before;
}

static int
count_buffer_runs(const Sim *sim, int32_t table_id)
{
	int			n = 0;

	for (int i = 0; i < sim->nruns; i++)
		n += sim->runs[i]->run.tier == LSM_BUFFER && sim->runs[i]->run.parts[0].table_id == table_id;
	return n;
}

/* So many WAL runs, and then so many buffer runs of a table, or some more, are one job each. */
static bool
many_inputs(Sim *sim, int n)
{
	static const LsmSettings large = {
		.wal_runs = 1,.wal_bytes = 1 << 30,.buffer_runs = 1000,.buffer_bytes = 1 << 30,
		.level1_bytes = 1 << 30,.ratio = 10,.bottom_level = 3,.run_bytes = 300,.garbage_share = 2,
		.max_inputs = 1000,.max_bytes = 1 << 30
	};
	SimTable   *table = &sim->tables[0];
	int			buffers;

	sim->settings = large;
	for (int t = 0; t < TABLES; t++)
		sim->tables[t].settings = large;
	while (sim->nruns < n)
		(void) sim_flush_some(sim);
	if (sim_do(sim, LSM_JOB_WAL) != n || !sim_is_right(sim))
		return false;
	while ((buffers = count_buffer_runs(sim, table->id)) < n)
	{
		if (sim_flush_some(sim) && sim_do(sim, LSM_JOB_WAL) != 1)
			return false;
	}
	table->settings.buffer_runs = 1;
	return sim_is_right(sim) && sim_do(sim, LSM_JOB_BUFFER) == buffers && sim_is_right(sim) &&
		count_buffer_runs(sim, table->id) == 0 && (n < 40 || sim->outputs_of_a_merge > 0);
}

static void
test_many_inputs(Sim *sim, unsigned seed)
{
	static const int counts[] = {2, 16, 17, 40, 100};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
	{
		char		name[100];

		srand(seed);
		sim_init(sim);
		sprintf(name, "%d inputs: chosen as one job, merged and published, of WAL runs and of buffer runs", counts[i]);
		CHECK(many_inputs(sim, counts[i]), name);
		sim_free(sim);
	}
}

int
main(int argc, char **argv)
{
	unsigned	seed = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : (unsigned) time(NULL);
	int			histories = argc > 2 ? atoi(argv[2]) : 60;
	Sim		   *sim = must_allocate(sizeof(Sim));
	int			published[256] = {0};
	int			moves = 0;
	int			left_out = 0;
	int			gone = 0;
	int			several = 0;
	int			again = 0;
	bool		right = true;
	bool		rests = true;
	bool		clean = true;

	printf("# seed %u\n", seed);
	for (int k = 0; k < KEYS; k++)
		sprintf(key_text[k], "k%02d", k);
	test_many_inputs(sim, seed);
	for (int h = 0; h < histories && right && rests && clean; h++)
	{
		srand(seed + (unsigned) h);
		sim_init(sim);
		right = run_history(sim);
		rests = !right || sim_rest(sim);
		clean = !right || !rests || sim_is_clean(sim);
		for (int i = 0; i < 256; i++)
			published[i] += sim->published[i];
		moves += sim->moves;
		left_out += sim->left_out;
		gone += sim->gone;
		several += sim->outputs_of_a_merge;
		again += sim->again;
		if (!right || !rests || !clean)
			printf("# history %d: seed %u\n", h, seed + (unsigned) h);
		sim_free(sim);
	}
	CHECK(right, "every key is what the map says, after every step");
	CHECK(rests, "without writes all comes to rest");
	CHECK(clean, "full compaction leaves one entry a key");
	printf("# jobs: remove %d, wal %d, buffer %d, level %d, rewrite %d, full %d; "
		   "moves %d, left out %d, gone %d, several outputs %d, again %d\n",
		   published['r'], published['w'], published['b'], published['l'], published['g'],
		   published['f'], moves, left_out, gone, several, again);
	CHECK(histories < 60 ||
		  (published['r'] > 0 && published['w'] > 0 && published['b'] > 0 && published['l'] > 0 &&
		   published['g'] > 0 && published['f'] > 0 && moves > 0 && left_out > 0 && gone > 0 &&
		   several > 0), "all kinds of jobs and outcomes were met");
	CHECK(again <= 2 + histories / 100, "jobs that go on at a time do not get into each other's way");
	free(sim);
	return unit_done();
}
