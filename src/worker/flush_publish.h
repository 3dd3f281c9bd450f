/*
 * flush_publish.h
 *		Step 3 of ARCHITECTURE.md's "Life of a flush": the short transaction that makes a
 *		written run part of the forest.
 */
#ifndef FLUSH_PUBLISH_H
#define FLUSH_PUBLISH_H

#include "postgres.h"

#include "worker/flush_batch.h"

typedef struct FlushOutcome
{
	int64		run_id;			/* 0: no table needed the object, which is now an orphan */
	int64		entries;		/* registered */
	char	   *left_out;		/* which tables and why, or NULL */
	int64		kept_rows;		/* rows that the batch read and that stay in the delta: left out, locked or changed */
} FlushOutcome;

/*
 * In the current transaction, which the caller commits right away, and under a
 * snapshot of its own: takes the tables' locks, leaves out the tables that are
 * locked or changed, deletes the delta rows that the batch wrote, registers
 * the run (if object is not NULL) and writes the changelog row.  Waits for no
 * user.
 */
extern void flush_publish(const FlushBatch *batch, const char *object, FlushOutcome *outcome);

#endif							/* FLUSH_PUBLISH_H */
