/*
 * test_lsm_stats.c
 *		Numbers of a forest, how much of it is due, and its picture.
 */
#include "unit.h"

#include "base/sv_arena.h"
#include "choose_fixture.h"
#include "lsm/lsm_picture.h"
#include "lsm/lsm_stats.h"

static const LsmSettings settings = {
	.wal_runs = 4,.wal_bytes = 1000,.buffer_runs = 4,.buffer_bytes = 1000,.level1_bytes = 1000,
	.ratio = 10,.bottom_level = 6,.run_bytes = 200,.garbage_share = 0.5,.max_inputs = 40,.max_bytes = 10000
};

/* Of table 1 some of everything, of table 2 one WAL part, of table 3, which was dropped, a level. */
#define FOREST "1 w0 11-11 1:a-k 2:a-z #300; 2 w0 12-12 1:m-z; 3 b0 5-5 1:a-f/2; 4 b0 6-6 1:f-m*4@1-2; " \
	"5 b0 7-7 1:n-z/1; 6 l1 1-4 1:a-c #500; 7 l1 1-4 1:x-z #250; 8 l2 0-0 1:c-d #70; 9 l2 0-0 1:f-g; " \
	"10 l2 0-0 1:y-y #30; 11 l1 1-1 3:a-z #5000"

static LsmQuestion
question_of(LsmForest *forest, const LsmTable *tables, int ntables)
{
	return (LsmQuestion) {
		.forest = forest,.settings = &settings,.ntables = ntables,.tables = tables,
		.expired_before = 100,.alloc = &sv_malloc_alloc
	};
}

static void
test_stats(void)
{
	static const char *const expected[] = {
		"1 w0: 2 runs 250 bytes 400 raw 20 entries 0 tombstones 0 expired depth 1 overlap 3.00",
		"1 b0: 3 runs 300 bytes 600 raw 30 entries 3 tombstones 4 expired depth 2 overlap 2.50",
		"1 l1: 2 runs 750 bytes 400 raw 20 entries 0 tombstones 0 expired depth 1 overlap 0.13",
		"1 l2: 3 runs 200 bytes 600 raw 30 entries 0 tombstones 0 expired depth 1 overlap 0.00",
		"2 w0: 1 runs 150 bytes 200 raw 10 entries 0 tombstones 0 expired depth 1 overlap 0.00",
	};
	LsmForest  *forest = spec_forest(FOREST, NULL);
	LsmTable	tables[2] = {{1, &settings}, {2, &settings}};
	LsmQuestion question = question_of(forest, tables, 2);
	LsmForestStats stats;
	SvError		err;

	CHECK(lsm_stats_collect(&question, &stats, &err) == SV_OK && stats.n == 5, "a row per table and level");
	for (int i = 0; i < stats.n && i < 5; i++)
	{
		const LsmLevelStats *row = &stats.rows[i];
		char		text[TEXT_BYTES] = "";

		append(text, "%d %c%d: %d runs %d bytes %d raw %d entries %d tombstones %d expired depth %d overlap %.2f",
			   row->table_id, row->tier, row->level, row->runs, (int) row->bytes, (int) row->raw_bytes,
			   (int) row->entries, (int) row->tombstones, (int) row->expired, row->depth, row->overlap);
		if (!CHECK(strcmp(text, expected[i]) == 0, expected[i]))
			printf("# %s\n", text);
	}
	lsm_stats_free(&stats);
	lsm_forest_free(forest);
}

static void
test_debt(void)
{
	LsmForest  *forest = spec_forest(FOREST, NULL);
	LsmTable	tables[2] = {{1, &settings}, {2, &settings}};
	int64_t		busy[2] = {1, 3};
	LsmClaim	claim = {.nruns = 2,.run_ids = busy};
	LsmQuestion question = question_of(forest, tables, 2);
	LsmDebt		debt;
	SvError		err;

	question.nclaims = 1;
	question.claims = &claim;
	CHECK(lsm_debt(&question, &debt, &err) == SV_OK && debt.wal == 0.5 && debt.level0 == 0.75 &&
		  debt.levels == 0.75, "debts against their thresholds, what is being worked on included");
	lsm_forest_free(forest);

	forest = spec_forest("", NULL);
	question = question_of(forest, tables, 2);
	CHECK(lsm_debt(&question, &debt, &err) == SV_OK && debt.wal == 0 && debt.level0 == 0 &&
		  debt.levels == 0, "nothing is due of nothing");
	lsm_forest_free(forest);
}

