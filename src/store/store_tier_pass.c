/*
 * store_tier_pass.c
 *		See store_tier_pass.h.
 */
#include "store/store_tier_pass.h"

#include <stdlib.h>

#include "store/store_tier_read.h"

#define CANCEL_EVERY 16			/* ranges */

/* What the tier has not: ranges, and which read they are of. */
typedef struct Missing
{
	StoreRange *ranges;
	int		   *reads;
	int			n;
} Missing;

/* Whether the tier has all of a range, which is in dst then. */
static bool
read_range(const TierStore *store, const StoreRange *range)
{
	CacheRunId	object = store_tier_object(&store->base, range->name);
	size_t		done = 0;

	while (done < range->len)
	{
		uint64_t	offset = range->offset + done;
		DiskRange	piece = {.object = object,.number = (uint32_t) (offset / DISK_RANGE_BYTES)};
		size_t		at = (size_t) (offset % DISK_RANGE_BYTES);
		size_t		len = DISK_RANGE_BYTES - at < range->len - done ? DISK_RANGE_BYTES - at : range->len - done;

		if (!disk_tier_read(store->tier, &piece, at, len, (uint8_t *) range->dst + done))
			return false;
		done += len;
	}
	return true;
}

static SvStatus
read_tier(const TierStore *store, const StoreRead *reads, int nreads, Missing *missing, const StoreCall *call,
		  SvError *err)
{
	int			n = 0;

	for (int i = 0; i < nreads; i++)
	{
		for (int j = 0; j < reads[i].nranges; j++)
		{
			const StoreRange *range = reads[i].ranges[j];
			SvStatus	status = n++ % CANCEL_EVERY == 0 ? store_check_cancel(call, range->name, err) : SV_OK;

			if (status != SV_OK)
				return status;
			if (!read_range(store, range))
			{
				missing->ranges[missing->n] = *range;
				missing->reads[missing->n++] = i;
			}
			else if (range->there != NULL)
				*range->there = true;
		}
	}
	return SV_OK;
}

SvStatus
store_tier_pass(ObjectStore *base, const StoreRead *reads, int nreads, int *failed, const StoreCall *call,
				SvError *err)
{
	TierStore  *store = (TierStore *) base;
	Missing		missing = {0};
	size_t		n = 0;
	int			at = -1;
	SvStatus	status;

	*failed = -1;
	for (int i = 0; i < nreads; i++)
		n += (size_t) reads[i].nranges;
	missing.ranges = malloc(n * sizeof(StoreRange));
	missing.reads = malloc(n * sizeof(int));
	if (missing.ranges == NULL || missing.reads == NULL)
		status = sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", reads[0].name);
	else
		status = read_tier(store, reads, nreads, &missing, call, err);
	if (status == SV_OK && missing.n > 0)
	{
		status = store_get(store->inner, missing.ranges, missing.n, &at, call, err);
		*failed = at >= 0 ? missing.reads[at] : -1;
	}
	free(missing.ranges);
	free(missing.reads);
	return status;
}
