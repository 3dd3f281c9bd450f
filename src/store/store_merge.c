/*
 * store_merge.c
 *		Ranges sorted by object and offset; a read goes on as long as the gap to
 *		the next range is small.
 */
#include "store/store_merge.h"

#include <stdlib.h>
#include <string.h>

static int
compare_ranges(const void *a, const void *b)
{
	const StoreRange *x = *(const StoreRange *const *) a;
	const StoreRange *y = *(const StoreRange *const *) b;
	int			names = x->name == y->name ? 0 : strcmp(x->name, y->name);

	if (names != 0)
		return names;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Whether a range that does not begin before the read is cheaper to have with it. */
static bool
belongs_to(const StoreRead *read, const StoreRange *range, size_t gap)
{
	uint64_t	end = read->offset + read->len;
	uint64_t	range_end = range->offset + range->len;

	if (range->name != read->name && strcmp(range->name, read->name) != 0)
		return false;
	if (range->offset > end && range->offset - end >= gap)
		return false;
	return range_end <= end || range_end - read->offset <= STORE_MAX_MERGED_BYTES;
}

/* Cuts sorted ranges into reads, of which there is room for as many as ranges. */
static int
make_reads(const StoreRange *const *sorted, int nranges, size_t gap, StoreRead *reads)
{
	int			nreads = 0;

	for (int i = 0; i < nranges; i++)
	{
		const StoreRange *range = sorted[i];
		StoreRead  *last = nreads > 0 ? &reads[nreads - 1] : NULL;

		if (last != NULL && gap > 0 && belongs_to(last, range, gap))
		{
			uint64_t	len = range->offset + range->len - last->offset;

			last->len = len > last->len ? (size_t) len : last->len;
			last->nranges++;
		}
		else
			reads[nreads++] = (StoreRead) {range->name, range->offset, range->len, &sorted[i], 1};
	}
	return nreads;
}

static SvStatus
get_one(ObjectStore *store, const StoreRange *ranges, const StoreRange *range, int *failed,
		const StoreCall *call, SvError *err)
{
	StoreRead	read = {range->name, range->offset, range->len, &range, 1};
	int			failed_read = -1;
	SvStatus	status = store->ops->get(store, &read, 1, &failed_read, call, err);

	if (status != SV_OK && failed_read >= 0)
		*failed = (int) (range - ranges);
	return status;
}

SvStatus
store_merge(const ObjectStore *store, const StoreRange *ranges, int nranges, int wanted, StoreMerged *merged,
			SvError *err)
{
	int			n = 0;

	merged->sorted = malloc((size_t) wanted * sizeof(StoreRange *));
	merged->reads = malloc((size_t) wanted * sizeof(StoreRead));
	merged->nreads = 0;
	if (merged->sorted == NULL || merged->reads == NULL)
	{
		store_merge_free(merged);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: reading %d ranges", wanted);
	}
	for (int i = 0; i < nranges; i++)
		if (ranges[i].len > 0)
			merged->sorted[n++] = &ranges[i];
	qsort(merged->sorted, (size_t) n, sizeof(StoreRange *), compare_ranges);
	merged->nreads = make_reads(merged->sorted, n, store->merge_gap, merged->reads);
	return SV_OK;
}

void
store_merge_free(StoreMerged *merged)
{
	free(merged->sorted);
	free(merged->reads);
	*merged = (StoreMerged) {0};
}

SvStatus
store_merge_get(ObjectStore *store, const StoreRange *ranges, int nranges, int wanted, int *failed,
				const StoreCall *call, SvError *err)
{
	StoreMerged merged;
	int			failed_read = -1;
	int			n = 0;
	SvStatus	status;

	if (wanted == 1)
	{
		while (ranges[n].len == 0)
			n++;
		return get_one(store, ranges, &ranges[n], failed, call, err);
	}

	status = store_merge(store, ranges, nranges, wanted, &merged, err);
	if (status != SV_OK)
		return status;
	status = store->ops->get(store, merged.reads, merged.nreads, &failed_read, call, err);
	if (status != SV_OK && failed_read >= 0)
		*failed = (int) (merged.reads[failed_read].ranges[0] - ranges);
	store_merge_free(&merged);
	return status;
}

void
store_scatter(const StoreRead *read, uint64_t offset, const void *data, size_t len)
{
	uint64_t	end = offset + len;

	for (int i = 0; i < read->nranges && read->ranges[i]->offset < end; i++)
	{
		const StoreRange *range = read->ranges[i];
		uint64_t	from = range->offset > offset ? range->offset : offset;
		uint64_t	to = range->offset + range->len < end ? range->offset + range->len : end;

		if (from < to)
			memcpy((uint8_t *) range->dst + (from - range->offset), (const uint8_t *) data + (from - offset),
				   (size_t) (to - from));
	}
}
