/*
 * fdw_handler.h
 *		The SQL entry points of the wrapper: skyvault_fdw_handler() and
 *		skyvault_fdw_validator(text[], oid).
 */
#ifndef FDW_HANDLER_H
#define FDW_HANDLER_H

#include "postgres.h"

#include "server/pg_compat.h"

#include "fmgr.h"

extern PGDLLEXPORT Datum skyvault_fdw_handler(PG_FUNCTION_ARGS);
extern PGDLLEXPORT Datum skyvault_fdw_validator(PG_FUNCTION_ARGS);

#endif							/* FDW_HANDLER_H */
