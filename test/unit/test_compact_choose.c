/*
 * test_compact_choose.c
 *		Which job is next: forests as tables, jobs as text.
 */
#include "unit.h"

#include "choose_fixture.h"

/* Thresholds small enough for a table of runs of 100 bytes. */
#define BASE \
	.wal_runs = 3,.wal_bytes = 1000000,.buffer_runs = 3,.buffer_bytes = 1000000, \
	.level1_bytes = 1000,.ratio = 10,.bottom_level = 6,.run_bytes = 200,.garbage_share = 0.5, \
	.trivial_moves = true,.max_inputs = 40,.max_bytes = 1000000

typedef struct ByHand
{
	int			table;			/* 0: lsm_choose */
	bool		full;
	int			up_to;
	bool		waits;			/* expected */
} ByHand;

typedef struct Case
{
	const char *name;
	const char *runs;			/* see choose_fixture.h */
	const char *job;			/* NULL: none */
	LsmSettings settings;
	LsmFloor	floors[3];
	int			tables[4];		/* that exist; none given: 1, 2 and 3 */
	int64_t		busy[6];		/* run ids of other jobs */
	LsmTarget	target;			/* of another job */
	int			expired_before;
	ByHand		by_hand;
} Case;

#define RANGE(l, h) {{(const uint8_t *) (l), sizeof(l) - 1}, {(const uint8_t *) (h), sizeof(h) - 1}}

