/*
 * compact_claim.h
 *		The jobs of compaction in skyvault.job: what each has claimed, so that
 *		no two overlap, and what has failed, so that it is not tried at once.
 *
 * Who reads claims to make one of its own holds the vault's claims lock, and
 * reads under a snapshot taken after it, until the claim is committed.  A
 * running job's process holds the job's lock (forest_catalog.h) as well, from
 * before the row is committed: so a row that says "running" while its lock is
 * free is of a process that died, and whoever reads it takes the job away.
 *
 * What failed, or had to leave a table out, is claimed by nobody until its
 * retry_at: its runs and targets are left alone.  The pause doubles with each failure of a job that has one of
 * the same inputs.  A vault whose store fails several jobs one after the other
 * is left alone as a whole.
 */
#ifndef COMPACT_CLAIM_H
#define COMPACT_CLAIM_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "lsm/lsm_job.h"
#include "utils/snapshot.h"

typedef struct CompactClaims
{
	int			n;
	LsmClaim   *claims;			/* those of running jobs first */
	int			nrunning;
	TimestampTz retry_at;		/* when the first of the others ends; DT_NOEND: there is none */
	TimestampTz vault_retry_at; /* before then nothing of the vault is tried; 0: now */
	int			ndead;
	int64	   *dead;			/* jobs whose process has died: they are not among the claims */
	int			nfailed;
	struct CompactFailure *failures;	/* all that are still known */
} CompactClaims;

/* All memory in CurrentMemoryContext. */
extern void compact_claims_read(int32 vault_id, Snapshot snapshot, CompactClaims *claims);

/* How often a job with one of these inputs has failed before. */
extern int	compact_claims_failures(const CompactClaims *claims, const LsmClaim *claim);

/*
 * Claims, in the current transaction, which is to be committed right away:
 * inserts the row and takes the job's lock.  Returns the job's id.
 */
extern int64 compact_claim(int32 vault_id, const LsmJob *job, const LsmClaim *claim, int attempts);

/* What a job has to say in the end. */
typedef struct CompactOutcome
{
	int			noutputs;
	const int64 *outputs;		/* run ids */
	int64		entries_in;
	int64		bytes_in;
	int64		entries;		/* written */
	int64		bytes;
	int			parts;			/* that it was done in */
	int			workers;		/* that did them */
	const char *left_out;		/* tables, or NULL */
	int			pause_s;		/* before what was left out is tried again; 0: nothing was */
} CompactOutcome;

/* In the current transaction.  The job's lock is let go by compact_claim_release, after the commit. */
extern void compact_claim_done(int64 job_id, const CompactOutcome *outcome);

/*
 * error->sqlerrcode, message and hint; this was try number attempts, and the
 * next comes after a pause.  What came too late (COMPACT_TOO_LATE) is chosen
 * anew at once, and only if that goes on after pauses.
 */
extern void compact_claim_failed(int64 job_id, const ErrorData *error, int attempts);

/* The SQLSTATE of jobs that came too late, and what most of them say. */
#define COMPACT_TOO_LATE	ERRCODE_T_R_SERIALIZATION_FAILURE
#define COMPACT_RUN_IS_GONE	"a run that was to be merged is not there any more"

/* The row of a process that died. */
extern void compact_claim_dead(int64 job_id);

/* A row for a vault of which not even a job could be chosen; its id. */
extern int64 compact_claim_no_choice(int32 vault_id, const ErrorData *error, int pause_s);

extern void compact_claim_release(int64 job_id);

/* Seconds after so many failures of the same. */
extern int	compact_pause(int failures);

#endif							/* COMPACT_CLAIM_H */
