/*
 * forest_sql.c
 *		Statements on the catalogue that are not worth code of their own.
 *
 * They run as its owner, who is a superuser: so what they call must not depend
 * on the search_path of who caused them, who may have an operator "=" of his own
 * in front, or one for just these types behind.  Nor may a temporary table stand
 * for a system view.
 */
#include "postgres.h"

#include "forest/forest_sql.h"

#include <stdarg.h>

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "forest/forest_catalog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

/* That of workers (pg_worker.c). */
#define SEARCH_PATH "pg_catalog, pg_temp"

static Oid
catalog_owner(void)
{
	Relation	rel = catalog_open(CATALOG_RUN, AccessShareLock);
	Oid			owner = rel->rd_rel->relowner;

	table_close(rel, AccessShareLock);
	return owner;
}

/* A nest level to end, or 0.  An error ends it with the transaction or subtransaction. */
static int
begin_settings(void)
{
	int			nest_level;

	if (strcmp(namespace_search_path, SEARCH_PATH) == 0)
		return 0;
	nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", SEARCH_PATH, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

/* SPI's answer, copied to where the caller wants it. */
static ForestRows
copy_rows(MemoryContext context)
{
	ForestRows	rows = {.nrows = (int) SPI_processed};
	MemoryContext old;

	if (SPI_tuptable == NULL)
		return rows;
	old = MemoryContextSwitchTo(context);
	rows.ncolumns = SPI_tuptable->tupdesc->natts;
	rows.cells = MemoryContextAllocHuge(context, Max(rows.nrows, 1) * rows.ncolumns * sizeof(char *));
	for (int i = 0; i < rows.nrows; i++)
		for (int j = 0; j < rows.ncolumns; j++)
		{
			char	   *cell = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, j + 1);

			rows.cells[i * rows.ncolumns + j] = cell == NULL ? NULL : pstrdup(cell);
		}
	MemoryContextSwitchTo(old);
	return rows;
}

static ForestRows
run(const char *sql, bool fixed, int nargs, va_list args)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[FOREST_SQL_MAX_ARGS];
	Datum		values[FOREST_SQL_MAX_ARGS];
	char		nulls[FOREST_SQL_MAX_ARGS];
	ForestRows	rows;
	Oid			user;
	int			security;
	int			nest_level;

	Assert(nargs <= FOREST_SQL_MAX_ARGS);
	for (int i = 0; i < nargs; i++)
	{
		const char *arg = va_arg(args, const char *);

		types[i] = TEXTOID;
		values[i] = arg != NULL ? CStringGetTextDatum(arg) : (Datum) 0;
		nulls[i] = arg != NULL ? ' ' : 'n';
	}

	nest_level = begin_settings();
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(catalog_owner(),
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	SPI_connect();
	if (SPI_execute_with_args(sql, nargs, types, values, nulls, fixed, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	rows = copy_rows(context);
	SPI_finish();
	SetUserIdAndSecContext(user, security);
	if (nest_level != 0)
		AtEOXact_GUC(true, nest_level);
	return rows;
}

ForestRows
forest_sql(const char *sql, int nargs,...)
{
	ForestRows	rows;
	va_list		args;

	va_start(args, nargs);
	rows = run(sql, false, nargs, args);
	va_end(args);
	return rows;
}

ForestRows
forest_sql_fixed(const char *sql, int nargs,...)
{
	ForestRows	rows;
	va_list		args;

	va_start(args, nargs);
	rows = run(sql, true, nargs, args);
	va_end(args);
	return rows;
}

const char *
forest_cell(const ForestRows *rows, int row, int column)
{
	return row < rows->nrows ? rows->cells[row * rows->ncolumns + column] : NULL;
}

int64
forest_cell_int64(const ForestRows *rows, int row, int column)
{
	const char *cell = forest_cell(rows, row, column);

	return cell == NULL ? 0 : strtoll(cell, NULL, 10);
}

bool
forest_cell_bool(const ForestRows *rows, int row, int column)
{
	const char *cell = forest_cell(rows, row, column);

	return cell != NULL && cell[0] == 't';
}

char *
forest_arg(int64 number)
{
	return psprintf(INT64_FORMAT, number);
}
