/*
 * fdw_join_scan.h
 *		Executing batched joins.
 */
#ifndef FDW_JOIN_SCAN_H
#define FDW_JOIN_SCAN_H

#include "postgres.h"

#include "fdw/fdw_join_batch.h"
#include "fdw/fdw_meter.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

typedef struct FdwJoinColumn
{
	int			place;			/* in the scan tuple */
	AttrNumber	attno;			/* of the table; 0: the whole row */
} FdwJoinColumn;

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
	Relation	relation;
	ForestTable table;			/* a copy: a cursor outlives the statement */
	FdwRows		rows;
	int			nkeys;
	FdwJoinOperand *operands;
	Datum	   *key_values;
	bool	   *key_isnull;		/* all false */
	ExprState  *inner_quals;
	ExprState  *join_quals;
	int			ncolumns;
	FdwJoinColumn *columns;		/* of the table, to be filled */
	Datum	   *table_values;	/* by attribute number - 1 */
	bool	   *table_isnull;

	FdwJoinBatch batch;
	bool		begun;			/* there is something to execute, not only to explain */
	bool		outer_done;
	int			next;			/* row of the batch */
	int			first_limit;	/* rows of the first batch */
	int			limit;			/* and of the next one */
	int			most;			/* and of any */
	Size		bytes_limit;

	/* for EXPLAIN */
	FdwMeter	meter;
	int64		batches;
	int64		keys_asked;
	int64		keys_found;
	int64		removed_inner;	/* rows that the table's conditions removed */
	int64		removed_join;
} FdwJoinState;

/* CustomScanMethods.CreateCustomScanState */
extern Node *fdw_join_create_state(CustomScan *plan);

#endif							/* FDW_JOIN_SCAN_H */
