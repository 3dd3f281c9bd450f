/*
 * compact_plan.c
 *		Chooses jobs of compaction.
 *
 * Under the vault's claims lock, with a snapshot taken after it: so of two
 * workers the second sees what the first has claimed, and what has been
 * published.  Nothing else takes that lock, and nothing is waited for with it.
 */
#include "postgres.h"

#include "worker/compact_plan.h"

#include "forest/forest_catalog.h"
#include "forest/forest_pause.h"
#include "forest/forest_store.h"
#include "forest/forest_table.h"
#include "lsm/lsm_choose.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "worker/compact_claim.h"
#include "worker/compact_question.h"
#include "worker/compact_request.h"
#include "worker/vault_chore.h"
#include "worker/worker_chore.h"
#include "worker/worker_embedded.h"
#include "worker/worker_transaction.h"

/* How often runs whose entries expire are looked at if nothing else happens: at least, and at most. */
#define EXPIRY_CHECK_MS 60000
#define EXPIRY_LEAST_MS 1000

/* The most that an input is read ahead. */
#define MOST_READ_AHEAD		(8 * 1024 * 1024)

/* What one look at a vault needs; all of it in the memory of the transaction or the plan. */
typedef struct Look
{
	const ForestVault *vault;
	Snapshot	snapshot;
	CompactClaims claims;
	CompactQuestion ask;
	LsmQuestion question;		/* with the claims */
} Look;

/* In CurrentMemoryContext; the snapshot is the caller's to let go. */
static void
look_at(Look *look, const ForestVault *vault)
{
	memset(look, 0, sizeof(Look));
	look->vault = vault;
	catalog_lock_claims(vault->id);
	look->snapshot = RegisterSnapshot(GetLatestSnapshot());
	STOP_POINT("compact-looked");
	compact_claims_read(vault->id, look->snapshot, &look->claims);
	for (int i = 0; i < look->claims.ndead; i++)
		compact_claim_dead(look->claims.dead[i]);

	compact_question_make(&look->ask, vault->id, look->snapshot);
	look->question = look->ask.question;
	look->question.nclaims = look->claims.n;
	look->question.claims = look->claims.claims;
}

/* Whether a request, or else what is due, has a job.  The job is in the look's memory. */
static LsmJob *
choose_due(const Look *look)
{
	LsmJob	   *job;
	SvError		err;
	SvStatus	status;

	if (look->claims.vault_retry_at > GetCurrentTimestamp())
		return NULL;
	status = lsm_choose(&look->question, &job, &err);
	if (status == SV_NOT_FOUND)
		return NULL;
	PG_STATUS_CHECK(status, &err);
	return job;
}

/* Requests do not wait for the pauses of what has failed. */
static LsmJob *
choose_requested(const Look *look, uint64 *number)
{
	LsmQuestion question = look->question;
	CompactRequest *requests;
	int			n = compact_requests_list(&requests);

	question.nclaims = look->claims.nrunning;
	for (int i = 0; i < n; i++)
	{
		LsmJob	   *job;
		bool		waits;
		SvError		err;
		SvStatus	status;

		if (requests[i].vault_id != look->vault->id)
			continue;
		status = lsm_choose_table(&question, requests[i].table_id, requests[i].full,
								  requests[i].up_to_seq, &job, &waits, &err);
		if (status == SV_NOT_FOUND && !waits)
			compact_request_done(requests[i].number);
		if (status == SV_NOT_FOUND)
			continue;
		PG_STATUS_CHECK(status, &err);
		*number = requests[i].number;
		return job;
	}
	return NULL;
}

/*
 * For a worker
 */

static size_t
read_ahead_of(const LsmJob *job)
{
	size_t		most = 1;

	for (int i = 0; i < job->nmerges; i++)
		most = Max(most, (size_t) job->merges[i].nsources);
	return Min(Max((size_t) setting_worker_memory_kb * 1024 / 4 / most, COMPACT_LEAST_READ_AHEAD), MOST_READ_AHEAD);
}

static void
note_storage(CompactPlan *plan, Snapshot snapshot)
{
	const LsmJob *job = plan->job;

	plan->tables = palloc(Max(job->nmerges, 1) * sizeof(CompactTable));
	for (int i = 0; i < job->nmerges; i++)
	{
		int32		table_id = job->merges[i].table_id;

		if (plan->ntables > 0 && plan->tables[plan->ntables - 1].table_id == table_id)
			continue;
		plan->tables[plan->ntables].table_id = table_id;
		plan->tables[plan->ntables++].storage = forest_storage(forest_table_relid(table_id, snapshot));
	}
}

