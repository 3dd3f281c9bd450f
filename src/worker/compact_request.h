/*
 * compact_request.h
 *		Compactions by hand: skyvault_compact asks, workers answer.
 *
 * A request lies in shared memory, guarded by the lock of worker_slot.h, from
 * when it is made until the backend that made it has taken its answer or gone
 * away.  It is done when there is no job left that would bring the table
 * further, and has failed when a job that was chosen for it has.
 */
#ifndef COMPACT_REQUEST_H
#define COMPACT_REQUEST_H

#include "postgres.h"

#define COMPACT_REQUESTS 64

typedef enum RequestState
{
	REQUEST_NONE,				/* the place is free */
	REQUEST_ASKED,
	REQUEST_DONE,
	REQUEST_FAILED
} RequestState;

typedef struct CompactRequest
{
	RequestState state;
	uint64		number;			/* of no other request */
	Oid			dboid;
	int32		vault_id;
	int32		table_id;
	bool		full;
	int64		up_to_seq;		/* what is newer need not be compacted */
	int64		job_id;			/* REQUEST_FAILED: what failed */
	int			lost;			/* jobs for it that came too late */
} CompactRequest;

/* For skyvault_compact: asks, and waits, interruptibly.  */
typedef enum RequestAnswer
{
	ANSWER_DONE,
	ANSWER_FAILED,				/* *job_id says which job */
	ANSWER_NOBODY				/* *why says why nobody will do it */
} RequestAnswer;

extern RequestAnswer compact_request(int32 vault_id, int32 table_id, bool full, int64 up_to_seq,
									 int64 *job_id, const char **why);

/* ---- For schedulers and workers ---- */

/* Those of this database that are not answered, in a palloc'd array; the count. */
extern int	compact_requests_list(CompactRequest **requests);

/* Nothing happens if whoever asked has gone. */
extern void compact_request_done(uint64 number);
extern void compact_request_failed(uint64 number, int64 job_id);

/* A job for it came too late and is to be chosen anew; too often, and it has failed. */
extern void compact_request_lost(uint64 number, int64 job_id);

#endif							/* COMPACT_REQUEST_H */