static const Case cases[] = {
	{
		"an empty forest",
		"",
		NULL, {BASE}
	},
	{
		"fewer than the thresholds",
		"1 w0 1-1 1:a-z; 2 w0 2-2 1:a-z; 3 b0 3-3 1:a-z; 4 l1 0-0 1:a-z",
		NULL, {BASE}
	},

	/* WAL runs */
	{
		"WAL runs become a buffer run per table",
		"1 w0 1-1 1:a-m 2:c-d; 2 w0 2-2 1:b-z; 3 w0 3-3 2:a-b",
		"w: 1 2 3 | 1 b0 1-2: 2 1 | 2 b0 1-3: 3 1", {BASE}
	},
	{
		"neighbourhood is judged per table",
		"11 w0 1-1 1:a-z 2:a-z; 12 w0 2-2 1:a-z 2:a-z; 13 b0 3-3 1:a-z; 14 w0 4-4 1:a-z 2:a-z",
		"w: 11 12 14 | 1 b0 4-4: 14 !a-z | 1 b0 1-2: 12 11 | 2 b0 1-4: 14 12 11", {BASE}
	},
	{
		"a load outside the keys splits a stretch as well",
		"1 w0 1-1 1:a-c; 2 b0 2-2 1:x-z; 3 w0 3-3 1:a-c; 4 w0 4-4 2:a-z",
		"w: 1 3 4 | 1 b0 3-3: 3 !a-c | 1 b0 1-1: 1 | 2 b0 4-4: 4", {BASE}
	},
	{
		"sequences come only from inputs that speak for the table",
		"1 w0 1-1 1:a-z; 2 w0 5-5 2:a-z; 3 w0 9-9 1:a-z 2:a-z",
		"w: 1 2 3 | 1 b0 1-9: 3 1 | 2 b0 5-9: 3 2", {BASE}
	},
	{
		"the oldest as many as a job takes",
		"1 w0 7-7 1:a-z; 2 w0 6-6 1:a-z; 3 w0 5-5 1:a-z",
		"w: 2 3 | 1 b0 5-6: 2 3", {BASE,.max_inputs = 2}
	},
	{
		"as many bytes as a job takes",
		"1 w0 1-1 1:a-z; 2 w0 2-2 1:a-z; 3 w0 3-3 1:a-z",
		"w: 1 2 | 1 b0 1-2: 2 1", {BASE,.max_bytes = 299}
	},
	{
		"but at least one",
		"1 w0 1-1 1:a-z; 2 w0 2-2 1:a-z; 3 w0 3-3 1:a-z",
		"w: 1 | 1 b0 1-1: 1", {BASE,.max_bytes = 10}
	},
	{
		"by bytes of WAL runs",
		"1 w0 1-1 #999999 1:a-z; 2 w0 2-2 #1 1:a-z",
		"w: 1 2 | 1 b0 1-2: 2 1", {BASE}
	},
	{
		"claimed WAL runs are passed over",
		"1 w0 1-1 1:a-z; 2 w0 2-2 1:a-z; 3 w0 3-3 1:a-z; 4 w0 4-4 1:a-z",
		"w: 1 3 4 | 1 b0 3-4: 4 3 !a-z | 1 b0 1-1: 1", {BASE},.busy = {2}
	},
	{
		"and do not count",
		"1 w0 1-1 1:a-z; 2 w0 2-2 1:a-z; 3 w0 3-3 1:a-z",
		NULL, {BASE},.busy = {2}
	},
	{
		"parts of dropped tables are consumed",
		"1 w0 1-1 1:a-m 2:c-d; 2 w0 2-2 1:b-z 2:c-d; 3 w0 3-3 1:a-b",
		"w: 1 2 3 | 1 b0 1-3: 3 2 1", {BASE},.tables = {1}
	},
	{
		"parts below a floor are consumed",
		"1 w0 1-1 1:a-m 2:c-d; 2 w0 2-2 1:b-z 2:c-d; 3 w0 3-3 1:a-b 2:c-d",
		"w: 1 2 3 | 1 b0 1-3: 3 2 1 | 2 b0 3-3: 3", {BASE},.floors = {{2, 2, false}}
	},
	{
		"older entries are where lower runs overlap",
		"1 w0 11-11 1:d-m; 2 w0 12-12 1:k-t; 3 w0 13-13 2:a-b; 4 b0 5-5 1:a-e; 5 l1 1-1 1:s-z; "
		"6 l2 0-0 1:t-u; 7 b0 20-20 1:a-z",
		"w: 1 2 3 | 1 b0 11-12: 2 1 !d-e !s-t | 2 b0 13-13: 3", {BASE}
	},

	/* removals */
	{
		"a run of a dropped table is removed first",
		"1 w0 1-1 1:a-z; 2 w0 2-2 1:a-z; 3 w0 3-3 1:a-z; 4 l3 1-1 2:a-z",
		"r: 4", {BASE},.tables = {1}
	},
	{
		"a WAL run goes when all its parts are dead",
		"1 w0 1-1 1:a-z 2:a-z; 2 w0 3-3 1:a-z 2:a-z",
		"r: 1", {BASE},.floors = {{2, 2, false}, {1, 1, false}}
	},
	{
		"not when one lives",
		"1 w0 1-1 1:a-z 2:a-z",
		NULL, {BASE},.floors = {{2, 2, false}}
	},
	{
		"not when it is claimed",
		"4 l3 1-1 2:a-z",
		NULL, {BASE},.tables = {1},.busy = {4}
	},

	/* level 0 */
	{
		"buffer runs that overlap go down together",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:c-z; 3 b0 3-3 1:b-d",
		"b: 1 2 3 | 1 l1 1-3: 3 2 1", {BASE,.trivial_moves = false}
	},
	{
		"with what of level 1 overlaps",
		"1 b0 11-11 1:d-m; 2 b0 12-12 1:e-k; 3 b0 13-13 1:f-g; 4 l1 1-1 1:a-d; 5 l1 1-1 1:g-h; "
		"6 l1 1-1 1:m-n; 7 l1 1-1 1:o-z; 8 l2 0-0 1:h-p",
		"b: 1 2 3 4 5 6 | 1 l1 1-13: 3 2 1 4 5 6 !h-n", {BASE}
	},
	{
		"gaps of the range as well, since an output may span them",
		"1 b0 11-11 1:a-c; 2 b0 12-12 1:b-y; 3 b0 13-13 1:x-z; 4 l1 1-1 1:k-l",
		"b: 1 2 3 4 | 1 l1 1-13: 3 2 1 4", {BASE,.trivial_moves = false}
	},
	{
		"an older WAL run that overlaps comes along for this table",
		"1 w0 1-1 1:a-z 2:a-z; 2 b0 2-2 1:c-d; 3 b0 3-3 1:e-f; 4 b0 4-4 1:c-d",
		"b: 1(1) 2 3 4 | 1 l1 1-4: 4 3 2 1", {BASE}
	},
	{
		"a newer one does not",
		"2 b0 2-2 1:c-d; 3 b0 3-3 1:c-f; 4 b0 4-4 1:c-d; 5 w0 5-5 1:a-z 2:a-z",
		"b: 2 3 4 | 1 l1 2-4: 4 3 2", {BASE,.trivial_moves = false}
	},
	{
		"the oldest, as many as a job takes",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:c-z; 3 b0 3-3 1:b-d",
		"b: 1 2 | 1 l1 1-2: 2 1", {BASE,.trivial_moves = false,.max_inputs = 2}
	},
	{
		"as many bytes as a job takes, level 1 included",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:c-k; 3 b0 3-3 1:b-z; 4 l1 0-0 1:c-d; 5 l1 0-0 1:x-y",
		"b: 1 2 4 | 1 l1 0-2: 2 1 4", {BASE,.max_bytes = 499}
	},
	{
		"the least is no matter of bounds",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:c-z; 3 b0 3-3 1:b-d; 4 l1 0-0 1:c-d; 5 l1 0-0 1:e-f",
		"b: 1 4 5 | 1 l1 0-1: 1 4 5", {BASE,.max_inputs = 1}
	},
	{
		"the files of a load count as one",
		"1 b0 1-1 1:a-b; 2 b0 1-1 1:c-d; 3 b0 1-1 1:e-f; 4 b0 2-2 1:a-f",
		NULL, {BASE}
	},
	{
		"by bytes of buffer runs",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:c-z",
		"b: 1 2 | 1 l1 1-2: 2 1", {BASE,.buffer_bytes = 200,.trivial_moves = false}
	},
	{
		"one that another job has holds back what is newer",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:c-z; 3 b0 3-3 1:b-d; 4 b0 4-4 1:b-d",
		NULL, {BASE},.busy = {1}
	},
	{
		"but not what is apart",
		"1 b0 1-1 1:a-m; 2 b0 2-2 1:n-z; 3 b0 3-3 1:o-q; 4 b0 4-4 1:p-r",
		"b: 2 3 4 | 1 l1 2-4: 4 3 2", {BASE,.trivial_moves = false},.busy = {1}
	},
	{
		"a claimed run of level 1 holds back",
		"1 b0 11-11 1:a-m; 2 b0 12-12 1:c-z; 3 b0 13-13 1:b-d; 4 l1 1-1 1:c-d",
		NULL, {BASE},.busy = {4}
	},
	{
		"a target of another job holds back",
		"1 b0 11-11 1:a-m; 2 b0 12-12 1:c-z; 3 b0 13-13 1:b-d",
		NULL, {BASE},.target = {1, 1, RANGE("m", "p")}
	},
	{
		"one of another level or table does not",
		"1 b0 11-11 1:a-m; 2 b0 12-12 1:c-z; 3 b0 13-13 1:b-d",
		"b: 1 2 3 | 1 l1 11-13: 3 2 1", {BASE,.trivial_moves = false},.target = {1, 2, RANGE("m", "p")}
	},
	{
		"nor one beside it",
		"1 b0 11-11 1:a-m; 2 b0 12-12 1:c-k; 3 b0 13-13 1:b-d",
		"b: 1 2 3 | 1 l1 11-13: 3 2 1", {BASE,.trivial_moves = false},.target = {1, 1, RANGE("n", "p")}
	},
	{
		"what is apart joins if it costs little of level 1",
		"1 b0 11-11 #10 1:a-b; 2 b0 12-12 #10 1:c-d; 3 b0 13-13 #10 1:x-y; 4 l1 1-1 1:m-n",
		"b: 1 2 | 1 l1 11-12: 2 1", {BASE}
	},

	{
		"a target of another table does not hold back",
		"1 b0 11-11 1:a-m; 2 b0 12-12 1:c-z; 3 b0 13-13 1:b-d",
		"b: 1 2 3 | 1 l1 11-13: 3 2 1", {BASE,.trivial_moves = false},.target = {2, 1, RANGE("m", "p")}
	},
	{
		"one that ends where the job begins does",
		"1 b0 11-11 1:a-m; 2 b0 12-12 1:c-z; 3 b0 13-13 1:b-d",
		NULL, {BASE},.target = {1, 1, RANGE("A", "a")}
	},
	{
		"a WAL run is nothing to begin with",
		"1 w0 1-1 1:x-z 2:a-z; 2 b0 2-2 1:c-d; 3 b0 3-3 1:c-f; 4 b0 4-4 1:c-d",
		"b: 2 3 4 | 1 l1 2-4: 4 3 2", {BASE,.trivial_moves = false}
	},
	{
		"claimed buffer runs do not count",
		"1 b0 1-1 1:a-b; 2 b0 2-2 1:c-d; 3 b0 3-3 1:c-d",
		NULL, {BASE},.busy = {1}
	},
	{
		"dead parts are consumed with the table's, in order",
		"1 w0 11-11 1:a-k 2:a-z 3:a-b; 2 b0 12-12 1:c-d",
		"b: 1(1 3) 2 | 1 l1 11-12: 2 1", {BASE},.tables = {1, 2},.by_hand = {1, false, 12}
	},

	/* loads whose input was in order at first: two stretches, with a sequence each */
	{
		"the stretches of a load count as two, and the later one is newer",
		"1 b0 1-1 1:a-c; 2 b0 1-1 1:d-f; 3 b0 2-2 1:b-e; 4 b0 2-2 1:f-g",
		"b: 1 2 3 4 | 1 l1 1-2: 3 4 1 2", {BASE,.buffer_runs = 2,.trivial_moves = false}
	},
	{
		"a file of the later stretch takes along what it overlaps of the earlier one",
		"1 b0 1-1 1:a-c; 2 b0 1-1 1:d-f; 3 b0 2-2 1:b-c; 4 b0 2-2 1:e-g",
		"b: 2 4 | 1 l1 1-2: 4 2", {BASE,.buffer_runs = 2,.trivial_moves = false,.max_inputs = 2}
	},
	{
		"a file of the later stretch waits for the earlier one that it overlaps",
		"1 b0 1-1 1:a-c; 2 b0 1-1 1:d-f; 3 b0 2-2 1:b-e; 4 b0 2-2 1:x-z",
		NULL, {BASE,.buffer_runs = 2,.trivial_moves = false},.busy = {1, 2}
	},
	{
		"the earlier stretch moves, the later one stays above it",
		"1 b0 11-11 1:a-c; 2 b0 11-11 1:d-f; 3 b0 12-12 1:b-e; 4 b0 12-12 1:x-z",
		"b: 1 2 4 | 1 l1 11-11: 2 move | 1 l1 11-11: 1 move | 1 l1 12-12: 4 move", {BASE,.buffer_runs = 2}
	},
	{
		"no flush is merged over either stretch",
		"1 w0 1-1 1:a-z; 2 b0 2-2 1:a-m; 3 b0 3-3 1:n-z; 4 w0 4-4 1:a-z; 5 w0 5-5 2:a-z",
		"w: 1 4 5 | 1 b0 4-4: 4 !a-z | 1 b0 1-1: 1 | 2 b0 5-5: 5", {BASE}
	},

	/* moves */
	{
		"runs that overlap nothing move",
		"1 b0 11-11 1:a-c; 2 b0 11-11 1:d-f; 3 b0 12-12 1:x-z; 4 b0 13-13 1:k-l; 5 l1 1-1 1:m-n",
		"b: 1 2 3 4 | 1 l1 11-11: 2 move | 1 l1 11-11: 1 move | 1 l1 12-12: 3 move | 1 l1 13-13: 4 move", {BASE}
	},
	{
		"not what overlaps level 1, or one that moves",
		"1 b0 11-11 1:a-c; 2 b0 12-12 1:c-f; 3 b0 13-13 1:m-z; 5 l1 1-1 1:m-n",
		"b: 1 | 1 l1 11-11: 1 move", {BASE}
	},
	{
		"not what is newer than one that overlaps it and stays",
		"1 w0 11-11 1:a-c 2:a-b; 2 b0 12-12 1:c-f; 3 b0 13-13 1:m-z; 4 b0 14-14 1:z-zz",
		"b: 3 | 1 l1 13-13: 3 move", {BASE}
	},
	{
		"not small ones",
		"1 b0 11-11 #49 1:a-c; 2 b0 12-12 #49 1:d-f; 3 b0 13-13 #49 1:m-z",
		"b: 1 2 3 | 1 l1 11-13: 3 2 1", {BASE}
	},
	{
		"not if a rewrite would rid them of much",
		"1 b0 11-11 1:a-c/4; 2 b0 12-12 1:d-f/4*2@1-1; 3 b0 13-13 1:m-z/4",
		"b: 1 3 | 1 l1 11-11: 1 move | 1 l1 13-13: 3 move",
		{BASE,.garbage_share = 0.6,.buffer_runs = 1},.expired_before = 5
	},
	{
		"as many as a job takes",
		"1 b0 11-11 1:a-c; 2 b0 12-12 1:d-f; 3 b0 13-13 1:m-z",
		"b: 1 2 | 1 l1 11-11: 1 move | 1 l1 12-12: 2 move", {BASE,.max_inputs = 2}
	},
	{
		"not where another job writes",
		"1 b0 11-11 1:a-c; 2 b0 12-12 1:d-f; 3 b0 13-13 1:m-z",
		"b: 1 3 | 1 l1 11-11: 1 move | 1 l1 13-13: 3 move", {BASE},.target = {1, 1, RANGE("f", "g")}
	},

	/* levels */
	{
		"a level that has too much",
		"1 l1 5-5 #900 1:a-c; 2 l1 3-3 1:d-f; 3 l2 1-1 1:b-e",
		"l: 1 3 | 1 l2 1-5: 1 3", {BASE}
	},
	{
		"one byte less is not",
		"1 l1 5-5 #899 1:a-c; 2 l1 3-3 1:d-f; 3 l2 1-1 1:b-e",
		NULL, {BASE}
	},
	{
		"the next may have ten times as much",
		"1 l2 5-5 #9999 1:a-c",
		NULL, {BASE}
	},
	{
		"and no more",
		"1 l2 5-5 #10000 1:a-c",
		"l: 1 | 1 l3 5-5: 1 move", {BASE}
	},
	{
		"nothing goes below the bottom",
		"1 l2 5-5 #99999 1:a-c",
		NULL, {BASE,.bottom_level = 2}
	},
	{
		"the run that overlaps least for its size",
		"1 l1 5-5 #400 1:a-c; 2 l1 3-3 #500 1:d-f; 3 l1 3-3 #200 1:x-z; 4 l2 1-1 #300 1:b-c; "
		"5 l2 1-1 #300 1:d-e; 6 l2 1-1 #200 1:x-y",
		"l: 2 5 | 1 l2 1-3: 2 5", {BASE}
	},
	{
		"of equals the oldest",
		"1 l1 5-5 #500 1:a-c; 2 l1 3-3 #500 1:d-f",
		"l: 2 | 1 l2 3-3: 2 move", {BASE}
	},
	{
		"then the one that was there first",
		"7 l1 3-3 #500 1:a-c; 2 l1 3-3 #500 1:d-f",
		"l: 2 | 1 l2 3-3: 2 move", {BASE}
	},
	{
		"what lies within the range anyhow joins",
		"1 l1 5-5 #500 1:a-c; 2 l1 3-3 #200 1:d-f; 3 l1 3-3 #300 1:g-k; 4 l2 1-1 1:b-h",
		"l: 1 2 4 | 1 l2 1-5: 1 2 4", {BASE}
	},
	{
		"if the job's bounds allow",
		"1 l1 5-5 #500 1:a-c; 2 l1 3-3 #200 1:d-f; 3 l1 3-3 #300 1:g-k; 4 l2 1-1 1:b-h",
		"l: 1 4 | 1 l2 1-5: 1 4", {BASE,.max_inputs = 2}
	},
	{
		"a claimed one leaves the next best",
		"1 l1 5-5 #1500 1:a-c; 2 l1 3-3 #1000 1:d-f",
		"l: 1 | 1 l2 5-5: 1 move", {BASE},.busy = {2}
	},
	{
		"older entries further down",
		"1 l1 5-5 #1500 1:a-m; 2 l2 3-3 1:c-f; 3 l3 1-1 1:b-c; 4 l4 1-1 1:k-p; 5 l3 1-1 1:n-q",
		"l: 1 2 | 1 l2 3-5: 1 2 !b-c !k-m", {BASE}
	},
	{
		"a target claimed below holds back",
		"1 l1 5-5 #1500 1:a-m",
		NULL, {BASE},.target = {1, 2, RANGE("m", "n")}
	},

	{
		"claimed runs of a level do not count",
		"1 l1 5-5 #900 1:a-c; 2 l1 3-3 1:d-f",
		NULL, {BASE},.busy = {1}
	},

	/* garbage */
	{
		"a run that is mostly expired is rewritten",
		"1 l2 5-5 1:a-m*10@100-200",
		"g: 1 | 1 l2 5-5: 1", {BASE},.expired_before = 150
	},
	{
		"not before",
		"1 l2 5-5 1:a-m*10@100-200",
		NULL, {BASE},.expired_before = 149
	},
	{
		"not what does not expire",
		"1 l2 5-5 1:a-m*4@100-200",
		NULL, {BASE},.expired_before = 1000
	},
	{
		"buffer runs too",
		"1 b0 5-5 1:a-m*10@100-200",
		"g: 1 | 1 b0 5-5: 1", {BASE},.expired_before = 150
	},
	{
		"not WAL runs",
		"1 w0 5-5 1:a-m*10@100-200",
		NULL, {BASE},.expired_before = 150
	},
	{
		"tombstones that hide nothing are garbage",
		"1 l2 5-5 1:a-m/3*4@100-200",
		"g: 1 | 1 l2 5-5: 1", {BASE},.expired_before = 150
	},
	{
		"those that may hide something go down",
		"1 l2 5-5 1:a-m/6; 2 l4 1-1 1:c-d",
		"l: 1 | 1 l3 5-5: 1 move", {BASE}
	},
	{
		"tombstones in the last level but one",
		"1 l2 5-5 1:a-m/6; 2 l3 1-1 1:c-d",
		"l: 1 2 | 1 l3 1-5: 1 2", {BASE}
	},
	{
		"expired above older ones are rewritten where they are",
		"1 l2 5-5 1:a-m*10@1-2; 2 l4 1-1 1:c-d",
		"g: 1 | 1 l2 5-5: 1 !c-d", {BASE},.expired_before = 150
	},
	{
		"never, with a share above 1",
		"1 l2 5-5 1:a-m*10@1-2",
		NULL, {BASE,.garbage_share = 1.1},.expired_before = 150
	},
	{
		"not a claimed one",
		"1 l2 5-5 1:a-m*10@1-2",
		NULL, {BASE},.expired_before = 150,.busy = {1}
	},

	{
		"not where another job writes",
		"1 l2 5-5 1:a-m*10@1-2",
		NULL, {BASE},.expired_before = 150,.target = {1, 2, RANGE("m", "n")}
	},
	{
		"one key is enough for tombstones to hide something",
		"1 l2 5-5 1:a-m/6; 2 l4 1-1 1:m-z",
		"l: 1 | 1 l3 5-5: 1 move", {BASE}
	},
	{
		"it is the run with the tombstones that goes down",
		"1 l2 5-5 1:a-m/6; 2 l4 1-1 1:c-d; 3 l2 1-1 1:n-z",
		"l: 1 | 1 l3 5-5: 1 move", {BASE}
	},
	{
		"not below the bottom",
		"1 l2 5-5 1:a-m/6; 2 l4 1-1 1:c-d",
		NULL, {BASE,.bottom_level = 2}
	},

	/* what is due most */
	{
		"the larger debt first",
		"1 w0 11-11 2:a-z; 2 w0 12-12 2:a-z; 3 w0 13-13 2:a-z; 4 l1 5-5 #1001 1:a-c",
		"l: 4 | 1 l2 5-5: 4 move", {BASE}
	},
	{
		"of equal debts that of the WAL",
		"1 w0 11-11 2:a-z; 2 w0 12-12 2:a-z; 3 w0 13-13 2:a-z; 4 l1 5-5 #1000 1:a-c",
		"w: 1 2 3 | 2 b0 11-13: 3 2 1", {BASE}
	},
	{
		"the next if it cannot be done",
		"1 w0 11-11 2:a-z; 2 w0 12-12 2:a-z; 3 w0 13-13 2:a-z; 4 l1 5-5 #1001 1:a-c; 5 l2 1-1 1:a-c",
		"w: 1 2 3 | 2 b0 11-13: 3 2 1", {BASE},.busy = {5}
	},

	/* by hand */
	{
		"level 0 by hand",
		"1 w0 11-11 1:a-k 2:a-z; 2 b0 12-12 1:c-d; 3 b0 13-13 1:d-e",
		"b: 1(1) 2 | 1 l1 11-12: 2 1", {BASE,.max_inputs = 2},.by_hand = {1, false, 12}
	},
	{
		"what has come since stays",
		"2 b0 12-12 1:c-d",
		NULL, {BASE},.by_hand = {1, false, 11}
	},
	{
		"levels are not its matter",
		"2 l1 12-12 1:c-d",
		NULL, {BASE},.by_hand = {1, false, 12}
	},
	{
		"it waits for another job",
		"2 b0 12-12 1:c-d",
		NULL, {BASE},.busy = {2},.by_hand = {1, false, 12, true}
	},
	{
		"a table that is not there",
		"2 b0 12-12 1:c-d",
		NULL, {BASE},.by_hand = {9, true, 12}
	},
	{
		"all that overlaps, in full",
		"1 w0 11-11 1:a-k 2:a-z; 2 b0 12-12 1:c-d; 3 l1 5-5 1:d-e; 4 l3 1-1 1:k-p; 5 l2 1-1 1:x-z",
		"f: 1(1) 2 3 4 | 1 l1 1-12: 2 1 3 4", {BASE},.by_hand = {1, true, 12}
	},
	{
		"to a level that it fits in",
		"2 b0 12-12 #400 1:c-d; 3 l1 5-5 #601 1:d-e",
		"f: 2 3 | 1 l2 5-12: 2 3", {BASE},.by_hand = {1, true, 12}
	},
	{
		"even if it is just full then",
		"2 b0 12-12 #400 1:c-d; 3 l1 5-5 #600 1:d-e",
		"f: 2 3 | 1 l1 5-12: 2 3", {BASE},.by_hand = {1, true, 12}
	},
	{
		"what has come since has its garbage",
		"2 l1 13-13 1:a-c/1",
		NULL, {BASE},.by_hand = {1, true, 12}
	},
	{
		"not below the bottom",
		"2 b0 12-12 #400 1:c-d; 3 l1 5-5 #601 1:d-e",
		"f: 2 3 | 1 l1 5-12: 2 3", {BASE,.bottom_level = 1},.by_hand = {1, true, 12}
	},
	{
		"through others",
		"2 l1 12-12 1:a-c; 3 l2 5-5 1:c-f; 4 l1 5-5 1:f-g; 5 l1 5-5 1:h-i",
		"f: 2 3 4 | 1 l1 5-12: 2 4 3", {BASE},.by_hand = {1, true, 12}
	},
	{
		"one run of a level is as it should be",
		"2 l1 12-12 1:a-c; 3 l2 12-12 1:d-f",
		NULL, {BASE},.by_hand = {1, true, 12}
	},
	{
		"unless it has tombstones",
		"2 l1 12-12 1:a-c/1",
		"f: 2 | 1 l1 12-12: 2", {BASE},.by_hand = {1, true, 12}
	},
	{
		"or expired entries",
		"2 l1 12-12 1:a-c*1@3-3",
		"f: 2 | 1 l1 12-12: 2", {BASE},.by_hand = {1, true, 12},.expired_before = 4
	},
	{
		"one of level 0 moves",
		"2 b0 12-12 1:a-c",
		"f: 2 | 1 l1 12-12: 2 move", {BASE},.by_hand = {1, true, 12}
	},
	{
		"unless it is a WAL run",
		"2 w0 12-12 1:a-c 2:a-b",
		"f: 2(1) | 1 l1 12-12: 2", {BASE},.by_hand = {1, true, 12}
	},
	{
		"newer runs of level 0 stay",
		"2 b0 12-12 1:a-c/1; 3 b0 13-13 1:a-z",
		"f: 2 | 1 l1 12-12: 2", {BASE},.by_hand = {1, true, 12}
	},
	{
		"and are no work",
		"2 l1 12-12 1:a-c; 3 b0 13-13 1:a-z",
		NULL, {BASE},.by_hand = {1, true, 12}
	},
	{
		"full waits for another job",
		"2 l1 12-12 1:a-c/1",
		NULL, {BASE},.busy = {2},.by_hand = {1, true, 12, true}
	},
	{
		"full does what is free",
		"2 l1 12-12 1:a-c/1; 3 l2 12-12 1:d-f/1",
		"f: 3 | 1 l1 12-12: 3", {BASE},.busy = {2},.by_hand = {1, true, 12}
	},
};