static void
claim_job(CompactPlan *plan, const Look *look)
{
	LsmClaim	claim;
	SvError		err;

	PG_STATUS_CHECK(lsm_job_claim(plan->job, &claim, &err), &err);
	plan->attempts = compact_claims_failures(&look->claims, &claim) + 1;
	plan->expired_before = look->question.expired_before;
	plan->read_ahead_bytes = read_ahead_of(plan->job);
	plan->store = forest_store_open(plan->vault.server_oid);
	plan->call = forest_store_call(plan->vault.server_oid, STORE_COMPACTION);
	note_storage(plan, look->snapshot);
	plan->job_id = compact_claim(plan->vault.id, plan->job, &claim, plan->attempts);
}

/* Whether there is another job when this one is claimed. */
static bool
is_there_more(const CompactPlan *plan, Look *look)
{
	LsmClaim   *claims = palloc((look->claims.n + 1) * sizeof(LsmClaim));
	LsmJob	   *job;
	SvError		err;

	if (look->claims.n > 0)
		memcpy(claims, look->claims.claims, look->claims.n * sizeof(LsmClaim));
	PG_STATUS_CHECK(lsm_job_claim(plan->job, &claims[look->claims.n], &err), &err);
	look->question.claims = claims;
	look->question.nclaims = look->claims.n + 1;
	job = choose_due(look);
	if (job == NULL)
		return false;
	lsm_job_free(job);
	return true;
}

/* In a transaction, and the plan's context.  Fills in the plan if there is a job. */
static bool
plan_vault(CompactPlan *plan, bool *more)
{
	Look	   *look = palloc(sizeof(Look));
	bool		found;

	look_at(look, &plan->vault);
	found = !forest_is_paused(plan->vault.id, look->snapshot) &&
		((plan->job = choose_requested(look, &plan->request)) != NULL ||
		 (plan->job = choose_due(look)) != NULL);
	if (found)
	{
		plan->alloc = look->ask.alloc;
		worker_check_store_is_safe(&plan->vault);
		claim_job(plan, look);
		*more = is_there_more(plan, look);
		STOP_POINT("compact-claimed");
	}
	UnregisterSnapshot(look->snapshot);
	return found;
}

static CompactPlan *
plan_create(const ForestVault *vault)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault compaction",
												  ALLOCSET_DEFAULT_SIZES);
	CompactPlan *plan = MemoryContextAllocZero(context, sizeof(CompactPlan));

	plan->context = context;
	plan->vault = *vault;
	return plan;
}

/* One transaction; false if the vault has nothing to do. */
static bool
try_plan(CompactPlan *plan)
{
	bool		more = false;
	bool		found;

	worker_transaction_begin();
	MemoryContextSwitchTo(plan->context);
	found = catalog_exists() && plan_vault(plan, &more);
	worker_transaction_commit();
	if (more)
		worker_chore_wake(CHORE_COMPACT);
	return found;
}

