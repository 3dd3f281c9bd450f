/*
 * fdw_async.c
 *		See fdw_async.h.
 */
#include "postgres.h"

#include "fdw/fdw_async.h"

#include "executor/execAsync.h"
#include "executor/instrument.h"
#include "executor/tuptable.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_scan.h"

bool
fdw_async_is_capable(ForeignPath *path)
{
	const RelOptInfo *rel = path->path.parent;

	return IS_SIMPLE_REL(rel) && fdw_plan_is_async(rel);
}

static void
complete(AsyncRequest *areq)
{
	ExecAsyncRequestDone(areq, areq->requestee->ExecProcNodeReal(areq->requestee));
}

void
fdw_async_request(AsyncRequest *areq)
{
	if (fdw_scan_wait((ForeignScanState *) areq->requestee))
		ExecAsyncRequestPending(areq);
	else
		complete(areq);
}

/*
 * The executor calls this for each request that is pending, with nothing else to do.
 * No event is added to its set: then it does not wait either.
 */
void
fdw_async_configure_wait(AsyncRequest *areq)
{
	PlanState  *requestee = areq->requestee;

	fdw_scan_go((ForeignScanState *) requestee);
	areq->callback_pending = false;
	complete(areq);
	ExecAsyncResponse(areq);
	if (requestee->instrument != NULL)
		InstrUpdateTupleCount(requestee->instrument, TupIsNull(areq->result) ? 0.0 : 1.0);
}

/* For an event, of which there are none. */
void
fdw_async_notify(AsyncRequest *areq)
{
	fdw_scan_go((ForeignScanState *) areq->requestee);
	complete(areq);
}