static void
check_case(const Case *c)
{
	LsmForest  *forest = spec_forest(c->runs, c->floors);
	LsmTable	tables[4];
	LsmClaim	claims[2] = {{0}};
	LsmQuestion question = {
		.forest = forest,.settings = &c->settings,.tables = tables,.claims = claims,.nclaims = 2,
		.expired_before = c->expired_before,.alloc = &sv_malloc_alloc
	};
	char		text[TEXT_BYTES] = "";
	LsmJob	   *job = NULL;
	bool		waits = false;
	SvStatus	status;
	SvError		err = {0};

	for (int i = 0; i < 4 && (i < 3 || c->tables[0] != 0); i++)
	{
		int32_t		id = c->tables[0] == 0 ? i + 1 : c->tables[i];

		if (id != 0)
			tables[question.ntables++] = (LsmTable) {id, &c->settings};
	}
	for (int i = 0; i < 6 && c->busy[i] != 0; i++)
		claims[0].nruns++;
	claims[0].run_ids = c->busy;
	claims[1].ntargets = c->target.table_id != 0;
	claims[1].targets = &c->target;
	status = c->by_hand.table == 0 ? lsm_choose(&question, &job, &err) :
		lsm_choose_table(&question, c->by_hand.table, c->by_hand.full, c->by_hand.up_to, &job, &waits, &err);
	if (status == SV_OK)
		describe_job(job, text);
	if (!CHECK(c->job == NULL ? status == SV_NOT_FOUND : status == SV_OK && strcmp(text, c->job) == 0, c->name))
		printf("# job: %s\n", text);
	if (c->by_hand.table != 0 && waits != c->by_hand.waits)
		CHECK(false, c->name);
	lsm_job_free(job);
	lsm_forest_free(forest);
}

