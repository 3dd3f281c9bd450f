/*
 * fdw_siblings.c
 *		See fdw_siblings.h.
 */
#include "postgres.h"

#include "fdw/fdw_siblings.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

/* Of all executions of the process. */
static dlist_head waiting = DLIST_STATIC_INIT(waiting);

void
fdw_sibling_leave(FdwSibling *sibling)
{
	if (sibling->waits)
		dlist_delete(&sibling->node);
	sibling->waits = false;
}

static void
leave(void *arg)
{
	fdw_sibling_leave(arg);
}

void
fdw_sibling_wait(FdwSibling *sibling, ForeignScanState *scan, Index parent)
{
	if (sibling->scan == NULL)
	{
		sibling->callback.func = leave;
		sibling->callback.arg = sibling;
		MemoryContextRegisterResetCallback(scan->ss.ps.state->es_query_cxt, &sibling->callback);
	}
	sibling->scan = scan;
	sibling->parent = parent;
	if (!sibling->waits)
		dlist_push_tail(&waiting, &sibling->node);
	sibling->waits = true;
}

List *
fdw_siblings_waiting(const FdwSibling *sibling)
{
	List	   *found = NIL;
	dlist_iter	iter;

	dlist_foreach(iter, &waiting)
	{
		FdwSibling *other = dlist_container(FdwSibling, node, iter.cur);

		if (other != sibling && other->parent == sibling->parent &&
			other->scan->ss.ps.state == sibling->scan->ss.ps.state)
			found = lappend(found, other->scan);
	}
	return found;
}
