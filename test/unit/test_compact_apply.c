/*
 * test_compact_apply.c
 *		What a job changes in a forest that may have changed meanwhile.
 *
 * Each case: a forest in which a job is chosen, the outputs it made, the
 * forest as it is then, and what comes of it, as text.
 */
#include "unit.h"

#include "choose_fixture.h"
#include "lsm/lsm_apply.h"

#define BASE \
	.wal_runs = 3,.wal_bytes = 1000000,.buffer_runs = 3,.buffer_bytes = 1000000, \
	.level1_bytes = 1000,.ratio = 10,.bottom_level = 6,.run_bytes = 200,.garbage_share = 0.5, \
	.max_inputs = 40,.max_bytes = 1000000

static const LsmSettings settings = {BASE};
static const LsmSettings moving = {BASE,.trivial_moves = true};

typedef struct OutputSpec
{
	int			merge;
	const char *min;			/* NULL ends the list */
	const char *max;
} OutputSpec;

typedef struct Case
{
	const char *name;
	const char *before;
	const char *job;			/* that is chosen: see describe_job */
	OutputSpec	outputs[6];
	const char *after;			/* NULL: as before */
	const char *changes;		/* see describe; NULL: again */
	bool		moves;
	int			by_hand;		/* a table to be compacted in full */
	LsmFloor	floors[2];		/* after */
	int			dropped;		/* table ids, after */
	int			locked;
} Case;

#define WAL_BEFORE "1 w0 1-1 1:a-m 2:c-d; 2 w0 2-2 1:b-z 2:a-z; 3 w0 3-3 2:a-b"
#define WAL_JOB "w: 1 2 3 | 1 b0 1-2: 2 1 | 2 b0 1-3: 3 2 1"
#define LEVEL_BEFORE "1 l1 5-6 1:c-m #1001; 2 l2 1-3 1:b-d; 3 l2 1-4 1:m-n"
#define LEVEL_JOB "l: 1 2 3 | 1 l2 1-6: 1 2 3"
#define LOAD_BEFORE "11 b0 5-5 1:a-f; 12 b0 6-6 1:c-m; 13 b0 7-7 1:b-d"
#define LOAD_JOB "b: 11 12 13 | 1 l1 5-7: 13 12 11"
#define STRETCHES_BEFORE "1 b0 5-5 1:a-c; 2 b0 5-5 1:d-f; 3 b0 6-6 1:b-e; 4 b0 7-7 1:a-b"
#define STRETCHES_JOB "b: 1 2 3 4 | 1 l1 5-7: 4 3 1 2"
#define GAP_BEFORE "1 b0 11-11 #10 1:a-b; 2 b0 12-12 #10 1:e-f; 3 b0 13-13 #10 1:x-y"
#define GAP_JOB "b: 1 2 3 | 1 l1 11-13: 3 2 1"
#define SPLIT_BEFORE "1 w0 1-1 1:a-m; 2 b0 2-2 1:a-z; 3 w0 3-3 1:a-m 2:a-b; 4 w0 4-4 2:c-d"
#define SPLIT_JOB "w: 1 3 4 | 1 b0 3-3: 3 !a-m | 1 b0 1-1: 1 | 2 b0 3-4: 4 3"
#define MOVE_BEFORE "1 l1 5-5 1:c-m #1001; 2 l2 1-3 1:n-o"
#define MOVE_JOB "l: 1 | 1 l2 5-5: 1 move"
#define FULL_BEFORE "1 l1 5-5 1:c-m; 2 l3 1-3 1:d-e"
#define FULL_JOB "f: 1 2 | 1 l1 1-5: 1 2"

