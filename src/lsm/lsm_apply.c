/*
 * lsm_apply.c
 *		First whether the job still fits the forest, then what it changes.
 *
 * By the argument at the top of lsm_choose.c it always fits unless something
 * happened that the scheduler does not know of: a TRUNCATE, a DROP, another
 * writer of the vault, a job that was taken for dead.  So the checks are for
 * these, and say "again" when in doubt.
 */
#include "lsm/lsm_apply.h"

#include <stdlib.h>

#include "lsm/lsm_view.h"

typedef enum MergeState
{
	MERGE_PUBLISHED,
	MERGE_GONE,					/* the table was dropped, or its floor raised */
	MERGE_LEFT					/* the table is locked */
} MergeState;

typedef struct Applier
{
	const LsmApplyInput *input;
	LsmChanges *changes;
	MergeState *states;			/* of the job's merges */
	int64_t    *floors;			/* of their tables, now */
} Applier;

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: the changes of a compaction");
}

static void *
take(Applier *applier, size_t element_bytes, int n)
{
	return sv_arena_take(&applier->changes->arena, element_bytes * (size_t) (n + 1));
}

static SvStatus
judge_merges(Applier *applier, SvError *err)
{
	const LsmApplyInput *input = applier->input;
	const LsmJob *job = input->job;

	applier->states = take(applier, sizeof(MergeState), job->nmerges);
	applier->floors = take(applier, sizeof(int64_t), job->nmerges);
	if (applier->states == NULL || applier->floors == NULL)
		return no_memory(err);
	for (int i = 0; i < job->nmerges; i++)
	{
		const LsmMergePlan *merge = &job->merges[i];
		const LsmFloor *floor = lsm_forest_floor(input->forest, merge->table_id);
		LsmTableState state = input->table_state(input->state, merge->table_id);

		applier->floors[i] = floor == NULL ? 0 : floor->floor_seq;
		if (state == LSM_TABLE_LOCKED)
			applier->states[i] = MERGE_LEFT;
		else if (state == LSM_TABLE_DROPPED)
		{
			applier->states[i] = MERGE_GONE;
			applier->floors[i] = INT64_MAX;
		}
		else
			applier->states[i] = applier->floors[i] == merge->floor_seq ? MERGE_PUBLISHED : MERGE_GONE;
	}
	return SV_OK;
}

/* ------------------------------------------------------------------ checks */

/* Whether the job takes the run's part of the table out of where it is. */
static bool
is_consumed(const LsmJob *job, int64_t run_id, int32_t table_id)
{
	int			low = 0;
	int			high = job->ninputs;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (job->inputs[middle].run.id < run_id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == job->ninputs || job->inputs[low].run.id != run_id)
		return false;
	for (int i = 0; i < job->inputs[low].ntables; i++)
	{
		if (job->inputs[low].table_ids[i] == table_id)
			return true;
	}
	return false;
}

static bool
same_part(const LsmPart *a, const LsmPart *b)
{
	return a->entries == b->entries && sv_slice_equal(a->min_key, b->min_key) &&
		sv_slice_equal(a->max_key, b->max_key);
}

static const LsmPart *
find_part(const LsmRun *run, int32_t table_id)
{
	for (int i = 0; i < run->nparts; i++)
	{
		if (run->parts[i].table_id == table_id)
			return &run->parts[i];
	}
	return NULL;
}

/* Whether the source is where it was, and as it was. */
static bool
source_stands(const Applier *applier, const LsmMergePlan *merge, const LsmMergeSource *source)
{
	const LsmRun *was = &applier->input->job->inputs[source->input].run;
	const LsmRun *is = lsm_forest_find_run(applier->input->forest, was->id);
	const LsmPart *part = is == NULL ? NULL : find_part(is, merge->table_id);

	return part != NULL && is->tier == was->tier && is->level == was->level &&
		is->seq_lo == was->seq_lo && is->seq_hi == was->seq_hi &&
		same_part(part, &was->parts[source->part]);
}

/*
 * Whether an outsider that shares keys with the source would come on the wrong
 * side of the output: it is older and would be met first, or newer and would
 * be met after.
 *
 * A run of level 0 that has come since is newer, or was made of runs that the
 * choice knew, and knew to be apart: only its range has closed a gap.
 */
static bool
is_passed(const LsmJob *job, const LsmMergePlan *merge, const LsmItem *source,
		  const LsmItem *outsider)
{
	if (merge->level == 0 || !lsm_parts_overlap(source->part, outsider->part))
		return false;
	if (!lsm_item_before(source, outsider))
		return outsider->run->level > merge->level;
	return outsider->run->level <= merge->level &&
		(outsider->run->level > 0 || outsider->run->id <= job->newest_run_id);
}

/* Whether an outsider is where an output of level 0 is to be. */
static bool
is_between(const LsmMergePlan *merge, const LsmRun *outsider)
{
	return merge->level == 0 && outsider->level == 0 &&
		outsider->seq_lo <= merge->seq_hi && merge->seq_lo <= outsider->seq_hi;
}

