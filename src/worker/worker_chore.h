/*
 * worker_chore.h
 *		What a scheduler does beside flushing: the table of its chores.
 *
 * A chore is a function that does what is due, in steps that are short enough
 * for a flush to wait for, and says when it wants to be called again.  Chores
 * run one after the other, in the order of the table, outside a transaction;
 * they start transactions of their own, and hold none while they wait for a
 * store.
 *
 * An error of a chore is caught, logged, and ends the transaction; the chore
 * is called again after a pause that doubles up to skyvault.retry_max_interval
 * and starts anew after a success.  Others are not kept waiting.  So a chore
 * that works on several vaults or tables, and has reasons to fail for one of
 * them, catches errors itself and goes on with the next.
 *
 * To add one: a name in WorkerChoreId, and a line in worker_chore.c.
 */
#ifndef WORKER_CHORE_H
#define WORKER_CHORE_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef enum WorkerChoreId
{
	CHORE_TAKE,					/* takes vaults for loads */
	CHORE_FILTER,				/* upkeep of the filter over the delta's keys */
	CHORE_EXPORT,				/* the changelog to the store */
	CHORE_COMPACT,				/* starts compaction workers */
	CHORE_PRESSURE,				/* debts of runs */
	CHORE_SNAPSHOT,				/* the forest to the store */
	CHORE_LOCAL,				/* what of remote stores is on local disk */
	CHORE_GC,					/* objects that nobody can need */
	CHORE_COUNT
} WorkerChoreId;

/* A set of chores: bit 1 << id. */
#define CHORE_BIT(id) ((uint32) 1 << (id))

typedef struct WorkerChore
{
	const char *activity;		/* for pg_stat_activity; NULL: too short to be shown */

	/*
	 * Called when the time that the last call returned has come, or when
	 * somebody has woken the chore since.  Returns when to call again at the
	 * latest; DT_NOEND: not before it is woken.  CurrentMemoryContext is reset
	 * afterwards.
	 */
	TimestampTz (*run) (void);

	void		(*leave) (void);	/* the extension is gone, and the scheduler ends; NULL: nothing to do */
} WorkerChore;

/*
 * Makes this database's scheduler run the chore soon, whatever pause it is in.
 * For any process; must not fail, needs no transaction.  Declared here, defined
 * in worker_shmem.c.
 */
extern void worker_chore_wake(WorkerChoreId id);

/* ---- For the scheduler ---- */

/* Runs those that are due or woken; returns when the next is due. */
extern TimestampTz worker_chores_run(uint32 woken);
extern void worker_chores_leave(void);

#endif							/* WORKER_CHORE_H */
