/*
 * fdw_modify.h
 *		Planning and beginning of INSERT, UPDATE, DELETE and TRUNCATE, and
 *		inserting rows.
 *
 * An INSERT puts the row, replacing the one that has the key, unless the
 * table's option insert is 'strict' or the statement says ON CONFLICT DO
 * NOTHING: then it locks the key first and looks.
 */
#ifndef FDW_MODIFY_H
#define FDW_MODIFY_H

#include "postgres.h"

#include "foreign/fdwapi.h"

extern int	fdw_modify_operations(Relation relation);
extern void fdw_modify_add_targets(PlannerInfo *root, Index rti, RangeTblEntry *rte,
								   Relation relation);
extern List *fdw_modify_plan(PlannerInfo *root, ModifyTable *plan, Index rti, int subplan_index);
extern void fdw_modify_begin(ModifyTableState *mtstate, ResultRelInfo *rinfo,
							 List *fdw_private, int subplan_index, int eflags);
extern void fdw_modify_begin_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo);
extern void fdw_modify_end(EState *estate, ResultRelInfo *rinfo);
extern int	fdw_modify_batch_size(ResultRelInfo *rinfo);
extern TupleTableSlot *fdw_modify_insert(EState *estate, ResultRelInfo *rinfo,
										 TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot **fdw_modify_insert_batch(EState *estate, ResultRelInfo *rinfo,
												TupleTableSlot **slots,
												TupleTableSlot **plan_slots, int *nslots);
extern void fdw_modify_truncate(List *relations, DropBehavior behavior, bool restart_seqs);

#endif							/* FDW_MODIFY_H */
