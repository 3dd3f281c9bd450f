/*
 * fdw_siblings.h
 *		Scans of the members of one table, as partitions, in one execution of a plan:
 *		so that the first one that looks up keys does it for all.
 *
 * The executor comes to them one after the other, and each would wait for its store in
 * turn.  Known in a process's memory alone; what is left of an execution that ended with
 * an error goes with its memory.
 */
#ifndef FDW_SIBLINGS_H
#define FDW_SIBLINGS_H

#include "postgres.h"

#include "lib/ilist.h"
#include "nodes/execnodes.h"

typedef struct FdwSibling
{
	dlist_node	node;
	bool		waits;			/* for others to look up its keys */
	Index		parent;			/* the table's range table index */
	ForeignScanState *scan;		/* NULL: it has never waited */
	MemoryContextCallback callback;
} FdwSibling;

/* The parent of scans of any tables that were all asked for a row, and wait: fdw_async.h. */
#define FDW_SIBLINGS_ASKED 0

/* Zeroed before; in the memory of the execution.  Again after it has left: as often as one likes. */
extern void fdw_sibling_wait(FdwSibling *sibling, ForeignScanState *scan, Index parent);

/* It looks up its keys itself, or they were.  May be called again and again. */
extern void fdw_sibling_leave(FdwSibling *sibling);

/* The ForeignScanStates that wait, but for this one. */
extern List *fdw_siblings_waiting(const FdwSibling *sibling);

#endif							/* FDW_SIBLINGS_H */
