/*
 * test_forest.c
 *		Lookup order, and what finish refuses.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "lsm/lsm_forest.h"
#include "lsm/lsm_walkey.h"

/* A run as a test writes it; up to three tables, ends with table 0. */
typedef struct PartCase
{
	int			table;
	const char *min_key;
	const char *max_key;
} PartCase;

typedef struct RunCase
{
	int			id;
	char		tier;
	int			level;
	int			seq_lo;
	int			seq_hi;
	PartCase	parts[3];
} RunCase;

#define MAX_RUNS 8

typedef struct OrderCase
{
	const char *name;
	RunCase		runs[MAX_RUNS]; /* ends with id 0 */
	LsmFloor	floors[3];		/* ends with table 0 */
	int			table;
	int			expected[MAX_RUNS]; /* run ids, ends with 0 */
} OrderCase;

static SvSlice
text(const char *s)
{
	return sv_slice(s, strlen(s));
}

static SvStatus
add_case(LsmForest *forest, const RunCase *c, SvError *err)
{
	char		object[32];
	LsmPart		parts[3];
	LsmRun		run = {.id = c->id, .tier = (LsmTier) c->tier, .level = c->level,
	.seq_lo = c->seq_lo, .seq_hi = c->seq_hi, .object = object, .parts = parts};
	SvStatus	status;

	snprintf(object, sizeof(object), "run-%d", c->id);
	memset(parts, 0, sizeof(parts));
	for (; run.nparts < 3 && c->parts[run.nparts].table != 0; run.nparts++)
	{
		parts[run.nparts].table_id = c->parts[run.nparts].table;
		parts[run.nparts].min_key = text(c->parts[run.nparts].min_key);
		parts[run.nparts].max_key = text(c->parts[run.nparts].max_key);
	}
	status = lsm_forest_add_run(forest, &run, err);

	/* The forest must have copied all of it. */
	memset(object, '#', sizeof(object));
	memset(parts, '#', sizeof(parts));
	return status;
}

/* Builds a forest of cases; the status of the first call that failed. */
static SvStatus
build(LsmForest **forest, const RunCase *runs, const LsmFloor *floors, SvError *err)
{
	SvStatus	status = lsm_forest_create(forest, &sv_malloc_alloc, err);

	for (int i = 0; status == SV_OK && i < MAX_RUNS && runs[i].id != 0; i++)
		status = add_case(*forest, &runs[i], err);
	for (int i = 0; status == SV_OK && floors != NULL && i < 3 && floors[i].table_id != 0; i++)
		status = lsm_forest_add_floor(*forest, &floors[i], err);
	if (status == SV_OK)
		status = lsm_forest_finish(*forest, err);
	return status;
}