static const Case cases[] = {
	{
		"WAL runs are replaced", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {0, "n", "z"}, {1, "a", "z"}},
		NULL, "-1 -2 -3 +0 +1 +2 tables 1 2"
	},
	{
		"what has come since is no matter", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		WAL_BEFORE "; 4 w0 4-4 1:a-z; 5 b0 5-5 2:a-z; 6 l1 0-0 1:a-z", "-1 -2 -3 +0 +1 tables 1 2"
	},
	{
		"no outputs at all", WAL_BEFORE, WAL_JOB, {{0}}, NULL, "-1 -2 -3 tables 1 2"
	},
	{
		"a table that was dropped", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		NULL, "-1 -2 -3 +0 unused 1 tables 1",.dropped = 2
	},
	{
		"a table that was dropped with its runs", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 1-1 1:a-m 2:c-d; 2 w0 2-2 1:b-z 2:a-z", "-1 -2 +0 unused 1 tables 1",.dropped = 2
	},
	{
		"a table that was truncated", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		NULL, "-1 -2 -3 +1 unused 0 tables 2",.floors = {{1, 2, false}}
	},
	{
		"a floor that is not above an input keeps it", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		NULL, "-1 -3 2:w0(1) +1 unused 0 tables 2",.floors = {{1, 1, false}}
	},
	{
		"a table that is locked", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		NULL, "1:w0(2) 2:w0(2) +0 unused 1 tables 1 left 2",.locked = 2
	},
	{
		"the other one is locked", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		NULL, "-3 1:w0(1) 2:w0(1) +1 unused 0 tables 2 left 1",.locked = 1
	},
	{
		"an input is gone", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 1-1 1:a-m 2:c-d; 3 w0 3-3 2:a-b", NULL
	},
	{
		"an input has lost a part", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 1-1 2:c-d; 2 w0 2-2 1:b-z 2:a-z; 3 w0 3-3 2:a-b", NULL
	},
	{
		"an input has another part", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 1-1 1:a-n 2:c-d; 2 w0 2-2 1:b-z 2:a-z; 3 w0 3-3 2:a-b", NULL
	},
	{
		"an input begins elsewhere", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 1-1 1:b-m 2:c-d; 2 w0 2-2 1:b-z 2:a-z; 3 w0 3-3 2:a-b", NULL
	},
	{
		"an input has other entries", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 1-1 1:a-m%9 2:c-d; 2 w0 2-2 1:b-z 2:a-z; 3 w0 3-3 2:a-b", NULL
	},
	{
		"an input has other sequences", WAL_BEFORE, WAL_JOB, {{0, "a", "m"}, {1, "a", "z"}},
		"1 w0 0-1 1:a-m 2:c-d; 2 w0 2-2 1:b-z 2:a-z; 3 w0 3-3 2:a-b", NULL
	},
	{
		"a run between the sequences", "1 w0 1-1 1:a-m; 2 w0 3-3 1:b-z; 3 w0 4-4 2:a-b",
		"w: 1 2 3 | 1 b0 1-3: 2 1 | 2 b0 4-4: 3", {{0, "a", "m"}},
		"1 w0 1-1 1:a-m; 2 w0 3-3 1:b-z; 3 w0 4-4 2:a-b; 9 b0 2-2 1:x-y", NULL
	},
	{
		"of another table it is no matter", "1 w0 1-1 1:a-m; 2 w0 3-3 1:b-z; 3 w0 4-4 2:a-b",
		"w: 1 2 3 | 1 b0 1-3: 2 1 | 2 b0 4-4: 3", {{0, "a", "m"}},
		"1 w0 1-1 1:a-m; 2 w0 3-3 1:b-z; 3 w0 4-4 2:a-b; 9 b0 2-2 3:x-y", "-1 -2 -3 +0 tables 1 2"
	},
	{
		"a level", LEVEL_BEFORE, LEVEL_JOB, {{0, "b", "e"}, {0, "f", "n"}}, NULL, "-1 -2 -3 +0 +1 tables 1"
	},
	{
		"an input that has moved", LEVEL_BEFORE, LEVEL_JOB, {{0, "b", "e"}},
		"1 l1 5-6 1:c-m #1001; 2 l3 1-3 1:b-d; 3 l2 1-4 1:m-n", NULL
	},
	{
		"a run that overlaps an output", LEVEL_BEFORE, LEVEL_JOB, {{0, "b", "e"}, {0, "f", "n"}},
		LEVEL_BEFORE "; 9 l2 2-2 1:e-e", NULL
	},
	{
		"a run in a gap between outputs", LEVEL_BEFORE, LEVEL_JOB, {{0, "b", "c"}, {0, "n", "n"}},
		"1 l1 5-6 1:n-n #1001; 2 l2 1-3 1:b-d; 3 l2 1-4 1:m-n; 9 l2 2-2 1:e-f", NULL
	},
	{
		"a run beside the outputs", LEVEL_BEFORE, LEVEL_JOB, {{0, "b", "e"}},
		LEVEL_BEFORE "; 9 l2 2-2 1:x-z; 10 l1 2-2 1:n-z; 11 l3 0-0 1:a-z", "-1 -2 -3 +0 tables 1"
	},
	{
		"level 0", LOAD_BEFORE, LOAD_JOB, {{0, "a", "m"}}, NULL, "-11 -12 -13 +0 tables 1"
	},
	{
		"an older run of level 0 that the choice knew nothing of", LOAD_BEFORE, LOAD_JOB, {{0, "a", "m"}},
		LOAD_BEFORE "; 4 b0 4-4 1:f-g", NULL
	},
	{
		"a newer one", LOAD_BEFORE, LOAD_JOB, {{0, "a", "m"}}, LOAD_BEFORE "; 99 b0 8-8 1:a-z",
		"-11 -12 -13 +0 tables 1"
	},
	{
		"one that was made since of what was apart", LOAD_BEFORE, LOAD_JOB, {{0, "a", "m"}},
		LOAD_BEFORE "; 99 b0 2-4 1:a-z", "-11 -12 -13 +0 tables 1"
	},
	{
		"both stretches of a load", STRETCHES_BEFORE, STRETCHES_JOB, {{0, "a", "c"}, {0, "d", "f"}}, NULL,
		"-1 -2 -3 -4 +0 +1 tables 1"
	},
	{
		"a file of the earlier stretch is gone", STRETCHES_BEFORE, STRETCHES_JOB, {{0, "a", "f"}},
		"1 b0 5-5 1:a-c; 3 b0 6-6 1:b-e; 4 b0 7-7 1:a-b", NULL
	},
	{
		"the earlier stretch was moved by another job", STRETCHES_BEFORE, STRETCHES_JOB, {{0, "a", "f"}},
		"1 l1 5-5 1:a-c; 2 l1 5-5 1:d-f; 3 b0 6-6 1:b-e; 4 b0 7-7 1:a-b", NULL
	},
	{
		"the table was truncated and loaded again, in two stretches", STRETCHES_BEFORE, STRETCHES_JOB, {{0, "a", "f"}},
		"8 b0 9-9 1:a-f; 9 b0 10-10 1:b-e", "unused 0",.floors = {{1, 8, false}}
	},
	{
		"a load has come since, in two stretches", STRETCHES_BEFORE, STRETCHES_JOB, {{0, "a", "f"}},
		STRETCHES_BEFORE "; 8 b0 9-9 1:a-f; 9 b0 10-10 1:b-e", "-1 -2 -3 -4 +0 tables 1"
	},
	{
		"an output over a gap that has been filled", GAP_BEFORE, GAP_JOB, {{0, "a", "y"}},
		GAP_BEFORE "; 9 l1 0-0 1:m-n", NULL
	},
	{
		"outputs beside it", GAP_BEFORE, GAP_JOB, {{0, "a", "f"}, {0, "x", "y"}},
		GAP_BEFORE "; 9 l1 0-0 1:m-n", "-1 -2 -3 +0 +1 tables 1"
	},
	{
		"stretches of a table", SPLIT_BEFORE, SPLIT_JOB, {{0, "a", "m"}, {1, "a", "m"}, {2, "a", "d"}},
		NULL, "-1 -3 -4 +0 +1 +2 tables 1 2"
	},
	{
		"stretches of a table that is locked", SPLIT_BEFORE, SPLIT_JOB,
		{{0, "a", "m"}, {1, "a", "m"}, {2, "a", "d"}},
		NULL, "-4 3:w0(1) +2 unused 0 1 tables 2 left 1",.locked = 1
	},
	{
		"a move", MOVE_BEFORE, MOVE_JOB, {{0}}, NULL, "1:l2(1) tables 1",.moves = true
	},
	{
		"a move onto a run", MOVE_BEFORE, MOVE_JOB, {{0}}, MOVE_BEFORE "; 9 l2 2-2 1:a-c", NULL,.moves = true
	},
	{
		"a move beside a run", MOVE_BEFORE, MOVE_JOB, {{0}}, MOVE_BEFORE "; 9 l2 2-2 1:a-b", "1:l2(1) tables 1",
		.moves = true
	},
	{
		"a move of what is gone", MOVE_BEFORE, MOVE_JOB, {{0}}, "2 l2 1-3 1:n-o", NULL,.moves = true
	},
	{
		"a move of what was dropped", MOVE_BEFORE, MOVE_JOB, {{0}}, "2 l2 1-3 1:n-o", "",.moves = true,.dropped = 1
	},
	{
		"a move of what is locked", MOVE_BEFORE, MOVE_JOB, {{0}}, NULL, "left 1",.moves = true,.locked = 1
	},
	{
		"a move of what was truncated", MOVE_BEFORE, MOVE_JOB, {{0}}, NULL, "-1",.moves = true,.floors = {{1, 7, false}}
	},
	{
		"all of a table", FULL_BEFORE, FULL_JOB, {{0, "c", "m"}}, NULL, "-1 -2 +0 tables 1",.by_hand = 1
	},
	{
		"a newer run between the levels would come below", FULL_BEFORE, FULL_JOB, {{0, "c", "m"}},
		FULL_BEFORE "; 9 l2 4-4 1:e-f", NULL,.by_hand = 1
	},
	{
		"one that is older than all does not", FULL_BEFORE, FULL_JOB, {{0, "c", "m"}},
		FULL_BEFORE "; 9 l4 0-0 1:e-f", "-1 -2 +0 tables 1",.by_hand = 1
	},
};

