/*
 * fdw_targets_unite.c
 *		See fdw_targets_unite.h.
 */
#include "postgres.h"

#include "fdw/fdw_targets_unite.h"

#include "utils/memutils.h"

/* ---- points ---- */

static int
compare_points(const void *a, const void *b)
{
	return sv_slice_compare(*(const SvSlice *) a, *(const SvSlice *) b);
}

static void
unite_points(const FdwTargets *parts, int n, FdwTargets *all)
{
	int			found = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < parts[i].n; j++)
			all->points[found++] = parts[i].points[j];
	qsort(all->points, found, sizeof(SvSlice), compare_points);
	for (int i = 0; i < found; i++)
		if (kept == 0 || !sv_slice_equal(all->points[kept - 1], all->points[i]))
			all->points[kept++] = all->points[i];
	all->n = kept;
}

/* ---- ranges ---- */

/* The key alone. */
static FdwRange
range_of_point(SvSlice key)
{
	uint8	   *next = palloc0(key.len + 1);

	if (key.len > 0)
		memcpy(next, key.data, key.len);
	return (FdwRange) {.has_low = true,.has_high = true,.low = key,.high = sv_slice(next, key.len + 1)};
}

static int
compare_lows(const void *a, const void *b)
{
	const FdwRange *left = a;
	const FdwRange *right = b;

	if (!left->has_low || !right->has_low)
		return (int) left->has_low - (int) right->has_low;
	return sv_slice_compare(left->low, right->low);
}

/* Whether the next range, by their lows, has no key between itself and the one before. */
static bool
touches(const FdwRange *range, const FdwRange *next)
{
	return !range->has_high || !next->has_low || sv_slice_compare(next->low, range->high) <= 0;
}

static void
extend(FdwRange *range, const FdwRange *next)
{
	if (range->has_high && (!next->has_high || sv_slice_compare(next->high, range->high) > 0))
	{
		range->has_high = next->has_high;
		range->high = next->high;
	}
}

static void
unite_ranges(const FdwTargets *parts, int n, FdwTargets *all)
{
	int			found = 0;
	int			kept = 0;

	for (int i = 0; i < n; i++)
		for (int j = 0; j < parts[i].n; j++)
			all->ranges[found++] = parts[i].are_points ? range_of_point(parts[i].points[j]) : parts[i].ranges[j];
	qsort(all->ranges, found, sizeof(FdwRange), compare_lows);
	for (int i = 0; i < found; i++)
	{
		if (kept > 0 && touches(&all->ranges[kept - 1], &all->ranges[i]))
			extend(&all->ranges[kept - 1], &all->ranges[i]);
		else
			all->ranges[kept++] = all->ranges[i];
	}
	all->n = kept;
}

void
fdw_targets_unite(const FdwTargets *parts, int n, FdwTargets *all)
{
	int64		total = 0;

	*all = parts[0];
	if (n == 1)
		return;
	all->are_points = true;
	for (int i = 0; i < n; i++)
	{
		all->are_points &= parts[i].are_points || parts[i].n == 0;
		all->inexact |= parts[i].inexact;
		total += parts[i].n;
	}
	if (total > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the conditions select too many keys")));
	if (all->are_points)
	{
		all->points = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SvSlice) * Max(total, 1));
		unite_points(parts, n, all);
	}
	else
	{
		all->ranges = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(FdwRange) * Max(total, 1));
		unite_ranges(parts, n, all);
	}
}
