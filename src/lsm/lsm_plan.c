/*
 * lsm_plan.c
 *		Copies what was picked into a job, and works out where older entries
 *		may be.
 */
#include "lsm/lsm_plan.h"

#include <stdlib.h>

typedef struct Maker
{
	const LsmQuestion *question;
	const LsmPlans *plans;
	LsmJob	   *job;
} Maker;

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: a compaction job");
}

static void *
take(Maker *maker, size_t element_bytes, int n)
{
	return sv_arena_take(&maker->job->arena, element_bytes * (size_t) (n + 1));
}

static SvStatus
copy_run(Maker *maker, LsmRun *copy, const LsmRun *run, SvError *err)
{
	SvArena    *arena = &maker->job->arena;

	*copy = *run;
	copy->object = sv_arena_string(arena, run->object);
	copy->parts = take(maker, sizeof(LsmPart), run->nparts);
	if (copy->object == NULL || copy->parts == NULL)
		return no_memory(err);
	for (int i = 0; i < run->nparts; i++)
	{
		copy->parts[i] = run->parts[i];
		if (!sv_arena_copy(arena, run->parts[i].min_key, &copy->parts[i].min_key) ||
			!sv_arena_copy(arena, run->parts[i].max_key, &copy->parts[i].max_key))
			return no_memory(err);
	}
	return SV_OK;
}

static int
compare_runs(const void *a, const void *b)
{
	int64_t		ida = (*(const LsmRun *const *) a)->id;
	int64_t		idb = (*(const LsmRun *const *) b)->id;

	return (ida > idb) - (ida < idb);
}

/* Each run that is in a plan or removed, once, ascending by id. */
static SvStatus
make_inputs(Maker *maker, SvError *err)
{
	const LsmPlans *plans = maker->plans;
	const LsmRun **runs;
	int			n = plans->nremoved;
	int			unique = 0;
	SvStatus	status = SV_OK;

	for (int i = 0; i < plans->n; i++)
		n += plans->plans[i].nitems;
	runs = take(maker, sizeof(LsmRun *), n);
	maker->job->inputs = take(maker, sizeof(LsmJobInput), n);
	if (runs == NULL || maker->job->inputs == NULL)
		return no_memory(err);
	n = 0;
	for (int i = 0; i < plans->nremoved; i++)
		runs[n++] = plans->removed[i];
	for (int i = 0; i < plans->n; i++)
		for (int j = 0; j < plans->plans[i].nitems; j++)
			runs[n++] = plans->plans[i].items[j]->run;
	qsort(runs, (size_t) n, sizeof(LsmRun *), compare_runs);
	for (int i = 0; i < n && status == SV_OK; i++)
	{
		if (i == 0 || runs[i]->id != runs[i - 1]->id)
			status = copy_run(maker, &maker->job->inputs[unique++].run, runs[i], err);
	}
	maker->job->ninputs = unique;
	return status;
}

