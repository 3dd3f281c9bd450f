/*
 * lsm_job.c
 *		What a job's data says.
 */
#include "lsm/lsm_job.h"

void
lsm_job_free(LsmJob *job)
{
	SvArena		arena;

	if (job == NULL)
		return;
	arena = job->arena;			/* the job itself lies in it */
	sv_arena_free(&arena);
}

bool
lsm_merge_may_drop_next(const LsmMergePlan *merge, SvSlice key, int *at)
{
	while (*at < merge->nolder && sv_slice_compare(merge->older[*at].high, key) < 0)
		(*at)++;
	return *at == merge->nolder || sv_slice_compare(key, merge->older[*at].low) < 0;
}

bool
lsm_merge_may_drop(const LsmMergePlan *merge, SvSlice key)
{
	int			at = 0;

	return lsm_merge_may_drop_next(merge, key, &at);
}

SvStatus
lsm_job_claim(LsmJob *job, LsmClaim *claim, SvError *err)
{
	int64_t    *run_ids = sv_arena_take(&job->arena, sizeof(int64_t) * (size_t) (job->ninputs + 1));
	LsmTarget  *targets = sv_arena_take(&job->arena, sizeof(LsmTarget) * (size_t) (job->nmerges + 1));

	if (run_ids == NULL || targets == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: the claim of a job");
	*claim = (LsmClaim) {.nruns = job->ninputs,.run_ids = run_ids,.targets = targets};
	for (int i = 0; i < job->ninputs; i++)
		run_ids[i] = job->inputs[i].run.id;
	for (int i = 0; i < job->nmerges; i++)
	{
		const LsmMergePlan *merge = &job->merges[i];

		if (merge->level == 0)
			continue;
		targets[claim->ntargets++] = (LsmTarget) {
			.table_id = merge->table_id,.level = merge->level,.range = merge->range
		};
	}
	return SV_OK;
}
