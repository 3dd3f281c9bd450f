/*
 * worker_job.h
 *		Rows of skyvault.job: what workers did, for people and for those who
 *		asked for it.
 */
#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include "postgres.h"

#define JOB_FLUSH	"flush"
#define JOB_COMPACT "compact"		/* see compact_claim.h */

/* What a finished job has to say. */
typedef struct JobResult
{
	int64		entries;		/* written to the store */
	int64		bytes;			/* of the object */
	int64		run_id;			/* 0: no run was made */
	const char *left_out;		/* tables that were left out and why, or NULL */
} JobResult;

/* These run in the caller's transaction. */
extern int64 job_start(int32 vault_id, const char *kind);
extern void job_finish(int64 job_id, const JobResult *result);

/*
 * For a job that may not have started: job_id 0 makes a row.  attempts: tries of
 * the same in a row; the next not before so many seconds, 0: the row does not say.
 */
extern void job_fail(int64 job_id, int32 vault_id, const char *kind, const ErrorData *error, int attempts, int pause_s);

/* Ends jobs that an earlier scheduler had begun; removes old jobs, and what dropped vaults left in the registry. */
extern void job_clean_up(void);

/*
 * The id of the newest job in sight.  Leaves no lock behind: its caller waits
 * for a worker, in a way that the deadlock detector does not see.
 */
extern int64 job_newest(void);

/*
 * Outcome of the flush jobs with ids above `marker`, of one vault or, if vault_id is 0, of all; read with the latest
 * snapshot.  Strings are palloc'd.
 */
typedef struct JobOutcome
{
	int64		entries;
	int			sqlerrcode;		/* of the first failed job, if error is not NULL */
	char	   *error;			/* its message, or NULL */
	char	   *detail;
	char	   *hint;
	char	   *left_out;		/* of all jobs, or NULL */
} JobOutcome;

/* The same of one job; nothing if there is no such row. */
extern void job_outcome_of(int64 job_id, JobOutcome *outcome);

extern void job_outcome_since(int64 marker, int32 vault_id, JobOutcome *outcome);

#endif							/* WORKER_JOB_H */
