/*
 * fdw_move.h
 *		UPDATEs that move a row out of a partition.
 *
 * Core moves rows out of partitions that are heaps, and into foreign ones; out
 * of a foreign one it leaves to the wrapper.  As there, the row is deleted here
 * and inserted from the root on, wherever its new key belongs: row triggers
 * for DELETE fire here and those for INSERT there, after those BEFORE UPDATE,
 * and none AFTER UPDATE.
 */
#ifndef FDW_MOVE_H
#define FDW_MOVE_H

#include "postgres.h"

#include "access/htup.h"
#include "fdw/fdw_modify_state.h"
#include "nodes/execnodes.h"

/* Whether the new row in the slot belongs to another partition of the table that the UPDATE names. */
extern bool fdw_move_is_needed(FdwModify *state, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot);

/*
 * Before the row is deleted: tests policies, finds the new partition, and fires the triggers
 * BEFORE DELETE.  NULL if one of them keeps the row as it is.  23514 if no partition takes the row.
 */
extern ResultRelInfo *fdw_move_begin(FdwModify *state, EState *estate, ResultRelInfo *rinfo, HeapTuple old,
									 TupleTableSlot *slot);

/*
 * When it is deleted: inserts it.  True if the executor has to return the new row, which is in
 * the slot then; else the row is done and counted.
 */
extern bool fdw_move_finish(FdwModify *state, EState *estate, ResultRelInfo *rinfo, ResultRelInfo *target,
							HeapTuple old, TupleTableSlot *slot);

#endif							/* FDW_MOVE_H */
