/*
 * test_compact_split.c
 *		A merge in pieces: where it is cut, and that the pieces are the whole.
 */
#include "unit.h"

#include "compact_world.h"
#include "lsm/lsm_split.h"

/* The merge in pieces, each with a result of its own: together they are the whole. */
static void
check_pieces(World *w, LsmMarks *marks, int pieces, int expected, const char *name)
{
	LsmSlice	slices[16];
	LsmCompactIo io = store_io(&w->store);
	LsmCompactOptions options = {.expired_before = INT64_MIN,.read_ahead_bytes = 4096};
	LsmResult	whole;
	uint64_t	entries = 0;
	uint64_t	largest = 0;
	int			n = lsm_split(marks, 0, pieces, slices);
	SvError		err;
	bool		ok = n == expected;

	lsm_result_init(&whole, &sv_malloc_alloc);
	for (int i = 0; i < n && ok; i++)
	{
		LsmResult	piece;

		lsm_result_init(&piece, &sv_malloc_alloc);
		ok = lsm_compact(w->job, &slices[i], 1, &options, &io, &piece, &sv_malloc_alloc, &err) == SV_OK &&
			lsm_result_append(&whole, &piece, &err) == SV_OK;
		entries += piece.counts.entries_in;
		largest = piece.counts.entries_in > largest ? piece.counts.entries_in : largest;
		lsm_result_free(&piece);
	}
	CHECK(ok && all_is_right(w, &whole, INT64_MIN) && whole.counts.entries_in == entries, name);
	CHECK(n == 1 || largest * (uint64_t) n < entries * 3 / 2, "pieces are about equal");
	lsm_result_free(&whole);
}

/* Slices that begin and end at first and last keys of runs, the later ones first: inputs are read backwards. */
static void
test_slices(void)
{
	World		w = {.nruns = 8,.nkeys = 800,.ntables = 1,.span = 100};
	LsmSlice	slices[3] = {
		{.has_low = true,.low = sv_slice("key00000400", 11)},
		{
			.has_low = true,.low = sv_slice("key00000099", 11),
			.has_high = true,.high = sv_slice("key00000400", 11)
		},
		{.has_high = true,.high = sv_slice("key00000099", 11)}
	};
	LsmCompactIo io;
	LsmCompactOptions options = {.expired_before = INT64_MIN,.read_ahead_bytes = 100000};
	LsmResult	result;
	LsmResult	sorted;
	SvError		err;

	world_make(&w, LSM_BUFFER, NULL, NULL);
	io = store_io(&w.store);
	lsm_result_init(&result, &sv_malloc_alloc);
	lsm_result_init(&sorted, &sv_malloc_alloc);
	CHECK(lsm_compact(w.job, slices, 3, &options, &io, &result, &sv_malloc_alloc, &err) == SV_OK &&
		  result.noutputs == 3 && result.counts.entries_in == 800, "slices in any order");
	for (int i = 2; i >= 0; i--)
	{
		LsmResult	one = {.noutputs = 1,.outputs = &result.outputs[i]};

		CHECK(lsm_result_append(&sorted, &one, &err) == SV_OK, "a result is put in order");
	}
	CHECK(all_is_right(&w, &sorted, INT64_MIN) && sorted.outputs[0].run.parts[0].entries == 99 &&
		  sorted.outputs[1].run.parts[0].entries == 301, "have what is between their bounds");
	lsm_result_free(&sorted);
	lsm_result_free(&result);
	world_free(&w);
}

static void
test_split(void)
{
	World		beside = {.nruns = 40,.nkeys = 4000,.ntables = 1,.span = 100};
	World		across = {.nruns = 6,.nkeys = 9000,.ntables = 1,.tombstones = 5};
	LsmMarks	marks;
	SvError		err;

	world_make(&beside, LSM_BUFFER, NULL, NULL);
	lsm_marks_init(&marks, &sv_malloc_alloc);
	CHECK(lsm_marks_add_runs(&marks, beside.job, 0, &err) == SV_OK, "marks of runs");
	check_pieces(&beside, &marks, 1, 1, "one piece is the whole");
	check_pieces(&beside, &marks, 4, 4, "four pieces of runs beside each other");
	lsm_marks_free(&marks);
	world_free(&beside);

	world_make(&across, LSM_BUFFER, NULL, NULL);
	lsm_marks_init(&marks, &sv_malloc_alloc);
	for (int i = 0; i < 6; i++)
	{
		SstReader  *reader;

		if (mem_open(&reader, &across.store.files[i]->file, &sv_malloc_alloc, &err) != SV_OK)
			abort();
		CHECK(lsm_marks_add_blocks(&marks, sst_reader_tail(reader), false, 0, &err) == SV_OK, "marks of blocks");
		sst_reader_close(reader);
	}
	check_pieces(&across, &marks, 7, 7, "seven pieces across all runs");
	lsm_marks_free(&marks);

	lsm_marks_init(&marks, &sv_malloc_alloc);
	CHECK(lsm_marks_add_runs(&marks, across.job, 0, &err) == SV_OK, "marks of runs that begin alike");
	check_pieces(&across, &marks, 3, 1, "leave one piece");
	lsm_marks_free(&marks);

	lsm_marks_init(&marks, &sv_malloc_alloc);
	check_pieces(&across, &marks, 3, 1, "without marks there is one piece");
	lsm_marks_free(&marks);
	world_free(&across);
}

int
main(void)
{
	test_slices();
	test_split();
	return unit_done();
}
