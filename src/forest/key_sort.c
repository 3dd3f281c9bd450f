/*
 * key_sort.c
 *		See key_sort.h.
 *
 * Keys of a table tend to begin alike.  So what all of them begin with is left
 * out, and the eight bytes after it are sorted as a number, by radix.  Keys
 * whose numbers are equal are then compared in full.
 */
#include "postgres.h"

#include "forest/key_sort.h"

#include "port/pg_bswap.h"
#include "utils/memutils.h"

#define WINDOW_BYTES 8
#define DIGITS 256

/* Up to this many, insertion is faster than counting digits. */
#define FEW_KEYS 48

typedef struct SortItem
{
	uint64		window;			/* the bytes after the common prefix, zeros where the key ends */
	int			position;
} SortItem;

static size_t
common_prefix(const SvSlice *keys, int n)
{
	size_t		common = keys[0].len;

	for (int i = 1; i < n; i++)
	{
		size_t		len = Min(common, keys[i].len);
		size_t		same = 0;

		while (same < len && keys[0].data[same] == keys[i].data[same])
			same++;
		common = same;
		if (common == 0)
			break;
	}
	return common;
}

static uint64
window_at(SvSlice key, size_t start)
{
	uint64		window = 0;

	memcpy(&window, key.data + start, Min(key.len - start, WINDOW_BYTES));
	return pg_hton64(window);
}

/* Equal windows do not mean equal keys: longer ones go on, shorter ones were filled up. */
static int
compare_items(const void *a, const void *b, void *arg)
{
	const SvSlice *keys = arg;
	const SortItem *left = a;
	const SortItem *right = b;
	int			cmp;

	if (left->window != right->window)
		return left->window < right->window ? -1 : 1;
	cmp = sv_slice_compare(keys[left->position], keys[right->position]);
	return cmp != 0 ? cmp : left->position - right->position;
}

static bool
is_sorted(SvSlice *keys, const SortItem *items, int n)
{
	for (int i = 1; i < n; i++)
		if (compare_items(&items[i - 1], &items[i], keys) > 0)
			return false;
	return true;
}

static void
sort_by_comparison(SvSlice *keys, SortItem *items, int n)
{
	if (n > FEW_KEYS)
	{
		qsort_arg(items, n, sizeof(SortItem), compare_items, keys);
		return;
	}
	for (int i = 1; i < n; i++)
	{
		SortItem	item = items[i];
		int			at = i;

		for (; at > 0 && compare_items(&item, &items[at - 1], keys) < 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/* Copies the items in the order of one byte of their windows; of equal ones the order stays. */
static void
sort_by_digit(const SortItem *items, SortItem *to, int n, int shift, const int *counts)
{
	int			starts[DIGITS];
	int			start = 0;

	for (int digit = 0; digit < DIGITS; digit++)
	{
		starts[digit] = start;
		start += counts[digit];
	}
	for (int i = 0; i < n; i++)
		to[starts[(items[i].window >> shift) & (DIGITS - 1)]++] = items[i];
}

/* Sorts by window; returns items or spare, where the result is. */
static SortItem *
sort_by_window(SortItem *items, SortItem *spare, int n)
{
	int			counts[WINDOW_BYTES][DIGITS] = {{0}};

	for (int i = 0; i < n; i++)
		for (int byte = 0; byte < WINDOW_BYTES; byte++)
			counts[byte][(items[i].window >> (8 * byte)) & (DIGITS - 1)]++;
	for (int byte = 0; byte < WINDOW_BYTES; byte++)
	{
		SortItem   *sorted = spare;

		/* A byte that is the same in all keys sorts nothing. */
		if (counts[byte][(items[0].window >> (8 * byte)) & (DIGITS - 1)] == n)
			continue;
		sort_by_digit(items, spare, n, 8 * byte, counts[byte]);
		spare = items;
		items = sorted;
	}
	return items;
}

/* Brings the keys whose windows are equal into order among themselves. */
static void
sort_equal_windows(SvSlice *keys, SortItem *items, int n)
{
	int			end;

	for (int first = 0; first < n; first = end)
	{
		for (end = first + 1; end < n && items[end].window == items[first].window; end++)
			;
		sort_by_comparison(keys, items + first, end - first);
	}
}

void
key_sort(const SvSlice *keys, int n, int *order)
{
	SvSlice    *arg = unconstify(SvSlice *, keys);
	SortItem   *items;
	SortItem   *sorted;
	size_t		common;

	if (n == 0)
		return;
	common = common_prefix(keys, n);
	items = MemoryContextAllocHuge(CurrentMemoryContext, 2 * (Size) n * sizeof(SortItem));
	for (int i = 0; i < n; i++)
		items[i] = (SortItem) {.window = window_at(keys[i], common),.position = i};
	sorted = items;
	if (!is_sorted(arg, items, n))
	{
		if (n <= FEW_KEYS)
			sort_by_comparison(arg, items, n);
		else
		{
			sorted = sort_by_window(items, items + n, n);
			sort_equal_windows(arg, sorted, n);
		}
	}
	for (int i = 0; i < n; i++)
		order[i] = sorted[i].position;
	pfree(items);
}
