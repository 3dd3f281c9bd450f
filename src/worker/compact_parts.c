/*
 * compact_parts.c
 *		Parts of a compaction.
 */
#include "postgres.h"

#include "worker/compact_parts.h"

#include "catalog/pg_foreign_server.h"
#include "forest/forest_catalog.h"
#include "forest/forest_store.h"
#include "lsm/lsm_input.h"
#include "lsm/lsm_parts.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "worker/compact_claim.h"
#include "worker/worker_embedded.h"
#include "worker/worker_owner.h"
#include "worker/worker_pool.h"
#include "worker/worker_transaction.h"

/*
 * Cutting
 */

/* One tail at a time. */
static SvStatus
mark_run(CompactRun *run, const LsmRun *lsm_run, int32 table_id, LsmMarks *marks, SvError *err)
{
	LsmInput   *input;
	SstSource	source;
	uint64		bytes_read = 0;
	SvStatus	status = compact_run_open_input(run, lsm_run, &source, err);

	if (status != SV_OK)
		return status;
	status = lsm_input_open(&input, &source, lsm_run->file_bytes, lsm_run->tail_bytes,
							run->plan->read_ahead_bytes, &bytes_read, &run->plan->alloc, err);
	if (status == SV_OK)
		status = lsm_marks_add_blocks(marks, lsm_input_source(input).tail, lsm_run->tier == LSM_WAL, table_id, err);
	lsm_input_close(input);
	compact_run_close_input(run, &source);
	return status;
}

static SvStatus
cut_merge(CompactRun *run, int merge, int slices, LsmParts *parts, SvError *err)
{
	const LsmJob *job = run->plan->job;
	const LsmMergePlan *plan = &job->merges[merge];
	SvStatus	status = SV_OK;
	LsmMarks	marks;

	lsm_marks_init(&marks, &run->plan->alloc);
	for (int i = 0; slices > 1 && i < plan->nsources && status == SV_OK; i++)
	{
		status = mark_run(run, &job->inputs[plan->sources[i].input].run, plan->table_id, &marks, err);
		if (status == SV_OK && pg_status_must_stop())
			status = sv_fail(err, SV_CANCELLED, "compaction was cancelled");
	}
	if (status == SV_OK)
		status = lsm_parts_add(parts, job, merge, &marks, slices, err);
	lsm_marks_free(&marks);
	return status;
}

static SvStatus
cut_job(CompactRun *run, int wanted, LsmParts *parts, SvError *err)
{
	const LsmJob *job = run->plan->job;
	SvStatus	status = SV_OK;

	for (int i = 0; i < job->nmerges && status == SV_OK; i++)
		if (!job->merges[i].is_move)
			status = cut_merge(run, i, lsm_parts_slices(job, i, wanted), parts, err);
	if (status == SV_OK)
		lsm_parts_group(parts, wanted);
	return status;
}

/*
 * For the owner
 */

static void
add_counts(LsmCompactCounts *to, const LsmCompactCounts *counts)
{
	to->entries_in += counts->entries_in;
	to->entries_out += counts->entries_out;
	to->bytes_in += counts->bytes_in;
	to->bytes_out += counts->bytes_out;
}

static void
do_parts(CompactRun *run, const LsmParts *parts)
{
	int			part;

	compact_share_open(run->plan, parts);
	STOP_POINT("compact-shared");
	while ((part = compact_share_take()) >= 0)
	{
		LsmResult  *result = &run->parts[part];

		STOP_POINT("compact-own-part");
		(void) compact_run_slices(run, &parts->slices[parts->first[part]],
								  parts->first[part + 1] - parts->first[part], result);
		add_counts(&run->before, &result->counts);
		compact_share_done(part);
		STOP_POINT("compact-own-part-done");
	}
	STOP_POINT("compact-parts-done");
}

/* In the order of the parts, which is that of keys. */
static void
put_together(CompactRun *run)
{
	SvError		err;

	compact_share_close();
	for (int i = 0; i < run->nparts; i++)
	{
		(void) compact_share_result(i, &run->parts[i]);
		PG_STATUS_CHECK(lsm_result_append(&run->result, &run->parts[i], &err), &err);
	}
	run->nparts = 0;
	STOP_POINT("compact-parts-together");
}