static const OrderCase order_cases[] = {
	{
		"no runs, no sources",
		{{0}}, {{0}}, 1, {0}
	},
	{
		"a table that no run speaks for",
		{{1, 'w', 0, 1, 1, {{2, "a", "z"}}}}, {{0}}, 1, {0}
	},
	{
		"level 0 by sequence, newest first, whatever the ids",
		{{9, 'w', 0, 1, 1, {{1, "a", "z"}}}, {3, 'w', 0, 3, 3, {{1, "a", "z"}}},
		{7, 'b', 0, 2, 2, {{1, "a", "z"}}}},
		{{0}}, 1, {3, 7, 9}
	},
	{
		"levels behind level 0, in order, each by key",
		{{1, 'l', 2, 1, 1, {{1, "a", "z"}}}, {2, 'l', 1, 2, 2, {{1, "m", "z"}}},
		{3, 'l', 1, 2, 3, {{1, "a", "l"}}}, {4, 'w', 0, 4, 4, {{1, "c", "c"}}}},
		{{0}}, 1, {4, 3, 2, 1}
	},
	{
		"a level's sequences say nothing: level 1 before level 2 even if older",
		{{1, 'l', 2, 1, 9, {{1, "a", "z"}}}, {2, 'l', 1, 3, 4, {{1, "a", "z"}}}},
		{{0}}, 1, {2, 1}
	},
	{
		"WAL runs speak only for the tables they list: the table itself",
		{{1, 'w', 0, 1, 1, {{1, "a", "z"}, {2, "a", "z"}}}, {2, 'w', 0, 2, 2, {{2, "a", "z"}}},
		{3, 'w', 0, 3, 3, {{1, "b", "c"}, {3, "a", "b"}}}},
		{{0}}, 1, {3, 1}
	},
	{
		"WAL runs speak only for the tables they list: another one",
		{{1, 'w', 0, 1, 1, {{1, "a", "z"}, {2, "a", "z"}}}, {2, 'w', 0, 2, 2, {{2, "a", "z"}}},
		{3, 'w', 0, 3, 3, {{1, "b", "c"}, {3, "a", "b"}}}},
		{{0}}, 2, {2, 1}
	},
	{
		"WAL runs 1, 2 and 4 merged around a load at 3: the table with the load",
		{{10, 'b', 0, 3, 3, {{1, "a", "z"}}}, {11, 'b', 0, 1, 2, {{1, "a", "z"}}},
		{12, 'b', 0, 4, 4, {{1, "a", "z"}}}, {13, 'b', 0, 1, 4, {{2, "a", "z"}}}},
		{{0}}, 1, {12, 10, 11}
	},
	{
		"WAL runs 1, 2 and 4 merged around a load at 3: the other table",
		{{10, 'b', 0, 3, 3, {{1, "a", "z"}}}, {11, 'b', 0, 1, 2, {{1, "a", "z"}}},
		{12, 'b', 0, 4, 4, {{1, "a", "z"}}}, {13, 'b', 0, 1, 4, {{2, "a", "z"}}}},
		{{0}}, 2, {13}
	},
	{
		"the files of one load share a sequence and come by key",
		{{1, 'b', 0, 5, 5, {{1, "p", "z"}}}, {2, 'b', 0, 5, 5, {{1, "a", "f"}}},
		{3, 'b', 0, 5, 5, {{1, "g", "o"}}}, {4, 'w', 0, 6, 6, {{1, "a", "z"}}}},
		{{0}}, 1, {4, 2, 3, 1}
	},
	{
		"a floor hides runs whose highest sequence it reaches, in every tier",
		{{1, 'l', 1, 1, 2, {{1, "a", "z"}}}, {2, 'w', 0, 5, 5, {{1, "a", "z"}, {2, "a", "z"}}},
		{3, 'w', 0, 6, 6, {{1, "a", "z"}}}, {4, 'b', 0, 3, 4, {{1, "a", "z"}}},
		{5, 'l', 2, 1, 7, {{1, "a", "z"}}}},
		{{1, 5, false}}, 1, {3, 5}
	},
	{
		"a floor leaves other tables alone",
		{{2, 'w', 0, 5, 5, {{1, "a", "z"}, {2, "a", "z"}}}},
		{{1, 5, false}, {3, 9, true}}, 2, {2}
	},
	{
		"runs that a floor hides may overlap: they hold nothing of the table",
		{{1, 'w', 0, 1, 3, {{1, "a", "z"}, {2, "a", "b"}}}, {2, 'b', 0, 2, 2, {{1, "a", "z"}}},
		{3, 'w', 0, 4, 4, {{1, "a", "z"}}}},
		{{1, 3, false}}, 1, {3}
	},
};

static void
test_order(void)
{
	for (size_t i = 0; i < sizeof(order_cases) / sizeof(order_cases[0]); i++)
	{
		const OrderCase *c = &order_cases[i];
		LsmForest  *forest;
		SvError		err;
		bool		same = build(&forest, c->runs, c->floors, &err) == SV_OK;
		int			count = 0;
		const LsmSourceRun *sources = same ? lsm_forest_sources(forest, c->table, &count) : NULL;

		for (int s = 0; s < count && same; s++)
			same = s < MAX_RUNS && sources[s].run->id == c->expected[s] &&
				sources[s].part->table_id == c->table;
		CHECK(same && c->expected[count] == 0, c->name);
		lsm_forest_free(forest);
	}
}

typedef struct RefusalCase
{
	const char *name;
	RunCase		runs[MAX_RUNS];
	LsmFloor	floors[3];
	SvStatus	status;
} RefusalCase;