/*
 * Changes as text: runs removed, changed (with tier, level and tables), outputs
 * added and unused by number, tables that change and that were left out.
 */
static void
describe(const LsmChanges *changes, const LsmResult *result, char *text)
{
	text[0] = '\0';
	for (int i = 0; i < changes->nremoved; i++)
		append(text, " -%d", (int) changes->removed[i]);
	for (int i = 0; i < changes->nchanged; i++)
	{
		const LsmRunChange *change = &changes->changed[i];

		append(text, " %d:%c%d", (int) change->run_id, change->tier, change->level);
		for (int p = 0; p < change->nparts; p++)
			append(text, "%s%d%s", p == 0 ? "(" : ",", (int) change->parts[p].table_id,
				   p + 1 == change->nparts ? ")" : "");
	}
	for (int i = 0; i < changes->nadded; i++)
		append(text, " +%d", (int) ((const LsmOutput *) ((const char *) changes->added[i] -
														 offsetof(LsmOutput, run)) - result->outputs));
	for (int i = 0; i < changes->nunused; i++)
		append(text, "%s %s", i == 0 ? " unused" : "", changes->unused[i]);
	for (int i = 0; i < changes->ntables; i++)
		append(text, "%s %d", i == 0 ? " tables" : "", (int) changes->table_ids[i]);
	for (int i = 0; i < changes->nleft_out; i++)
		append(text, "%s %d", i == 0 ? " left" : "", (int) changes->left_out[i]);
}

