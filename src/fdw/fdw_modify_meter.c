/*
 * fdw_modify_meter.c
 *		See fdw_modify_meter.h.
 */
#include "postgres.h"

#include "fdw/fdw_modify_meter.h"

#include "fdw/fdw_modify.h"
#include "fdw/fdw_modify_state.h"
#include "fdw/fdw_update.h"

TupleTableSlot *
fdw_metered_insert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	FdwModify  *state = rinfo->ri_FdwState;
	TupleTableSlot *result;

	fdw_meter_begin(&state->meter);
	result = fdw_modify_insert(estate, rinfo, slot, plan_slot);
	fdw_meter_end(&state->meter);
	return result;
}

TupleTableSlot **
fdw_metered_insert_batch(EState *estate, ResultRelInfo *rinfo, TupleTableSlot **slots,
						 TupleTableSlot **plan_slots, int *nslots)
{
	FdwModify  *state = rinfo->ri_FdwState;
	TupleTableSlot **result;

	fdw_meter_begin(&state->meter);
	result = fdw_modify_insert_batch(estate, rinfo, slots, plan_slots, nslots);
	fdw_meter_end(&state->meter);
	return result;
}

TupleTableSlot *
fdw_metered_update(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	FdwModify  *state = rinfo->ri_FdwState;
	TupleTableSlot *result;

	fdw_meter_begin(&state->meter);
	result = fdw_update_row(estate, rinfo, slot, plan_slot);
	fdw_meter_end(&state->meter);
	return result;
}

TupleTableSlot *
fdw_metered_delete(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	FdwModify  *state = rinfo->ri_FdwState;
	TupleTableSlot *result;

	fdw_meter_begin(&state->meter);
	result = fdw_delete_row(estate, rinfo, slot, plan_slot);
	fdw_meter_end(&state->meter);
	return result;
}
