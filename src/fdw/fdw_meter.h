/*
 * fdw_meter.h
 *		What a node of a plan has taken from its tables, for EXPLAIN ANALYZE.
 *
 * A node that is not instrumented pays one comparison a call.  Plain data: that of
 * a parallel worker can be copied and merged.
 */
#ifndef FDW_METER_H
#define FDW_METER_H

#include "postgres.h"

#include "commands/explain.h"
#include "forest/forest_meter.h"
#include "nodes/execnodes.h"
#include "server/pg_compat.h"

typedef struct FdwMeter
{
	bool		on;
	ForestMeter since;			/* the process's counters when the node began what it does */
	ForestMeter sum;
	uint64		keys;			/* looked up by themselves */
	uint64		keys_found;
	uint64		ranges;
	uint64		rows;			/* found in ranges */
} FdwMeter;

/* Zeroed before; from now on it measures if the statement is instrumented. */
static inline void
fdw_meter_init(FdwMeter *meter, const EState *estate)
{
	meter->on = estate->es_instrument != 0;
}

/* Around each piece of work on the node's tables.  An error in between leaves a meter that nobody reads. */
static inline void
fdw_meter_begin(FdwMeter *meter)
{
	if (unlikely(meter->on))
		forest_meter_read(&meter->since);
}

static inline void
fdw_meter_end(FdwMeter *meter)
{
	if (unlikely(meter->on))
		forest_meter_add_since(&meter->sum, &meter->since);
}

/* sum += part */
extern void fdw_meter_merge(FdwMeter *sum, const FdwMeter *part);

/*
 * Shows it if the statement was run: all of it, in formats for machines; in text what
 * is not zero, and only keys and ranges without BUFFERS.  What a scan gives up to
 * the conditions of the query and of its policies is the sum of rows here, as it is
 * in the counts of rows that core shows.
 */
extern void fdw_meter_explain(const FdwMeter *meter, ExplainState *es);

/* The same without the counts of keys and ranges: of nodes that have other words for them. */
extern void fdw_meter_explain_reads(const FdwMeter *meter, ExplainState *es);

#endif							/* FDW_METER_H */
