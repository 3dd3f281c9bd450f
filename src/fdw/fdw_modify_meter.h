/*
 * fdw_modify_meter.h
 *		The callbacks of modifications, measured: those of fdw_modify.h and
 *		fdw_update.h with the state's meter around them.
 */
#ifndef FDW_MODIFY_METER_H
#define FDW_MODIFY_METER_H

#include "postgres.h"

#include "foreign/fdwapi.h"

extern TupleTableSlot *fdw_metered_insert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
										  TupleTableSlot *plan_slot);
extern TupleTableSlot **fdw_metered_insert_batch(EState *estate, ResultRelInfo *rinfo, TupleTableSlot **slots,
												 TupleTableSlot **plan_slots, int *nslots);
extern TupleTableSlot *fdw_metered_update(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
										  TupleTableSlot *plan_slot);
extern TupleTableSlot *fdw_metered_delete(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
										  TupleTableSlot *plan_slot);

#endif							/* FDW_MODIFY_METER_H */
