/*
 * test_compact_parts.c
 *		A job in parts, done by processes that know it from bytes: together they
 *		do what one alone does.
 */
#include "unit.h"

#include "compact_world.h"
#include "lsm/lsm_parts.h"
#include "lsm/lsm_wire.h"

/* Cuts as a worker does: by the blocks of all sources. */
static bool
cut(World *w, int nparts, LsmParts *parts)
{
	bool		ok = true;
	SvError		err;

	lsm_parts_init(parts, &sv_malloc_alloc);
	for (int m = 0; m < w->job->nmerges; m++)
	{
		const LsmMergePlan *plan = &w->job->merges[m];
		int			slices = lsm_parts_slices(w->job, m, nparts);
		LsmMarks	marks;

		lsm_marks_init(&marks, &sv_malloc_alloc);
		for (int i = 0; i < plan->nsources && slices > 1; i++)
		{
			const LsmRun *run = &w->job->inputs[plan->sources[i].input].run;
			SstReader  *reader;

			if (mem_open(&reader, &store_find(&w->store, run->object)->file, &sv_malloc_alloc, &err) != SV_OK)
				abort();
			ok = ok && lsm_marks_add_blocks(&marks, sst_reader_tail(reader), run->tier == LSM_WAL,
											plan->table_id, &err) == SV_OK;
			sst_reader_close(reader);
		}
		ok = ok && lsm_parts_add(parts, w->job, m, &marks, slices, &err) == SV_OK;
		lsm_marks_free(&marks);
	}
	lsm_parts_group(parts, nparts);
	return ok;
}

static void
check_bounds(const LsmResult *whole)
{
	bool		ordered = true;

	for (int i = 1; i < whole->noutputs; i++)
		if (whole->outputs[i].merge == whole->outputs[i - 1].merge)
			ordered = ordered && sv_slice_compare(whole->outputs[i - 1].run.parts[0].max_key,
												  whole->outputs[i].run.parts[0].min_key) < 0;
		else
			ordered = ordered && whole->outputs[i - 1].merge < whole->outputs[i].merge;
	CHECK(ordered, "outputs are in order and disjoint");
}

/* Each part from the bytes of the job, each result from its own bytes. */
static bool
do_part(World *w, SvSlice wire, int part, LsmResult *whole, uint64_t *entries)
{
	LsmCompactIo io = store_io(&w->store);
	LsmCompactOptions options = {.expired_before = INT64_MIN,.read_ahead_bytes = 4096};
	LsmResult	result;
	LsmResult	received;
	LsmParts	parts;
	LsmJob	   *job;
	SvBuffer	bytes;
	SvError		err;
	bool		ok;

	sv_buffer_init(&bytes, &sv_malloc_alloc);
	lsm_result_init(&result, &sv_malloc_alloc);
	lsm_result_init(&received, &sv_malloc_alloc);
	ok = lsm_wire_get_job(wire, &sv_malloc_alloc, &job, &parts, &err) == SV_OK &&
		lsm_compact(job, &parts.slices[parts.first[part]], parts.first[part + 1] - parts.first[part],
					&options, &io, &result, &sv_malloc_alloc, &err) == SV_OK &&
		lsm_wire_put_result(&bytes, &result, &err) == SV_OK &&
		lsm_wire_get_result(sv_buffer_slice(&bytes), &received, &err) == SV_OK &&
		lsm_result_append(whole, &received, &err) == SV_OK;
	*entries = received.counts.entries_in;
	lsm_job_free(job);
	lsm_parts_free(&parts);
	lsm_result_free(&result);
	lsm_result_free(&received);
	sv_buffer_free(&bytes);
	return ok;
}

static void
check_job(World *w, int wanted, int expected, const char *name)
{
	LsmParts	parts;
	LsmResult	whole;
	SvBuffer	wire;
	uint64_t	largest = 0;
	SvError		err;
	bool		ok = cut(w, wanted, &parts);

	CHECK(ok && parts.nparts == expected, name);
	sv_buffer_init(&wire, &sv_malloc_alloc);
	lsm_result_init(&whole, &sv_malloc_alloc);
	ok = lsm_wire_put_job(&wire, w->job, &parts, &err) == SV_OK;
	for (int i = 0; i < parts.nparts && ok; i++)
	{
		uint64_t	entries;

		ok = do_part(w, sv_buffer_slice(&wire), i, &whole, &entries);
		largest = entries > largest ? entries : largest;
	}
	CHECK(ok && all_is_right(w, &whole, INT64_MIN), "parts together are the job");
	CHECK(parts.nparts == 1 || largest * (uint64_t) parts.nparts < whole.counts.entries_in * 2,
		  "parts are about equal");
	check_bounds(&whole);
	lsm_result_free(&whole);
	lsm_parts_free(&parts);
	sv_buffer_free(&wire);
}

