/*
 * store_tier_pass.c
 *		See store_tier_pass.h.
 */
#include "store/store_tier_pass.h"

#include <stdlib.h>

#include "store/store_fetch.h"
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
	((TierStore *) base)->tier->reads_answered += *there;
	return status;
}

SvStatus
store_tier_pass(ObjectStore *base, const StoreRead *reads, int nreads, int *failed, const StoreCall *call,
				SvError *err)
{
	return store_front_get(base, read_range, reads, nreads, failed, call, err);
}

typedef struct TierFetch
{
	StoreFetch	base;
	StoreFetch *inner;			/* NULL: it has ended */
} TierFetch;

/* Whether the tier has half of a range, or more. */
static bool
has_much(const TierStore *store, const StoreRange *range)
{
	DiskRange	piece = {.object = store_tier_object(&store->front.base, range->name)};
	uint64_t	first = range->offset / DISK_RANGE_BYTES;
	uint64_t	last = (range->offset + range->len - 1) / DISK_RANGE_BYTES;
	uint64_t	has = 0;

	for (uint64_t number = first; number <= last; number++)
	{
		piece.number = (uint32_t) number;
		has += disk_tier_has(store->tier, &piece);
	}
	return has * 2 >= last - first + 1;
}

SvStatus
store_tier_fetch_begin(ObjectStore *base, const StoreRange *range, StoreFetch **fetch, const StoreCall *call,
					   SvError *err)
{
	TierStore  *store = (TierStore *) base;
	StoreFetch *inner = NULL;
	TierFetch  *begun;
	SvStatus	status = SV_OK;

	if (!has_much(store, range))
		status = store_fetch_begin(store->front.inner, range, &inner, call, err);
	if (status != SV_OK || inner == NULL)
		return status;
	begun = calloc(1, sizeof(TierFetch));
	if (begun == NULL)
	{
		store_fetch_drop(inner);
		return sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", range->name);
	}
	begun->inner = inner;
	*fetch = &begun->base;
	return SV_OK;
}

void
store_tier_fetch_drive(StoreFetch *fetch)
{
	store_fetch_drive(((TierFetch *) fetch)->inner);
}

SvStatus
store_tier_fetch_finish(StoreFetch *base, const StoreCall *call, SvError *err)
{
	TierFetch  *fetch = (TierFetch *) base;
	SvStatus	status = store_fetch_finish(fetch->inner, call, err);

	/* Not before: end drops it if the wait was left. */
	fetch->inner = NULL;
	return status;
}

void
store_tier_fetch_end(StoreFetch *fetch)
{
	store_fetch_drop(((TierFetch *) fetch)->inner);
	((TierFetch *) fetch)->inner = NULL;
}
