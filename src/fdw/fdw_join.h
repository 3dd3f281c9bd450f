/*
 * fdw_join.h
 *		Batched joins: a custom scan that joins any outer rows with one foreign
 *		table, or one with foreign partitions, by equality on all its key columns.
 *
 * It collects outer rows, looks up their keys at once, and joins them in the
 * order of the outer rows.  A key has one row at most in each partition.
 */
#ifndef FDW_JOIN_H
#define FDW_JOIN_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/extensible.h"

/* As EXPLAIN shows it, and as parallel workers know it. */
#define FDW_JOIN_NAME "Skyvault Batched Join"

/* Of a batch that waits for the store, if there is memory for them; of one that does not, FDW_BATCH_KEYS. */
#define FDW_JOIN_MOST_ROWS (256 * 1024)

/*
 * CustomScan.custom_exprs, a list of lists.  Their Vars are of the scan tuple:
 * the columns of the outer plan, then those of the table, in the order of
 * FDW_JOIN_COLUMNS.
 */
enum FdwJoinExprs
{
	FDW_JOIN_OPERANDS,			/* of each key column, what it is equal to; no column of the table */
	FDW_JOIN_INNER_QUALS,		/* conditions on the table, evaluated first */
	FDW_JOIN_QUALS,				/* which rows match, beside the keys */
	FDW_JOIN_KEY_CONDITION		/* for EXPLAIN */
};

/*
 * CustomScan.custom_private, a list of integer lists.  The outer plan is
 * lefttree, conditions on the joined rows are plan.qual.
 */
enum FdwJoinPrivate
{
	FDW_JOIN_SCALARS,			/* see FdwJoinScalar */
	FDW_JOIN_COLUMNS,			/* attribute numbers of the table's columns in the scan tuple */
	FDW_JOIN_NEEDED,			/* those of which values are asked for; a part of them */
	FDW_JOIN_TABLES				/* where its rows are, by how much they are behind the table in the range table */
};

enum FdwJoinScalar
{
	FDW_JOIN_TYPE,				/* JoinType: inner, left, semi, anti */
	FDW_JOIN_MEMBER,			/* of custom_relids, the table is this one; survives renumbering */
	FDW_JOIN_WANTED,			/* rows that will be asked for, as far as is known; FDW_JOIN_MOST_ROWS: all */
	FDW_JOIN_ROW_BYTES			/* of a row of the table, on average, as far as is known */
};

extern const CustomScanMethods fdw_join_scan_methods;

/* At server start: the planner's hook, and the name for parallel workers. */
extern void fdw_join_install(void);

#endif							/* FDW_JOIN_H */