static void
test_jobs(void)
{
	static const int inputs[] = {2, 16, 17, 40, 100};
	World		many = {.nruns = 12,.nkeys = 600,.ntables = 30,.value_bytes = 100};
	World		two = {.nruns = 8,.nkeys = 6000,.ntables = 2,.value_bytes = 100};

	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
	{
		World		w = {.nruns = inputs[i],.nkeys = 3000,.ntables = 1,.tombstones = 5,.value_bytes = 80};

		world_make(&w, LSM_BUFFER, NULL, NULL);
		check_job(&w, 4, 4, "buffer runs in four parts");
		check_job(&w, 16, 16, "buffer runs in sixteen parts");
		world_free(&w);
	}
	world_make(&many, LSM_WAL, NULL, NULL);
	CHECK(many.job->nmerges == 30, "a WAL run of many tables");
	check_job(&many, 5, 5, "merges put together in five parts");
	world_free(&many);
	world_make(&two, LSM_WAL, NULL, NULL);
	check_job(&two, 6, 6, "two large merges of WAL runs are cut");
	check_job(&two, 1, 1, "one part is the whole");
	world_free(&two);
}

static void
test_wanted(void)
{
	LsmMergePlan merges[3] = {
		{.most_parts = 4,.part_bytes = 100,.bytes = 300},
		{.most_parts = 1,.part_bytes = 1,.bytes = 100},
		{.most_parts = 16,.part_bytes = 1,.bytes = 100,.is_move = true}
	};
	LsmJob		job = {.nmerges = 3,.merges = merges,.input_bytes = 400};

	CHECK(lsm_parts_wanted(&job) == 4, "as many as are allowed");
	CHECK(lsm_parts_slices(&job, 0, 4) == 3 && lsm_parts_slices(&job, 1, 4) == 1, "of each merge its share");
	job.input_bytes = 399;
	CHECK(lsm_parts_wanted(&job) == 3, "no smaller than they may be");
	job.input_bytes = 199;
	CHECK(lsm_parts_wanted(&job) == 1, "a small job is one");
	merges[0].most_parts = 1;
	job.input_bytes = 4000;
	CHECK(lsm_parts_wanted(&job) == 1, "none if the table's option says so");
	merges[0].most_parts = 1000;
	CHECK(lsm_parts_wanted(&job) == LSM_MAX_PARTS, "never more than the most");
}

/* Cut anywhere, the bytes are refused. */
static void
test_cut_bytes(void)
{
	World		w = {.nruns = 3,.nkeys = 300,.ntables = 1,.tombstones = 5};
	LsmParts	parts;
	SvBuffer	wire;
	SvError		err;
	bool		refused = true;

	world_make(&w, LSM_BUFFER, NULL, NULL);
	CHECK(cut(&w, 2, &parts), "a small job");
	sv_buffer_init(&wire, &sv_malloc_alloc);
	CHECK(lsm_wire_put_job(&wire, w.job, &parts, &err) == SV_OK, "as bytes");
	lsm_parts_free(&parts);
	for (size_t len = 0; len < wire.len; len++)
	{
		LsmJob	   *job;
		uint8_t    *cut_off = must_allocate(len + 1);

		memcpy(cut_off, wire.data, len);
		refused = refused && lsm_wire_get_job(sv_slice(cut_off, len), &sv_malloc_alloc, &job, &parts, &err) != SV_OK;
		lsm_parts_free(&parts);
		free(cut_off);
	}
	CHECK(refused, "cut bytes of a job are refused");
	sv_buffer_free(&wire);
	world_free(&w);
}

int
main(void)
{
	test_jobs();
	test_wanted();
	test_cut_bytes();
	return unit_done();
}