/* Files of one load share their sequences, and any of them may be rewritten alone. */
static bool
is_sibling(const LsmMergePlan *merge, const LsmItem *outsider)
{
	return outsider->run->seq_lo == merge->seq_lo && outsider->run->seq_hi == merge->seq_hi &&
		!lsm_range_overlaps(&merge->range, outsider->part);
}

static const char *
check_outsider(const Applier *applier, int number, const LsmItem *outsider)
{
	const LsmJob *job = applier->input->job;
	const LsmMergePlan *merge = &job->merges[number];
	const LsmResult *result = applier->input->result;

	if (is_between(merge, outsider->run) && !is_sibling(merge, outsider))
		return "a run lies between the sequences of an output";
	for (int i = 0; i < merge->nsources; i++)
	{
		const LsmRun *run = &job->inputs[merge->sources[i].input].run;
		LsmItem		source = {.run = run,.part = &run->parts[merge->sources[i].part]};

		if (is_passed(job, merge, &source, outsider))
			return "a run of the same keys would be passed";
	}
	if (merge->is_move || merge->level == 0 || outsider->run->level != merge->level)
		return NULL;
	for (int i = 0; i < result->noutputs; i++)
	{
		if (result->outputs[i].merge == number &&
			lsm_parts_overlap(&result->outputs[i].run.parts[0], outsider->part))
			return "a run overlaps an output";
	}
	return NULL;
}

/* NULL, or why the merge does not fit the forest any more. */
static const char *
check_merge(const Applier *applier, int number)
{
	const LsmApplyInput *input = applier->input;
	const LsmMergePlan *merge = &input->job->merges[number];
	const LsmSourceRun *sources;
	const char *problem = NULL;
	int			n;

	for (int i = 0; i < merge->nsources; i++)
	{
		if (!source_stands(applier, merge, &merge->sources[i]))
			return "an input is gone or has changed";
	}
	sources = lsm_forest_sources(input->forest, merge->table_id, &n);
	for (int i = 0; i < n && problem == NULL; i++)
	{
		LsmItem		outsider = {.run = sources[i].run,.part = sources[i].part};

		if (!is_consumed(input->job, outsider.run->id, merge->table_id))
			problem = check_outsider(applier, number, &outsider);
	}
	return problem;
}

/* ----------------------------------------------------------------- changes */

/* The first of the table's merges, or -1. */
static int
find_merge(const LsmJob *job, int32_t table_id)
{
	for (int i = 0; i < job->nmerges; i++)
	{
		if (job->merges[i].table_id == table_id)
			return i;
	}
	return -1;
}

/* Whether the part leaves its run; what was dead when the job was chosen does so for ever. */
static bool
part_leaves(const Applier *applier, const LsmRun *run, const LsmPart *part)
{
	int			merge;

	if (!is_consumed(applier->input->job, run->id, part->table_id))
		return false;
	merge = find_merge(applier->input->job, part->table_id);
	if (merge < 0 || applier->states[merge] == MERGE_PUBLISHED)
		return true;
	return applier->states[merge] == MERGE_GONE && run->seq_hi <= applier->floors[merge];
}

/* The merge that moves the run, or NULL. */
static const LsmMergePlan *
find_move(const Applier *applier, int input)
{
	const LsmJob *job = applier->input->job;

	for (int i = 0; i < job->nmerges; i++)
	{
		if (job->merges[i].is_move && job->merges[i].sources[0].input == input)
			return applier->states[i] == MERGE_PUBLISHED ? &job->merges[i] : NULL;
	}
	return NULL;
}

static void
change_run(Applier *applier, const LsmRun *run, const LsmMergePlan *move, LsmPart *parts)
{
	LsmChanges *changes = applier->changes;
	LsmRunChange change = {.run_id = run->id,.tier = run->tier,.level = run->level,.parts = parts};

	if (move != NULL)
	{
		change.tier = move->tier;
		change.level = move->level;
	}
	for (int i = 0; i < run->nparts; i++)
	{
		if (move != NULL || !part_leaves(applier, run, &run->parts[i]))
			parts[change.nparts++] = run->parts[i];
	}
	if (change.nparts == 0)
		changes->removed[changes->nremoved++] = run->id;
	else if (move != NULL || change.nparts < run->nparts)
		changes->changed[changes->nchanged++] = change;
}

/*
 * Whether all that the job consumes of the input is of locked tables.  Then nobody
 * has its row locked, and the TRUNCATE or DROP may be removing it, dead as it may be
 * already: it stays, and is looked at again.
 */
static bool
is_out_of_reach(const Applier *applier, const LsmJobInput *run)
{
	const LsmApplyInput *input = applier->input;

	for (int i = 0; i < run->ntables; i++)
	{
		if (input->table_state(input->state, run->table_ids[i]) != LSM_TABLE_LOCKED)
			return false;
	}
	return true;
}