static bool
picture_is(const char *runs, const char *expected)
{
	LsmForest  *forest = spec_forest(runs, NULL);
	LsmTable	tables[1] = {{1, &settings}};
	LsmQuestion question = question_of(forest, tables, 1);
	SvBuffer	text;
	SvError		err;
	bool		ok;

	sv_buffer_init(&text, &sv_malloc_alloc);
	ok = lsm_tree_picture(&question, 1, &text, &err) == SV_OK && text.len == strlen(expected) &&
		(text.len == 0 || memcmp(text.data, expected, text.len) == 0);
	if (!ok)
		printf("# %.*s\n", (int) text.len, (const char *) text.data);
	sv_buffer_free(&text);
	lsm_forest_free(forest);
	return ok;
}

static void
test_picture(void)
{
	char		runs[2000] = "";
	char		expected[10000] = "";

	CHECK(picture_is("", ""), "no picture of nothing");
	CHECK(picture_is("1 w0 11-11 1:a-k; 3 b0 5-5 1:a-f/2 #20480; 6 l1 1-4 1:a-c #500; 7 l1 1-4 1:d-d; 8 l3 0-0 1:b-k",
					 "WAL        [==============================================]"
					 "     1 run     100 B           10 entries          0 tombstones\n"
					 "buffer     [====================================]          "
					 "     1 run     20 kB           10 entries          2 tombstones\n"
					 "level 1    [=================]         |                   "
					 "     2 runs    600 B           20 entries          0 tombstones\n"
					 "level 3             [=====================================]"
					 "     1 run     100 B           10 entries          0 tombstones\n"), "a picture");
	for (int i = 1; i <= 32; i++)
		sprintf(runs + strlen(runs), "%s%d b0 %d-%d 1:a-a", i > 1 ? "; " : "", i, i, i);
	for (int i = 0; i < 30; i++)
		sprintf(expected + strlen(expected), "buffer     |%47s     1 run     100 B           10 entries"
				"          0 tombstones\n", "");
	strcat(expected, "... and 2 older runs of level 0\n");
	CHECK(picture_is(runs, expected), "not more than a screen of it");
}

static void
test_targets(void)
{
	LsmSettings s = settings;

	CHECK(lsm_level_target(&s, 1) == 1000 && lsm_level_target(&s, 3) == 100000, "what levels may have");
	s.level1_bytes = UINT64_MAX / 5;
	CHECK(lsm_level_target(&s, 2) == UINT64_MAX, "without end");
}

static void
test_arena(void)
{
	SvArena		arena;
	bool		zero = true;
	SvSlice		copy;

	sv_arena_init(&arena, &sv_malloc_alloc);
	for (size_t bytes = 0; bytes < 20000; bytes += 1 + bytes / 7)
	{
		uint8_t    *piece = sv_arena_take(&arena, bytes);

		zero &= piece != NULL && ((uintptr_t) piece & 15) == 0;
		for (size_t i = 0; i < bytes; i++)
			zero &= piece[i] == 0;
		memset(piece, 0xff, bytes);
	}
	CHECK(zero, "pieces of any size are zero, aligned, and apart");
	CHECK(sv_arena_copy(&arena, text_slice("abc"), &copy) && sv_slice_equal(copy, text_slice("abc")) &&
		  sv_arena_copy(&arena, sv_slice(NULL, 0), &copy) && copy.len == 0 && copy.data == NULL, "copies");
	CHECK(strcmp(sv_arena_string(&arena, "xyz"), "xyz") == 0, "strings");
	CHECK(sv_arena_take(&arena, SIZE_MAX) == NULL && sv_arena_take(&arena, SIZE_MAX - 20) == NULL,
		  "more than there is");
	sv_arena_free(&arena);
	CHECK(sv_arena_take(&arena, 5) != NULL, "an arena that was freed is empty");
	sv_arena_free(&arena);
}

int
main(void)
{
	test_stats();
	test_debt();
	test_picture();
	test_targets();
	test_arena();
	return unit_done();
}
