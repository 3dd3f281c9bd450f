/*
 * fdw_update.h
 *		Updating and deleting rows.
 *
 * Both find the row by the key of the old row that the plan carries along,
 * lock the key (see "Locking a key" in ARCHITECTURE.md), and under READ COMMITTED
 * evaluate the plan once more on the newest row if somebody changed it since
 * the statement's snapshot: the executor does this for heaps, but leaves it to
 * the wrapper for foreign tables.
 *
 * As with heaps, a row that a join brings up a second time is left alone, and
 * a row that a BEFORE trigger has changed behind the statement's back is an
 * error (27000).  An UPDATE that exchanges keys moves each row that the
 * snapshot saw exactly once.
 */
#ifndef FDW_UPDATE_H
#define FDW_UPDATE_H

#include "postgres.h"

#include "foreign/fdwapi.h"

extern TupleTableSlot *fdw_update_row(EState *estate, ResultRelInfo *rinfo,
									  TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot *fdw_delete_row(EState *estate, ResultRelInfo *rinfo,
									  TupleTableSlot *slot, TupleTableSlot *plan_slot);

#endif							/* FDW_UPDATE_H */
