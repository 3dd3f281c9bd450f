/*
 * fdw_bulk.h
 *		The rows of an INSERT or COPY that are held back (fdw_bulk_plan.h).
 *
 * Up to skyvault.bulk_threshold they wait in memory, and go to the delta in one
 * batch if the statement ends there.  The table of a statement that has more
 * gets a bulk load (forest_load.h), which is published at the end.
 * The partitions of one statement share the threshold.
 */
#ifndef FDW_BULK_H
#define FDW_BULK_H

#include "postgres.h"

#include "fdw/fdw_modify_state.h"
#include "nodes/execnodes.h"

/*
 * Sets state->bulk, unless rows of the statement are to be written as they come.
 * Lives in the executor state's memory.  If skyvault_load asks for it
 * (load_request.h), the load begins here.
 */
extern void fdw_bulk_begin(FdwModify *state, ResultRelInfo *rinfo, bool calls_volatile);

/* Takes the row over. */
extern void fdw_bulk_add(FdwModify *state, TupleTableSlot *slot);

/* The end of the statement: writes what is held back, or publishes the load. */
extern void fdw_bulk_end(FdwModify *state);

/* Whether skyvault_load has asked for it. */
extern bool fdw_bulk_on_request(const FdwModify *state);

/* Whether a load has begun. */
extern bool fdw_bulk_loads(const FdwModify *state);

#endif							/* FDW_BULK_H */
