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
	MemoryContext memory = scan->ss.ps.state->es_query_cxt;
	MemoryContextCallback *callback = MemoryContextAlloc(memory, sizeof(MemoryContextCallback));

	sibling->scan = scan;
	sibling->parent = parent;
	sibling->waits = true;
	dlist_push_tail(&waiting, &sibling->node);
	callback->func = leave;
	callback->arg = sibling;
	MemoryContextRegisterResetCallback(memory, callback);
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
