/*
 * fdw_join_table.h
 *		A table that a batched join looks keys up in: the joined one, or a partition of it.
 *
 * A partition may have its columns in another order, and others that were dropped.
 */
#ifndef FDW_JOIN_TABLE_H
#define FDW_JOIN_TABLE_H

#include "postgres.h"

#include "access/attmap.h"
#include "fdw/fdw_lookup.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

/* A column of the scan tuple that the joined table's row fills. */
typedef struct FdwJoinColumn
{
	int			place;			/* in the scan tuple */
	AttrNumber	attno;			/* of the joined table; 0: the whole row; negative: tableoid */
} FdwJoinColumn;

typedef struct FdwJoinTable
{
	Relation	relation;
	ForestTable table;			/* a copy: a cursor outlives the statement */
	FdwRows		rows;
	AttrMap    *map;			/* of the joined table's columns, the own ones; NULL: they are the same */
	int			natts;
	Datum	   *values;			/* by own attribute number - 1 */
	bool	   *isnull;
} FdwJoinTable;

/*
 * Of a relation that is open, to be read under the snapshot; `needed` are attribute numbers of the joined table, as of
 * FdwJoinColumn.
 */
extern void fdw_join_table_init(FdwJoinTable *table, Relation relation, Relation joined, const List *needed,
								Snapshot snapshot);

/* Fills n columns from a row of the table; what they refer to lives until the next one, or in CurrentMemoryContext. */
extern void fdw_join_table_load(FdwJoinTable *table, Relation joined, SvSlice key, SvSlice value,
								const FdwJoinColumn *columns, int n, Datum *values, bool *isnull);

#endif							/* FDW_JOIN_TABLE_H */