static LsmTableState
table_state(void *state, int32_t table_id)
{
	const Case *c = state;

	return table_id == c->locked ? LSM_TABLE_LOCKED :
		table_id == c->dropped ? LSM_TABLE_DROPPED : LSM_TABLE_LIVE;
}

static LsmJob *
choose(const Case *c)
{
	LsmForest  *forest = spec_forest(c->before, NULL);
	const LsmSettings *set = c->moves ? &moving : &settings;
	LsmTable	tables[3] = {{1, set}, {2, set}, {3, set}};
	LsmQuestion question = {
		.forest = forest,.settings = set,.ntables = 3,.tables = tables,
		.expired_before = INT64_MIN,.alloc = &sv_malloc_alloc
	};
	char		text[TEXT_BYTES] = "";
	LsmJob	   *job;
	bool		waits;
	SvError		err;
	SvStatus	status = c->by_hand == 0 ? lsm_choose(&question, &job, &err) :
		lsm_choose_table(&question, c->by_hand, true, INT64_MAX, &job, &waits, &err);

	if (status == SV_OK)
		describe_job(job, text);
	if (status != SV_OK || strcmp(text, c->job) != 0)
	{
		fprintf(stderr, "# %s: job %s\n", c->name, text);
		abort();
	}
	lsm_forest_free(forest);
	return job;
}