static int
find_input(const LsmJob *job, int64_t run_id)
{
	int			low = 0;
	int			high = job->ninputs - 1;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (job->inputs[middle].run.id < run_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Notes that the job consumes the input's part of the table; its tables stay ascending. */
static void
consume(LsmJobInput *input, int32_t table_id)
{
	int			at = input->ntables;

	while (at > 0 && input->table_ids[at - 1] > table_id)
	{
		input->table_ids[at] = input->table_ids[at - 1];
		at--;
	}
	input->table_ids[at] = table_id;
	input->ntables++;
}

/* Room for the tables of each input, with those of dead parts: whoever takes a run takes them. */
static SvStatus
consume_dead_parts(Maker *maker, SvError *err)
{
	for (int i = 0; i < maker->job->ninputs; i++)
	{
		LsmJobInput *input = &maker->job->inputs[i];

		input->table_ids = take(maker, sizeof(int32_t), input->run.nparts);
		if (input->table_ids == NULL)
			return no_memory(err);
		for (int p = 0; p < input->run.nparts; p++)
		{
			if (lsm_part_is_dead(maker->question, &input->run, &input->run.parts[p]))
				consume(input, input->run.parts[p].table_id);
		}
	}
	return SV_OK;
}

static void
widen(LsmMergePlan *merge, const LsmItem *item, bool first)
{
	if (first || sv_slice_compare(item->part->min_key, merge->range.low) < 0)
		merge->range.low = item->part->min_key;
	if (first || sv_slice_compare(item->part->max_key, merge->range.high) > 0)
		merge->range.high = item->part->max_key;
	if (first || item->run->seq_lo < merge->seq_lo)
		merge->seq_lo = item->run->seq_lo;
	if (first || item->run->seq_hi > merge->seq_hi)
		merge->seq_hi = item->run->seq_hi;
	merge->bytes += item->bytes;
}

static SvStatus
make_sources(Maker *maker, const LsmPlan *plan, LsmMergePlan *merge, SvError *err)
{
	SvArena    *arena = &maker->job->arena;

	merge->sources = take(maker, sizeof(LsmMergeSource), plan->nitems);
	if (merge->sources == NULL)
		return no_memory(err);
	for (int i = 0; i < plan->nitems; i++)
	{
		const LsmItem *item = plan->items[i];
		LsmMergeSource *source = &merge->sources[merge->nsources++];

		source->input = find_input(maker->job, item->run->id);
		source->part = (int) (item->part - item->run->parts);
		consume(&maker->job->inputs[source->input], plan->view->table_id);
		widen(merge, item, i == 0);
	}
	if (!sv_arena_copy(arena, merge->range.low, &merge->range.low) ||
		!sv_arena_copy(arena, merge->range.high, &merge->range.high))
		return no_memory(err);
	return SV_OK;
}

static int
compare_ranges(const void *a, const void *b)
{
	return sv_slice_compare(((const LsmRange *) a)->low, ((const LsmRange *) b)->low);
}

/* Sorts ranges and makes one of those that touch; returns how many are left. */
static int
unite(LsmRange *ranges, int n)
{
	int			kept = 0;

	if (n > 0)
		qsort(ranges, (size_t) n, sizeof(LsmRange), compare_ranges);
	for (int i = 0; i < n; i++)
	{
		if (kept > 0 && sv_slice_compare(ranges[i].low, ranges[kept - 1].high) <= 0)
		{
			if (sv_slice_compare(ranges[i].high, ranges[kept - 1].high) > 0)
				ranges[kept - 1].high = ranges[i].high;
		}
		else
			ranges[kept++] = ranges[i];
	}
	return kept;
}

static bool
is_planned(const LsmPlan *plan, const LsmItem *item)
{
	for (int i = 0; i < plan->nitems; i++)
	{
		if (plan->items[i] == item)
			return true;
	}
	return false;
}

/*
 * What the outsider hides below the plan: for each of the plan's items that
 * comes before it, the keys that both may have.  Returns how many ranges.
 */
static int
hidden_ranges(const LsmPlan *plan, const LsmItem *outsider, LsmRange *ranges)
{
	int			n = 0;

	for (int i = 0; i < plan->nitems; i++)
	{
		const LsmPart *ours = plan->items[i]->part;
		const LsmPart *theirs = outsider->part;

		if (!lsm_item_before(plan->items[i], outsider) || !lsm_parts_overlap(ours, theirs))
			continue;
		ranges[n].low = sv_slice_compare(ours->min_key, theirs->min_key) > 0 ? ours->min_key : theirs->min_key;
		ranges[n].high = sv_slice_compare(ours->max_key, theirs->max_key) < 0 ? ours->max_key : theirs->max_key;
		n++;
	}
	return unite(ranges, n);
}

static SvStatus
make_older(Maker *maker, const LsmPlan *plan, LsmMergePlan *merge, SvError *err)
{
	SvArena		scratch;
	LsmRange   *ranges;
	int			room = plan->view->nitems + plan->nitems;
	int			n = 0;
	SvStatus	status = SV_OK;

	sv_arena_init(&scratch, maker->question->alloc);
	for (;;)
	{
		bool		full = false;

		ranges = sv_arena_take(&scratch, sizeof(LsmRange) * (size_t) room);
		if (ranges == NULL)
		{
			status = no_memory(err);
			break;
		}
		n = 0;
		for (int i = 0; i < plan->view->nitems && !full; i++)
		{
			full = n + plan->nitems > room;
			if (!full && !is_planned(plan, &plan->view->items[i]))
				n += hidden_ranges(plan, &plan->view->items[i], &ranges[n]);
		}
		if (!full)
			break;
		room *= 2;
	}
	if (status == SV_OK)
	{
		merge->nolder = unite(ranges, n);
		merge->older = take(maker, sizeof(LsmRange), merge->nolder);
		if (merge->older == NULL)
			status = no_memory(err);
	}
	for (int i = 0; status == SV_OK && i < merge->nolder; i++)
	{
		if (!sv_arena_copy(&maker->job->arena, ranges[i].low, &merge->older[i].low) ||
			!sv_arena_copy(&maker->job->arena, ranges[i].high, &merge->older[i].high))
			status = no_memory(err);
	}
	sv_arena_free(&scratch);
	return status;
}

static SvStatus
make_merge(Maker *maker, const LsmPlan *plan, LsmMergePlan *merge, SvError *err)
{
	SvStatus	status;

	merge->table_id = plan->view->table_id;
	merge->floor_seq = plan->view->floor_seq;
	merge->tier = plan->tier;
	merge->level = plan->level;
	merge->is_move = plan->is_move;
	merge->run_bytes = plan->view->settings->run_bytes;
	merge->most_parts = plan->view->settings->subcompactions;
	merge->part_bytes = plan->view->settings->subcompaction_bytes;
	status = make_sources(maker, plan, merge, err);
	if (status == SV_OK && !plan->is_move)
	{
		maker->job->input_bytes += merge->bytes;
		status = make_older(maker, plan, merge, err);
	}
	return status;
}

static SvStatus
make_job(Maker *maker, SvError *err)
{
	LsmJob	   *job = maker->job;
	SvStatus	status;
	int			nruns = lsm_forest_run_count(maker->question->forest);

	job->kind = maker->plans->kind;
	job->newest_run_id = nruns > 0 ? lsm_forest_run(maker->question->forest, nruns - 1)->id : 0;
	job->reason = sv_arena_string(&job->arena, maker->plans->reason);
	job->merges = take(maker, sizeof(LsmMergePlan), maker->plans->n);
	if (job->reason == NULL || job->merges == NULL)
		return no_memory(err);
	status = make_inputs(maker, err);
	if (status == SV_OK)
		status = consume_dead_parts(maker, err);
	for (int i = 0; i < maker->plans->n && status == SV_OK; i++)
		status = make_merge(maker, &maker->plans->plans[i], &job->merges[job->nmerges++], err);
	return status;
}

SvStatus
lsm_plan_job(const LsmQuestion *question, const LsmPlans *plans, LsmJob **job, SvError *err)
{
	Maker		maker = {.question = question,.plans = plans};
	SvArena		arena;
	SvStatus	status;

	*job = NULL;
	sv_arena_init(&arena, question->alloc);
	maker.job = sv_arena_take(&arena, sizeof(LsmJob));
	if (maker.job == NULL)
		return no_memory(err);
	maker.job->arena = arena;
	status = make_job(&maker, err);
	if (status != SV_OK)
		lsm_job_free(maker.job);
	else
		*job = maker.job;
	return status;
}
