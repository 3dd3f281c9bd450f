/*
 * forest_sql.h
 *		Statements on the catalogue that are not worth code of their own.
 *
 * Arguments and answers are text; casts are in the statement, as in $1::int.
 * They run as the owner of the catalogue, whoever calls, and whatever its search_path.
 */
#ifndef FOREST_SQL_H
#define FOREST_SQL_H

#include "postgres.h"

#define FOREST_SQL_MAX_ARGS 16

/* An answer, in the memory context that was current at the call. */
typedef struct ForestRows
{
	int			nrows;			/* rows affected, if the statement answers none */
	int			ncolumns;
	char	  **cells;			/* row by row; NULL is NULL */
} ForestRows;

/* Runs a statement under a snapshot of its own; a NULL argument is NULL. */
extern ForestRows forest_sql(const char *sql, int nargs,...);

/* The same, reading under the active snapshot. */
extern ForestRows forest_sql_fixed(const char *sql, int nargs,...);

/* NULL if there is no such row. */
extern const char *forest_cell(const ForestRows *rows, int row, int column);
extern int64 forest_cell_int64(const ForestRows *rows, int row, int column);	/* NULL is 0 */
extern bool forest_cell_bool(const ForestRows *rows, int row, int column);	/* NULL is false */

/* An argument from a number. */
extern char *forest_arg(int64 number);

#endif							/* FOREST_SQL_H */