/* What a job says of itself, and what it keeps others from. */
static void
test_fields(void)
{
	static const LsmSettings of_vault = {BASE,.run_bytes = 1};
	static const LsmSettings of_table = {BASE,.run_bytes = 777};
	LsmForest  *forest = spec_forest("1 l1 5-5 #700 1:a-c; 2 l1 3-3 #300 1:m-n; 3 l2 1-1 #50 1:m-p", NULL);
	LsmTable	tables[1] = {{1, &of_table}};
	LsmClaim	claim;
	LsmQuestion question = {
		.forest = forest,.settings = &of_vault,.ntables = 1,.tables = tables,.claims = &claim,
		.expired_before = INT64_MIN,.alloc = &sv_malloc_alloc
	};
	LsmJob	   *job;
	LsmJob	   *other;
	SvError		err;

	CHECK(lsm_choose(&question, &job, &err) == SV_OK && job->input_bytes == 0 && job->newest_run_id == 3 &&
		  strcmp(job->reason, "level 1 has 1000 bytes") == 0, "a move reads nothing");
	CHECK(lsm_job_claim(job, &claim, &err) == SV_OK && claim.nruns == 1 && claim.run_ids[0] == 1 &&
		  claim.ntargets == 1 && claim.targets[0].table_id == 1 && claim.targets[0].level == 2 &&
		  sv_slice_equal(claim.targets[0].range.low, text_slice("a")) &&
		  sv_slice_equal(claim.targets[0].range.high, text_slice("c")), "it claims its run and where it goes");
	lsm_job_free(job);
	lsm_forest_free(forest);

	question.forest = forest = spec_forest("1 l1 5-5 #100 1:a-c; 2 l1 3-3 #1200 1:m-n; 3 l2 1-1 #50 1:m-p; "
										   "4 l2 1-1 #500 1:b-b; 5 w0 9-9 2:a-b", NULL);
	CHECK(lsm_choose(&question, &job, &err) == SV_OK && job->kind == LSM_JOB_REMOVE, "dead runs first");
	lsm_job_free(job);
	lsm_forest_free(forest);

	question.forest = forest = spec_forest("1 l1 5-5 #100 1:a-c; 2 l1 3-3 #1200 1:m-n; 3 l2 1-1 #50 1:m-p; "
										   "4 l2 1-1 #500 1:b-b; 5 w0 9-9 1:a-b", NULL);
	CHECK(lsm_choose(&question, &job, &err) == SV_OK && job->input_bytes == 1250 &&
		  job->merges[0].bytes == 1250 && job->merges[0].run_bytes == 777 && job->newest_run_id == 5,
		  "what a merge reads, and how it cuts");
	lsm_job_free(job);
	lsm_forest_free(forest);

	question.forest = forest = spec_forest("1 w0 1-1 1:a-c; 2 w0 2-2 1:b-d; 3 w0 3-3 1:a-b", NULL);
	CHECK(lsm_choose(&question, &job, &err) == SV_OK && lsm_job_claim(job, &claim, &err) == SV_OK &&
		  claim.nruns == 3 && claim.ntargets == 0, "where sequences keep order there is no target");
	question.nclaims = 1;
	CHECK(lsm_choose(&question, &other, &err) == SV_NOT_FOUND && other == NULL, "two jobs do not share runs");
	lsm_job_free(job);
	lsm_forest_free(forest);
}

int
main(void)
{
	test_fields();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(&cases[i]);
	return unit_done();
}
