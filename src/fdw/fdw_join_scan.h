/*
 * fdw_join_scan.h
 *		Executing batched joins.
 */
#ifndef FDW_JOIN_SCAN_H
#define FDW_JOIN_SCAN_H

#include "postgres.h"

#include "fdw/fdw_join_batch.h"
#include "fdw/fdw_join_route.h"
#include "fdw/fdw_join_table.h"
#include "fdw/fdw_meter.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

/* What a key column is equal to. */
typedef struct FdwJoinOperand
{
	ExprState  *value;
	Oid			type;			/* base types */
	Oid			column_type;
} FdwJoinOperand;

typedef struct FdwJoinState
{
	CustomScanState custom;
	JoinType	type;
	Index		relid;			/* of the joined table, in the range table */
	Relation	relation;
	int			ntables;		/* where keys are looked up: it, or its partitions */
	FdwJoinTable *tables;
	FdwJoinRoute *route;		/* NULL: it has none */
	int			nkeys;
	FdwJoinOperand *operands;
	Datum	   *key_values;
	bool	   *key_isnull;		/* all false */
	ExprState  *inner_quals;
	ExprState  *join_quals;
	int			ncolumns;
	FdwJoinColumn *columns;		/* of the table, to be filled */

	FdwJoinBatch batch;
	bool		begun;			/* there is something to execute, not only to explain */
	bool		outer_done;
	int			next;			/* row of the batch */
	int			key;			/* of the row before it, the key to try next */
	int			key_end;
	bool		matched;		/* and whether one has matched */
	int			first_limit;	/* rows of the first batch */
	int			limit;			/* and of the next one */
	int			most;			/* and of any */
	Size		bytes_limit;
	Size		row_bytes;		/* of a row of the table, as the planner knew them */

	/* for fdw_join_recheck.h, once it is begun */
	TupleTableSlot *recheck_slot;
	ExprState  *key_quals;

	/* for EXPLAIN */
	FdwMeter	meter;
	int64		batches;
	int64		keys_asked;
	int64		keys_found;
	int64		removed_inner;	/* rows that the table's conditions removed */
	int64		removed_join;
} FdwJoinState;

/* Makes the scan tuple of a row of the outer plan; the table's columns stay as they are. */
extern void fdw_join_load_outer(FdwJoinState *join, TupleTableSlot *outer);

/* CustomScanMethods.CreateCustomScanState */
extern Node *fdw_join_create_state(CustomScan *plan);

#endif							/* FDW_JOIN_SCAN_H */