bool
compact_parts_run(CompactRun *run)
{
	int			wanted = setting_max_workers > 1 ? lsm_parts_wanted(run->plan->job) : 1;
	LsmParts	parts;
	SvError		err;
	SvStatus	status;

	if (wanted < 2)
		return false;
	lsm_parts_init(&parts, &run->plan->alloc);
	status = cut_job(run, wanted, &parts, &err);
	if (status != SV_OK)
		compact_run_report(run, &err);
	if (parts.nparts < 2)
		return false;
	run->parts = palloc0(parts.nparts * sizeof(LsmResult));
	for (int i = 0; i < parts.nparts; i++)
		lsm_result_init(&run->parts[i], &run->plan->alloc);
	run->nparts = parts.nparts;
	do_parts(run, &parts);
	put_together(run);
	return true;
}

void
compact_parts_collect(CompactRun *run)
{
	MemoryContext old = CurrentMemoryContext;

	if (run->offer != NULL)
		return;
	compact_share_close();
	PG_TRY();
	{
		for (int i = 0; i < run->nparts; i++)
			if (run->parts[i].noutputs == 0)
				(void) compact_share_result(i, &run->parts[i]);
	}
	PG_CATCH();
	{
		/* What is not removed now is an orphan. */
		MemoryContextSwitchTo(old);
		FlushErrorState();
	}
	PG_END_TRY();
}

/*
 * For others
 */

/* False if the job is not to be helped with by this process; errors as well. */
static bool
prepare(ShareOffer *offer)
{
	CompactPlan *plan = offer->plan;
	int64		epoch = plan->vault.epoch;
	bool		found;

	worker_transaction_begin();
	found = catalog_exists() &&
		SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(plan->vault.server_oid));
	if (found)
	{
		worker_check_store_is_safe(&plan->vault);
		plan->store = forest_store_open(plan->vault.server_oid);
		plan->call = forest_store_call(plan->vault.server_oid, STORE_COMPACTION);
	}
	worker_transaction_commit();
	MemoryContextSwitchTo(plan->context);
	if (found)
		worker_owner_require(&plan->vault, plan->store);

	/* Names below an epoch are of whoever had it when the job began. */
	if (!found || plan->vault.epoch != epoch)
	{
		compact_share_give_up(offer);
		return false;
	}
	return true;
}

static void
do_part(ShareOffer *offer, CompactRun *run, int part)
{
	const LsmParts *parts = &offer->parts;
	bool		done;

	lsm_result_init(&run->result, &offer->plan->alloc);
	STOP_POINT("part-taken");
	done = compact_run_slices(run, &parts->slices[parts->first[part]],
							  parts->first[part + 1] - parts->first[part], &run->result);
	STOP_POINT("part-before-hand-in");
	if (done && compact_share_hand_in(offer, part, &run->result))
		run->result.noutputs = 0;	/* the owner's from now on */
	STOP_POINT("part-handed-in");
	compact_run_discard(run);
	lsm_result_free(&run->result);
}

/*
 * One: before the next this worker looks for a job of its own, so that one which
 * is due waits for no more than a part however many are open.  That is why
 * helpers may take all places: one kept free would mostly do nothing.
 */
static bool
do_open_part(ShareOffer *offer, CompactRun *run)
{
	int			part;

	if (!prepare(offer))
		return false;
	run->plan = offer->plan;
	run->offer = offer;
	STOP_POINT("part-prepared");
	part = compact_share_take_of(offer);
	if (part >= 0)
		do_part(offer, run, part);
	return part >= 0;
}

/*
 * What failed is left to the owner, whose failure it becomes if it stays.  That
 * inputs are gone is nothing for the log.
 */
static void
leave_to_owner(ShareOffer *offer, CompactRun *run, MemoryContext context)
{
	if (geterrcode() != COMPACT_TOO_LATE && compact_share_is_there(offer))
		(void) worker_transaction_recover(context);
	else
		(void) worker_transaction_recover_silently(context);
	compact_share_give_up(offer);
	if (run->plan != NULL)
		compact_run_discard(run);
}

bool
compact_parts_help(void)
{
	MemoryContext context = CurrentMemoryContext;
	ShareOffer *offer = palloc0(sizeof(ShareOffer));
	CompactRun *run = palloc0(sizeof(CompactRun));
	volatile bool did_any = false;

	PG_TRY();
	{
		if (compact_share_look(offer))
		{
			pgstat_report_activity(STATE_RUNNING, "skyvault part of a compaction");
			did_any = do_open_part(offer, run);
		}
	}
	PG_CATCH();
	{
		leave_to_owner(offer, run, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	compact_share_leave(offer);
	return did_any;
}