static SvStatus
change_runs(Applier *applier, SvError *err)
{
	const LsmJob *job = applier->input->job;
	LsmChanges *changes = applier->changes;

	changes->removed = take(applier, sizeof(int64_t), job->ninputs);
	changes->changed = take(applier, sizeof(LsmRunChange), job->ninputs);
	if (changes->removed == NULL || changes->changed == NULL)
		return no_memory(err);
	for (int i = 0; i < job->ninputs; i++)
	{
		const LsmRun *run = lsm_forest_find_run(applier->input->forest, job->inputs[i].run.id);
		LsmPart    *parts;

		if (run == NULL || is_out_of_reach(applier, &job->inputs[i]))
			continue;			/* a TRUNCATE or DROP has removed it, or may be about to */
		parts = take(applier, sizeof(LsmPart), run->nparts);
		if (parts == NULL)
			return no_memory(err);
		change_run(applier, run, find_move(applier, i), parts);
	}
	return SV_OK;
}

static SvStatus
sort_outputs(Applier *applier, bool publish, SvError *err)
{
	const LsmResult *result = applier->input->result;
	LsmChanges *changes = applier->changes;
	int			n = result == NULL ? 0 : result->noutputs;

	changes->added = take(applier, sizeof(LsmRun *), n);
	changes->unused = take(applier, sizeof(char *), n);
	if (changes->added == NULL || changes->unused == NULL)
		return no_memory(err);
	for (int i = 0; i < n; i++)
	{
		if (publish && applier->states[result->outputs[i].merge] == MERGE_PUBLISHED)
			changes->added[changes->nadded++] = &result->outputs[i].run;
		else
			changes->unused[changes->nunused++] = result->outputs[i].run.object;
	}
	return SV_OK;
}

static void
note_table(int32_t *table_ids, int *n, int32_t table_id)
{
	if (*n == 0 || table_ids[*n - 1] != table_id)
		table_ids[(*n)++] = table_id;
}

static int
compare_ids(const void *a, const void *b)
{
	int32_t		left = *(const int32_t *) a;
	int32_t		right = *(const int32_t *) b;

	return (left > right) - (left < right);
}

/* Of merges, and of runs of which nothing lives. */
static SvStatus
list_left_out(Applier *applier, SvError *err)
{
	const LsmJob *job = applier->input->job;
	LsmChanges *changes = applier->changes;
	int			n = job->nmerges;
	int32_t    *ids;

	for (int i = 0; i < job->ninputs; i++)
		n += job->inputs[i].ntables;
	ids = changes->left_out = take(applier, sizeof(int32_t), n);
	if (ids == NULL)
		return no_memory(err);
	n = 0;
	for (int i = 0; i < job->nmerges; i++)
	{
		if (applier->states[i] == MERGE_LEFT)
			ids[n++] = job->merges[i].table_id;
	}
	for (int i = 0; i < job->ninputs; i++)
	{
		for (int j = 0; j < job->inputs[i].ntables && is_out_of_reach(applier, &job->inputs[i]); j++)
			ids[n++] = job->inputs[i].table_ids[j];
	}
	if (n > 0)
		qsort(ids, (size_t) n, sizeof(int32_t), compare_ids);
	for (int i = 0; i < n; i++)
		note_table(ids, &changes->nleft_out, ids[i]);
	return SV_OK;
}

static SvStatus
list_tables(Applier *applier, SvError *err)
{
	const LsmJob *job = applier->input->job;
	LsmChanges *changes = applier->changes;

	changes->table_ids = take(applier, sizeof(int32_t), job->nmerges);
	if (changes->table_ids == NULL)
		return no_memory(err);
	for (int i = 0; i < job->nmerges; i++)
	{
		if (applier->states[i] == MERGE_PUBLISHED)
			note_table(changes->table_ids, &changes->ntables, job->merges[i].table_id);
	}
	return SV_OK;
}

SvStatus
lsm_apply(const LsmApplyInput *input, LsmVerdict *verdict, LsmChanges *changes, SvError *err)
{
	Applier		applier = {.input = input,.changes = changes};
	SvStatus	status;

	*changes = (LsmChanges) {0};
	*verdict = LSM_VERDICT_OK;
	sv_arena_init(&changes->arena, input->alloc);
	status = judge_merges(&applier, err);
	if (status != SV_OK)
		return status;
	for (int i = 0; i < input->job->nmerges && changes->problem == NULL; i++)
	{
		if (applier.states[i] == MERGE_PUBLISHED)
			changes->problem = check_merge(&applier, i);
	}
	if (changes->problem != NULL)
	{
		*verdict = LSM_VERDICT_AGAIN;
		return sort_outputs(&applier, false, err);
	}
	status = change_runs(&applier, err);
	if (status == SV_OK)
		status = sort_outputs(&applier, true, err);
	if (status == SV_OK)
		status = list_tables(&applier, err);
	if (status == SV_OK)
		status = list_left_out(&applier, err);
	return status;
}

void
lsm_changes_free(LsmChanges *changes)
{
	sv_arena_free(&changes->arena);
}