static const RefusalCase refusal_cases[] = {
	{
		"level-0 runs with crossing sequences",
		{{1, 'w', 0, 1, 3, {{1, "a", "b"}}}, {2, 'b', 0, 3, 4, {{1, "c", "d"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"a level-0 run inside another's sequences",
		{{1, 'b', 0, 1, 4, {{1, "a", "z"}}}, {2, 'b', 0, 3, 3, {{1, "a", "z"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"the same highest sequence, another lowest",
		{{1, 'b', 0, 1, 4, {{1, "a", "b"}}}, {2, 'b', 0, 4, 4, {{1, "c", "d"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"a neighbour's neighbour inside the sequences",
		{{1, 'b', 0, 1, 9, {{1, "a", "z"}}}, {2, 'b', 0, 8, 8, {{1, "a", "z"}}},
		{3, 'b', 0, 2, 2, {{1, "a", "z"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"files of one load that share a key",
		{{1, 'b', 0, 5, 5, {{1, "a", "m"}}}, {2, 'b', 0, 5, 5, {{1, "m", "z"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"runs of a level that share a key",
		{{1, 'l', 1, 1, 1, {{1, "a", "m"}}}, {2, 'l', 1, 2, 2, {{1, "m", "z"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"a run of a level inside another's keys",
		{{1, 'l', 3, 1, 1, {{1, "a", "z"}}}, {2, 'l', 3, 2, 2, {{1, "c", "d"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"an overlap only above the floor's reach",
		{{1, 'b', 0, 1, 4, {{1, "a", "z"}}}, {2, 'b', 0, 4, 4, {{1, "a", "z"}}}},
		{{1, 3, false}}, SV_CORRUPT
	},
	{
		"one id twice",
		{{1, 'b', 0, 1, 1, {{1, "a", "b"}}}, {1, 'b', 0, 2, 2, {{1, "a", "b"}}}}, {{0}}, SV_CORRUPT
	},
	{"two floors of a table", {{0}}, {{1, 2, false}, {1, 3, true}}, SV_CORRUPT},
	{"an unknown tier", {{1, 'x', 0, 1, 1, {{1, "a", "b"}}}}, {{0}}, SV_UNSUPPORTED},
	{"a WAL run above level 0", {{1, 'w', 1, 1, 1, {{1, "a", "b"}}}}, {{0}}, SV_CORRUPT},
	{"a level run on level 0", {{1, 'l', 0, 1, 1, {{1, "a", "b"}}}}, {{0}}, SV_CORRUPT},
	{"a negative level", {{1, 'l', -1, 1, 1, {{1, "a", "b"}}}}, {{0}}, SV_CORRUPT},
	{"sequences the wrong way round", {{1, 'w', 0, 2, 1, {{1, "a", "b"}}}}, {{0}}, SV_CORRUPT},
	{"keys the wrong way round", {{1, 'w', 0, 1, 1, {{1, "b", "a"}}}}, {{0}}, SV_CORRUPT},
	{"a buffer run of no table", {{1, 'b', 0, 1, 1, {{0}}}}, {{0}}, SV_CORRUPT},
	{
		"a buffer run of two tables",
		{{1, 'b', 0, 1, 1, {{1, "a", "b"}, {2, "a", "b"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"tables out of order",
		{{1, 'w', 0, 1, 1, {{2, "a", "b"}, {1, "a", "b"}}}}, {{0}}, SV_CORRUPT
	},
	{
		"a table listed twice",
		{{1, 'w', 0, 1, 1, {{2, "a", "b"}, {2, "c", "d"}}}}, {{0}}, SV_CORRUPT
	},
};

static void
test_refusals(void)
{
	for (size_t i = 0; i < sizeof(refusal_cases) / sizeof(refusal_cases[0]); i++)
	{
		const RefusalCase *c = &refusal_cases[i];
		LsmForest  *forest;
		SvError		err = {0};

		CHECK(build(&forest, c->runs, c->floors, &err) == c->status && err.status == c->status &&
			  err.message[0] != '\0', c->name);
		lsm_forest_free(forest);
	}
}

static void
test_lookups(void)
{
	static const RunCase runs[MAX_RUNS] = {
		{30, 'w', 0, 4, 4, {{1, "", "m"}}}, {10, 'l', 1, 1, 7, {{1, "a", "b"}}},
		{20, 'b', 0, 5, 5, {{2, "a", "b"}}}
	};
	static const LsmFloor floors[3] = {{2, 1, true}, {1, 2, false}};
	LsmForest  *forest;
	SvError		err;
	const LsmRun *run;

	CHECK(build(&forest, runs, floors, &err) == SV_OK, "a forest for lookups");
	CHECK(lsm_forest_run_count(forest) == 3, "run count");
	CHECK(lsm_forest_run(forest, 0)->id == 10 && lsm_forest_run(forest, 2)->id == 30, "runs by id");
	run = lsm_forest_find_run(forest, 30);
	CHECK(run != NULL && run->id == 30 && strcmp(run->object, "run-30") == 0 &&
		  run->parts[0].min_key.len == 0 && sv_slice_equal(run->parts[0].max_key, text("m")),
		  "a run is found with all it holds");
	CHECK(lsm_forest_find_run(forest, 10) != NULL && lsm_forest_find_run(forest, 20) != NULL,
		  "all runs are found");
	CHECK(lsm_forest_find_run(forest, 5) == NULL && lsm_forest_find_run(forest, 25) == NULL &&
		  lsm_forest_find_run(forest, 31) == NULL, "other ids are not");
	CHECK(lsm_forest_newest_seq(forest) == 7, "newest sequence");
	CHECK(lsm_forest_floor(forest, 1)->floor_seq == 2 && !lsm_forest_floor(forest, 1)->is_own &&
		  lsm_forest_floor(forest, 2)->is_own, "floors");
	CHECK(lsm_forest_floor(forest, 3) == NULL, "no floor");
	CHECK(lsm_forest_add_run(forest, run, &err) == SV_INVALID &&
		  lsm_forest_add_floor(forest, floors, &err) == SV_INVALID &&
		  lsm_forest_finish(forest, &err) == SV_INVALID, "a finished forest does not change");
	lsm_forest_free(forest);

	CHECK(build(&forest, order_cases[0].runs, NULL, &err) == SV_OK &&
		  lsm_forest_newest_seq(forest) == 0 && lsm_forest_find_run(forest, 1) == NULL &&
		  lsm_forest_floor(forest, 1) == NULL, "an empty forest");
	lsm_forest_free(forest);
	lsm_forest_free(NULL);
}

static void
test_parts(void)
{
	LsmPart		part = {.min_key = text("b"), .max_key = text("d")};
	SvSlice		a = text("a");
	SvSlice		b = text("b");
	SvSlice		c = text("c");
	SvSlice		d = text("d");
	SvSlice		da = text("da");

	CHECK(lsm_part_has_key(&part, b) && lsm_part_has_key(&part, c) && lsm_part_has_key(&part, d),
		  "a part has its ends and what is between");
	CHECK(!lsm_part_has_key(&part, a) && !lsm_part_has_key(&part, da), "and nothing beyond");
	CHECK(lsm_part_overlaps(&part, NULL, NULL), "open bounds touch everything");
	CHECK(!lsm_part_overlaps(&part, NULL, &b), "the upper bound is outside its range");
	CHECK(lsm_part_overlaps(&part, NULL, &c) && lsm_part_overlaps(&part, &a, &da), "ranges across");
	CHECK(lsm_part_overlaps(&part, &d, NULL), "the lower bound is inside its range");
	CHECK(!lsm_part_overlaps(&part, &da, NULL), "a range behind");
}

static void
test_part_counts(void)
{
	LsmPart		part;
	SstEntry	entry = {.key = text("abc"),.value = text("12345"),.kind = SST_VALUE,.expires_at = SST_NEVER_EXPIRES};

	lsm_part_init(&part, 7);
	CHECK(part.table_id == 7 && part.entries == 0 && part.expires_min == SST_NEVER_EXPIRES &&
		  part.expires_max == SST_NEVER_EXPIRES && lsm_part_expired(&part, SST_NEVER_EXPIRES) == 0,
		  "a part of nothing");
	lsm_part_count(&part, &entry);
	CHECK(part.entries == 1 && part.raw_bytes == 8 && part.tombstones == 0 && part.expiring == 0 &&
		  lsm_part_expired(&part, INT64_MAX) == 0, "an entry that does not expire");
	entry.expires_at = 200;
	lsm_part_count(&part, &entry);
	CHECK(part.expiring == 1 && part.expires_min == 200 && part.expires_max == 200 &&
		  lsm_part_expired(&part, 200) == 0 && lsm_part_expired(&part, 201) == 1, "one that does");
	entry.expires_at = 100;
	lsm_part_count(&part, &entry);
	entry.expires_at = 300;
	lsm_part_count(&part, &entry);
	entry.kind = SST_TOMBSTONE;
	entry.value = sv_slice(NULL, 0);
	entry.expires_at = 5;
	lsm_part_count(&part, &entry);
	CHECK(part.entries == 5 && part.tombstones == 1 && part.expiring == 3 && part.raw_bytes == 35 &&
		  part.expires_min == 100 && part.expires_max == 300, "times of tombstones do not count");
	CHECK(lsm_part_expired(&part, 100) == 0 && lsm_part_expired(&part, 101) == 1 &&
		  lsm_part_expired(&part, 250) == 2 && lsm_part_expired(&part, 300) == 2 &&
		  lsm_part_expired(&part, 301) == 3 && lsm_part_expired(&part, INT64_MIN) == 0,
		  "in between, by the share of the time");
}

static void
test_walkey(void)
{
	uint8_t		low[5] = {0, 0, 0, 0, 'x'};
	uint8_t		high[5] = {0, 0, 0, 0, 'a'};

	lsm_walkey_prefix(low, 255);
	lsm_walkey_prefix(high, 256);
	CHECK(lsm_walkey_table(sv_slice(low, 5)) == 255 && lsm_walkey_table(sv_slice(high, 5)) == 256,
		  "a WAL key tells its table");
	CHECK(sv_slice_equal(lsm_walkey_key(sv_slice(low, 5)), text("x")), "and its key");
	CHECK(sv_slice_compare(sv_slice(low, 5), sv_slice(high, 5)) < 0, "WAL keys sort by table first");
}

int
main(void)
{
	test_order();
	test_refusals();
	test_lookups();
	test_parts();
	test_part_counts();
	test_walkey();
	return unit_done();
}