static void
make_result(const Case *c, const LsmJob *job, LsmResult *result, LsmOutput *outputs, LsmPart *parts)
{
	static const char *const names[] = {"0", "1", "2", "3", "4", "5"};

	lsm_result_init(result, &sv_malloc_alloc);
	result->outputs = outputs;
	for (const OutputSpec *o = c->outputs; o->min != NULL; o++)
	{
		int			n = result->noutputs++;
		const LsmMergePlan *merge = &job->merges[o->merge];

		lsm_part_init(&parts[n], merge->table_id);
		parts[n].min_key = text_slice(o->min);
		parts[n].max_key = text_slice(o->max);
		outputs[n] = (LsmOutput) {
			.merge = o->merge,
			.run = {
				.tier = merge->tier,.level = merge->level,.seq_lo = merge->seq_lo,
				.seq_hi = merge->seq_hi,.object = names[n],.nparts = 1,.parts = &parts[n]
			}
		};
	}
}

static void
check_case(const Case *c)
{
	LsmJob	   *job = choose(c);
	LsmForest  *forest = spec_forest(c->after == NULL ? c->before : c->after, c->floors);
	LsmOutput	outputs[6];
	LsmPart		parts[6];
	LsmResult	result;
	LsmApplyInput input = {
		.job = job,.result = &result,.forest = forest,.table_state = table_state,
		.state = (void *) c,.alloc = &sv_malloc_alloc
	};
	LsmChanges	changes;
	LsmVerdict	verdict;
	char		text[TEXT_BYTES];
	SvError		err;
	bool		ok;

	make_result(c, job, &result, outputs, parts);
	ok = lsm_apply(&input, &verdict, &changes, &err) == SV_OK;
	describe(&changes, &result, text);
	if (c->changes == NULL)
		ok = ok && verdict == LSM_VERDICT_AGAIN && changes.problem != NULL &&
			changes.nadded + changes.nremoved + changes.nchanged + changes.ntables == 0 &&
			changes.nunused == result.noutputs;
	else
		ok = ok && verdict == LSM_VERDICT_OK && changes.problem == NULL &&
			strcmp(text[0] == ' ' ? text + 1 : text, c->changes) == 0;
	if (!CHECK(ok, c->name))
		printf("# changes:%s; %s\n", text, changes.problem == NULL ? "" : changes.problem);
	lsm_changes_free(&changes);
	lsm_forest_free(forest);
	lsm_job_free(job);
}

/* A job without a result: nothing lives of its runs.  One of these has two tables. */
static void
check_removal(Case c, const char *expected, const char *what)
{
	LsmForest  *forest = spec_forest("1 w0 1-1 1:a-m 2:c-d; 2 l1 2-2 2:a-z", NULL);
	LsmTable	tables[1] = {{3, &settings}};
	LsmQuestion question = {
		.forest = forest,.settings = &settings,.ntables = 1,.tables = tables,
		.expired_before = INT64_MIN,.alloc = &sv_malloc_alloc
	};
	LsmApplyInput input = {
		.forest = forest,.table_state = table_state,.state = &c,.alloc = &sv_malloc_alloc
	};
	LsmResult	none = {0};
	LsmChanges	changes;
	LsmVerdict	verdict;
	LsmJob	   *job;
	char		text[TEXT_BYTES];
	SvError		err;

	CHECK(lsm_choose(&question, &job, &err) == SV_OK && job->nmerges == 0, "runs of which nothing lives");
	input.job = job;
	CHECK(lsm_apply(&input, &verdict, &changes, &err) == SV_OK && verdict == LSM_VERDICT_OK,
		  "are removed without a result");
	describe(&changes, &none, text);
	CHECK(strcmp(text, expected) == 0, what);
	lsm_changes_free(&changes);
	lsm_job_free(job);
	lsm_forest_free(forest);
}

static void
test_removal(void)
{
	check_removal((Case) {.dropped = 1}, " -1 -2", "both");

	/* Locked by who may be removing the run that is of nothing else; the other has a table whose lock was had. */
	check_removal((Case) {.locked = 2}, " -1 left 2", "but what is of a locked table only");
}

int
main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(&cases[i]);
	test_removal();
	return unit_done();
}
