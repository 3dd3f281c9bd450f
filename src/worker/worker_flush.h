/*
 * worker_flush.h
 *		What a scheduler does for its database: flush passes, and numbering.
 */
#ifndef WORKER_FLUSH_H
#define WORKER_FLUSH_H

#include "postgres.h"

typedef enum
{
	FLUSH_DONE,
	FLUSH_FAILED
} FlushResult;

/*
 * One pass over every vault of this database (or one, if vault_id is not 0):
 * flushes what was committed before the call.  Outside a transaction; starts
 * its own.  Errors are caught inside, recorded in skyvault.job, and reported
 * by the result.
 */
extern FlushResult worker_flush_pass(int32 vault_id);

/* Numbers visible unnumbered changelog rows.  Same rules. */
extern void worker_flush_number_pending(void);

#endif							/* WORKER_FLUSH_H */
