/*
 * store_tier_pass.c
 *		See store_tier_pass.h.
 */
#include "store/store_tier_pass.h"

#include "store/store_tier_read.h"

static SvStatus
read_range(ObjectStore *base, const StoreRange *range, bool *there, const StoreCall *call, SvError *err)
{
	CacheRunId	object = store_tier_object(base, range->name);
	SvStatus	status = store_check_cancel(call, range->name, err);
	size_t		done = 0;

	*there = status == SV_OK;
	while (*there && done < range->len)
	{
		uint64_t	offset = range->offset + done;
		DiskRange	piece = {.object = object,.number = (uint32_t) (offset / DISK_RANGE_BYTES)};
		size_t		at = (size_t) (offset % DISK_RANGE_BYTES);
		size_t		len = DISK_RANGE_BYTES - at < range->len - done ? DISK_RANGE_BYTES - at : range->len - done;

		*there = disk_tier_read(((TierStore *) base)->tier, &piece, at, len, (uint8_t *) range->dst + done);
		done += len;
	}
	return status;
}

SvStatus
store_tier_pass(ObjectStore *base, const StoreRead *reads, int nreads, int *failed, const StoreCall *call,
				SvError *err)
{
	return store_front_get(base, read_range, reads, nreads, failed, call, err);
}
