/*
 * compact_run.c
 *		Reads inputs, writes outputs.
 *
 * What lsm_compact calls back should not raise errors: it would be left by
 * longjmp.  So statuses are returned, and become errors once it has.
 */
#include "postgres.h"

#include "worker/compact_run.h"

#include "forest/forest_catalog.h"
#include "forest/forest_registry.h"
#include "forest/forest_store_local.h"
#include "forest/object_name.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "server/pg_wait.h"
#include "server/stop_point.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/compact_claim.h"
#include "worker/compact_parts.h"
#include "worker/worker_pool.h"
#include "worker/worker_transaction.h"

typedef struct CompactInput
{
	CompactRun *run;
	int64		run_id;
	const char *object;
} CompactInput;

static SvStatus
read_input(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	CompactInput *input = state;
	StoreRange	range = {.name = input->object,.offset = offset,.len = len,.dst = dst};
	SvStatus	status = store_get(input->run->plan->store, &range, 1, NULL, input->run->plan->call, err);

	/* Corrupt if the registry still has it, which compact_run_report asks. */
	if (status == SV_NOT_FOUND)
	{
		input->run->missing = input->run_id;
		status = sv_fail(err, SV_CORRUPT, "object \"%s\" is missing from the store", input->object);
	}
	return status;
}

/* Under a new snapshot; of an extension that has been dropped there is none. */
static bool
is_registered(int64 run_id)
{
	MemoryContext context = CurrentMemoryContext;
	bool		found;

	worker_transaction_begin();
	found = catalog_exists() && registry_has_run(run_id, GetActiveSnapshot());
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
	return found;
}

/*
 * What is damaged may be a copy of an input that is kept near: the next try asks
 * the store itself for it.  Not for the others, which may be a hundred and sound.
 */
static void
forget_damaged(const CompactPlan *plan, const SvError *err)
{
	for (int i = 0; i < plan->job->ninputs; i++)
	{
		const char *object = plan->job->inputs[i].run.object;

		if (strstr(err->message, object) != NULL)
			forest_store_forget(plan->store, &object, 1);
	}
}

/*
 * Claims keep other jobs from an input, but no TRUNCATE or DROP: it removes a
 * run of which nothing else is, and the object may be collected while the job,
 * which has no snapshot, still means to read it.  An object is deleted only
 * when its removal from the registry is visible to all: so if it was a
 * collection, a snapshot that is newer than the read sees no run.
 */
