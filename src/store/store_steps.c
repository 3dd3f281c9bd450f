/*
 * store_steps.c
 *		See store_steps.h.
 */
#include "store/store_steps.h"

#include <string.h>

SvStatus
store_steps_begin(StoreSteps *steps, ObjectStore *store, const StoreRange *ranges, int nranges,
				  const StoreCall *call, SvError *err)
{
	int			failed = -1;
	int			wanted;
	SvStatus	status = store_check_ranges(ranges, nranges, &wanted, &failed, err);

	memset(steps, 0, sizeof(*steps));
	steps->store = store;
	steps->ranges = ranges;
	steps->failed_read = -1;
	steps->done = wanted == 0;
	if (status != SV_OK || steps->done)
		return status;
	status = store_begin_operation(STORE_GET, ranges[0].name, call, err);
	if (status == SV_OK)
		status = store_merge(store, ranges, nranges, wanted, &steps->merged, err);
	if (status == SV_OK && store->ops->steps_begin != NULL)
		status = store->ops->steps_begin(store, steps->merged.reads, steps->merged.nreads, &steps->driver, call, err);
	if (status != SV_OK)
		store_merge_free(&steps->merged);
	return status;
}

SvStatus
store_steps_go(StoreSteps *steps, const StoreCall *call, SvError *err)
{
	SvStatus	status;

	if (steps->done)
		return SV_OK;
	if (steps->driver != NULL)
		return steps->store->ops->steps_go(steps->driver, &steps->done, call, err);
	status = steps->store->ops->get(steps->store, steps->merged.reads, steps->merged.nreads, &steps->failed_read,
									call, err);
	steps->done = status == SV_OK;
	return status;
}

int
store_steps_end(StoreSteps *steps, const StoreCall *call)
{
	int			failed;

	if (steps->driver != NULL)
		steps->failed_read = steps->store->ops->steps_end(steps->driver, call);
	failed = steps->failed_read < 0 ? -1 :
		(int) (steps->merged.reads[steps->failed_read].ranges[0] - steps->ranges);
	store_merge_free(&steps->merged);
	steps->driver = NULL;
	return failed;
}
