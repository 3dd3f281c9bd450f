/*
 * fdw_explain.h
 *		What EXPLAIN says about scans and modifications.
 *
 * Key Condition: the conditions that select keys.  Lookup: "point" for one
 * key, "batch" for several, "range" for key ranges, "full scan" for
 * everything.  What it took, with ANALYZE: see fdw_meter.h.
 */
#ifndef FDW_EXPLAIN_H
#define FDW_EXPLAIN_H

#include "postgres.h"

#include "commands/explain.h"
#include "foreign/fdwapi.h"
#include "server/pg_compat.h"

extern void fdw_explain_scan(ForeignScanState *node, ExplainState *es);
extern void fdw_explain_modify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
							   List *fdw_private, int subplan_index, ExplainState *es);

#endif							/* FDW_EXPLAIN_H */