void
compact_run_report(const CompactRun *run, const SvError *err)
{
	if (err->status == SV_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (run->missing != 0 && !is_registered(run->missing))
		ereport(ERROR, (errcode(COMPACT_TOO_LATE), errmsg("%s", COMPACT_RUN_IS_GONE)));
	if (err->status == SV_CORRUPT)
		forget_damaged(run->plan, err);
	pg_status_report(ERROR, err);
}

SvStatus
compact_run_open_input(void *state, const LsmRun *lsm_run, SstSource *source, SvError *err)
{
	CompactRun *run = state;
	CompactInput *input = sv_allocate(&run->plan->alloc, sizeof(CompactInput));

	if (input == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	STOP_POINT_IN_LOAD(run->offer != NULL ? "part-open-input" : "compact-open-input");
	input->run = run;
	input->run_id = lsm_run->id;
	input->object = lsm_run->object;
	*source = (SstSource)
	{
		.read = read_input,.state = input,.name = lsm_run->object
	};
	return SV_OK;
}

void
compact_run_close_input(void *state, SstSource *source)
{
	CompactRun *run = state;

	sv_release(&run->plan->alloc, source->state);
}

static SvStatus
append_output(void *state, const void *data, size_t len, SvError *err)
{
	CompactRun *run = state;

	return store_upload_append(run->upload, data, len, run->plan->call, err);
}

static const ForestStorage *
storage_of(const CompactPlan *plan, int32 table_id)
{
	for (int i = 0; i < plan->ntables; i++)
		if (plan->tables[i].table_id == table_id)
			return &plan->tables[i].storage;
	return NULL;
}

static SvStatus
begin_output(void *state, const LsmMergePlan *merge, SstWriterOptions *options, SstSink *sink, SvError *err)
{
	CompactRun *run = state;
	const ForestStorage *storage = storage_of(run->plan, merge->table_id);

	*options = (SstWriterOptions) SST_WRITER_DEFAULTS;
	if (storage != NULL)
	{
		options->zstd_level = storage->zstd_level;
		options->filter_bits = storage->filter_bits;
		options->dictionary_bytes = storage->dictionary_bytes;
	}
	STOP_POINT_IN_LOAD(run->offer != NULL ? "part-begin-output" : "compact-begin-output");
	/* If this runs out of memory, what it leaves by longjmp has nothing that is not the plan's. */
	run->object = object_name_of_job(&run->plan->vault, run->plan->job_id, "sst");
	*sink = (SstSink)
	{
		.append = append_output,.state = run
	};
	return store_upload_begin(run->plan->store, run->object, &run->upload, run->plan->call, err);
}

static SvStatus
end_output(void *state, const LsmRun *lsm_run, const char **object, SvError *err)
{
	CompactRun *run = state;
	StoreUpload *upload = run->upload;

	STOP_POINT_IN_LOAD(run->offer != NULL ? "part-end-output" : "compact-end-output");
	if (pg_status_must_stop())
		return sv_fail(err, SV_CANCELLED, "compaction was cancelled");
	run->upload = NULL;
	*object = run->object;
	return store_upload_finish(upload, run->plan->call, err);
}

static bool
is_gone(const CompactRun *run)
{
	return run->offer != NULL && !compact_share_is_there(run->offer);
}

static SvStatus
note_progress(void *state, const LsmCompactCounts *counts, SvError *err)
{
	CompactRun *run = state;
	PoolProgress progress = {
		.entries_in = run->before.entries_in + counts->entries_in,
		.entries_out = run->before.entries_out + counts->entries_out,
		.bytes_in = run->before.bytes_in + counts->bytes_in,
		.bytes_out = run->before.bytes_out + counts->bytes_out,
		.bytes_total = run->plan->job->input_bytes
	};

	worker_pool_set_progress(&progress);
	pg_wait_absorb_barrier();
	if (pg_status_must_stop() || is_gone(run))
		return sv_fail(err, SV_CANCELLED, "compaction was cancelled");
	return SV_OK;
}

bool
compact_run_slices(CompactRun *run, const LsmSlice *slices, int nslices, LsmResult *result)
{
	const CompactPlan *plan = run->plan;
	LsmCompactIo io = {
		.open_input = compact_run_open_input,.close_input = compact_run_close_input,
		.begin_output = begin_output,.end_output = end_output,
		.progress = note_progress,.state = run
	};
	LsmCompactOptions options = {
		.expired_before = plan->expired_before,
		.read_ahead_bytes = plan->read_ahead_bytes
	};
	SvError		err;
	SvStatus	status;

	status = lsm_compact(plan->job, slices, nslices, &options, &io, result, &plan->alloc, &err);
	if (status == SV_OK)
		return true;
	if (run->upload != NULL)
	{
		store_upload_abort(run->upload, plan->call);
		run->upload = NULL;
	}
	if (status == SV_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (is_gone(run))
		return false;
	compact_run_report(run, &err);
	return false;
}

void
compact_run(CompactRun *run, const CompactPlan *plan)
{
	MemoryContext old = MemoryContextSwitchTo(plan->context);

	memset(run, 0, sizeof(CompactRun));
	run->plan = plan;
	lsm_result_init(&run->result, &plan->alloc);
	worker_pool_set_job(plan->job_id, plan->job->input_bytes);
	STOP_POINT("compact-before-run");
	if (!compact_parts_run(run))
		(void) compact_run_slices(run, NULL, 0, &run->result);
	STOP_POINT("compact-after-run");
	MemoryContextSwitchTo(old);
}

/* False if the store does not answer: then nothing more is asked of it, and the rest is orphans. */
static bool
discard(const CompactRun *run, LsmResult *result)
{
	bool		answers = true;
	SvError		err;

	for (int i = 0; i < result->noutputs && answers; i++)
	{
		SvStatus	status = store_remove(run->plan->store, result->outputs[i].run.object, run->plan->call, &err);

		answers = status != SV_IO && status != SV_CANCELLED;
	}
	result->noutputs = 0;
	return answers;
}

void
compact_run_discard(CompactRun *run)
{
	bool		answers;

	compact_parts_collect(run);
	answers = discard(run, &run->result);
	for (int i = 0; i < run->nparts && answers; i++)
		answers = discard(run, &run->parts[i]);
}
