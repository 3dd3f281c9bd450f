/*
 * fdw_join_explain.h
 *		What EXPLAIN says about batched joins.
 *
 * Partitions: those of the table that keys are looked up in.  Key Condition: what the key
 * columns are equal to.  Table Filter: the conditions on the table alone.  Join Filter: what
 * else has to hold for rows to match.  Batches and Keys are of this process, without parallel
 * workers.
 */
#ifndef FDW_JOIN_EXPLAIN_H
#define FDW_JOIN_EXPLAIN_H

#include "postgres.h"

#include "commands/explain.h"
#include "nodes/execnodes.h"
#include "server/pg_compat.h"

/* CustomExecMethods.ExplainCustomScan */
extern void fdw_join_explain(CustomScanState *node, List *ancestors, ExplainState *es);

#endif							/* FDW_JOIN_EXPLAIN_H */