/* What cannot even be chosen is tried again after a pause; requests are told. */
static void
record_no_choice(const ForestVault *vault, const ErrorData *error)
{
	MemoryContext context = CurrentMemoryContext;
	CompactRequest *requests;
	volatile int64 job_id = 0;
	int			n;

	PG_TRY();
	{
		worker_transaction_begin();
		if (catalog_exists())
			job_id = compact_claim_no_choice(vault->id, error, setting_retry_max_s);
		worker_transaction_commit();
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	n = compact_requests_list(&requests);
	for (int i = 0; i < n; i++)
		if (requests[i].vault_id == vault->id)
			compact_request_failed(requests[i].number, job_id);
}

/* NULL if there is nothing to do, or if that could not be found out. */
static CompactPlan *
plan_for(const ForestVault *vault)
{
	MemoryContext old = CurrentMemoryContext;
	CompactPlan *volatile plan = plan_create(vault);
	ErrorData  *volatile error = NULL;
	volatile bool found = false;

	PG_TRY();
	{
		found = try_plan(plan);
	}
	PG_CATCH();
	{
		error = worker_transaction_recover(plan->context);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(plan->context);
	if (error != NULL)
		record_no_choice(vault, error);
	MemoryContextSwitchTo(old);
	if (found)
		return plan;
	compact_plan_free(plan);
	return NULL;
}

static bool
has_requests(int32 vault_id)
{
	CompactRequest *requests;
	int			n = compact_requests_list(&requests);

	for (int i = 0; i < n; i++)
		if (requests[i].vault_id == vault_id)
			return true;
	return false;
}

/*
 * Those whose server exists, in CurrentMemoryContext.  Where another database
 * is known to write nothing is done, but who asks for it is told.
 */
static int
list_vaults(ForestVault **vaults)
{
	MemoryContext old = CurrentMemoryContext;
	int			n = 0;
	int			kept = 0;

	worker_transaction_begin();
	MemoryContextSwitchTo(old);
	if (catalog_exists())
		n = forest_vault_list(vaults);
	worker_transaction_commit();
	MemoryContextSwitchTo(old);
	for (int i = 0; i < n; i++)
		if (OidIsValid((*vaults)[i].server_oid) &&
			(vault_chore_is_ours(&(*vaults)[i]) || has_requests((*vaults)[i].id)))
			(*vaults)[kept++] = (*vaults)[i];
	return kept;
}

CompactPlan *
compact_plan_next(void)
{
	static uint32 turn = 0;		/* begin with another vault each time */
	ForestVault *vaults;
	int			n = list_vaults(&vaults);

	turn++;
	for (int i = 0; i < n; i++)
	{
		CompactPlan *plan = plan_for(&vaults[(turn + i) % n]);

		if (plan != NULL)
			return plan;
		CHECK_FOR_INTERRUPTS();
	}
	return NULL;
}

void
compact_plan_free(CompactPlan *plan)
{
	if (plan->job_id != 0)
		compact_claim_release(plan->job_id);
	MemoryContextDelete(plan->context);
}

/*
 * For a scheduler
 */

/*
 * When to look although nothing happens: once all that expires in one of the runs
 * has expired, and else from time to time, as it does bit by bit.  WAL runs are
 * not rewritten for that.
 */
static TimestampTz
next_expiry(const LsmForest *forest, int64 expired_before)
{
	int64		then = expired_before + EXPIRY_CHECK_MS * INT64CONST(1000);
	bool		expires = false;

	for (int i = 0; i < lsm_forest_run_count(forest); i++)
	{
		const LsmRun *run = lsm_forest_run(forest, i);

		for (int j = 0; run->tier != LSM_WAL && j < run->nparts; j++)
		{
			if (run->parts[j].expiring == 0)
				continue;
			expires = true;
			if (run->parts[j].expires_max >= expired_before)
				then = Min(then, run->parts[j].expires_max + 1);
		}
	}
	if (!expires)
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   Max((then - expired_before) / 1000 + 1, EXPIRY_LEAST_MS));
}

/* In a transaction. */
static bool
look_for_work(const ForestVault *vault, TimestampTz *again_at)
{
	Look	   *look = palloc(sizeof(Look));
	uint64		request;
	bool		found;

	look_at(look, vault);
	found = !forest_is_paused(vault->id, look->snapshot) &&
		(choose_requested(look, &request) != NULL || choose_due(look) != NULL);
	*again_at = Min(*again_at, look->claims.retry_at);
	*again_at = Min(*again_at, next_expiry(look->ask.forest, look->question.expired_before));
	UnregisterSnapshot(look->snapshot);
	return found;
}

/* A vault that cannot be looked at does not keep others from their turn; a worker says what is the matter. */
static bool
try_look(const ForestVault *vault, TimestampTz *again_at)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool found = false;

	PG_TRY();
	{
		worker_transaction_begin();
		if (catalog_exists())
			found = look_for_work(vault, again_at);
		worker_transaction_commit();
	}
	PG_CATCH();
	{
		(void) worker_transaction_recover(context);
		found = has_requests(vault->id);
		*again_at = Min(*again_at, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   (int64) setting_retry_max_s * 1000));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return found;
}

bool
compact_plan_look(TimestampTz *again_at)
{
	ForestVault *vaults;
	int			n = list_vaults(&vaults);
	bool		found = false;

	*again_at = DT_NOEND;
	for (int i = 0; i < n; i++)
		found |= try_look(&vaults[i], again_at);
	return found;
}
