/*
 * fdw_modify_state.h
 *		What INSERT, UPDATE and DELETE of one result relation share.
 */
#ifndef FDW_MODIFY_STATE_H
#define FDW_MODIFY_STATE_H

#include "postgres.h"

#include "fdw/fdw_meter.h"
#include "fdw/fdw_touched.h"
#include "forest/forest_table.h"
#include "forest/forest_write.h"
#include "nodes/execnodes.h"

typedef struct FdwBulk FdwBulk;

typedef struct FdwModify
{
	ForestTable table;
	Relation	relation;
	ModifyTableState *mtstate;
	TimestampTz expires_at;		/* of every row written */
	bool		from_copy;		/* called by COPY, not by a plan */
	bool		do_nothing;		/* ON CONFLICT DO NOTHING */
	bool		one_by_one;		/* rows are not to be handed over many at a time */
	bool		may_repeat;		/* the plan may bring up a row more than once */
	FdwTouched *touched;		/* NULL: nothing to remember so far */
	MemoryContext row_context;	/* of one call; reset by the next */
	FdwBulk    *bulk;			/* of rows that are held back, or NULL: none are */
	FdwMeter	meter;
} FdwModify;

/* Makes the state for the result relation, and the table's identity if it has none. */
extern FdwModify *fdw_modify_state_create(ModifyTableState *mtstate, ResultRelInfo *rinfo);

/*
 * The encoded key of a row, in CurrentMemoryContext; values by attribute number - 1.
 * 54000 if it is too long.
 */
extern SvSlice fdw_modify_key(FdwModify *state, const Datum *values, const bool *isnull);

/* The put of the row in the slot. */
extern ForestWrite fdw_modify_put(FdwModify *state, TupleTableSlot *slot);

/* The same, in room that is used again: its former content goes. */
extern ForestWrite fdw_modify_put_in(FdwModify *state, TupleTableSlot *slot, StringInfo key, StringInfo value);

/* What the statement sees; COPY's executor state does not say. */
extern Snapshot fdw_modify_snapshot(EState *estate);

/* Notes what the statement did to the key. */
extern void fdw_modify_remember(FdwModify *state, SvSlice key, FdwTouch touch);

/* Policies WITH CHECK, NOT NULL, CHECK and the partition's bounds, which the executor leaves to us. */
extern void fdw_modify_check_row(FdwModify *state, EState *estate, ResultRelInfo *rinfo,
								 TupleTableSlot *slot, bool is_insert);

/* 23505 for the row in the slot, with its key as far as the user may see it. */
extern void fdw_modify_report_duplicate(FdwModify *state, TupleTableSlot *slot);

/* The same for an encoded key. */
extern void fdw_modify_report_duplicate_key(FdwModify *state, SvSlice key);

#endif							/* FDW_MODIFY_STATE_H */
