/*
 * key_sort.c
 *		See key_sort.h.
 *
 * Keys of a table tend to begin alike.  So what all of them begin with is left
 * out, and the eight bytes after it are taken as a number.  A radix sort by
 * the first bytes of it that differ, as few as should tell most keys apart,
 * leaves groups of mostly one key; insertion does the rest.
 *
 * What a load sorts may be all of maintenance_work_mem, so each pass looks for
 * interrupts.
 */
#include "postgres.h"

#include "forest/key_sort.h"

#include "miscadmin.h"
#include "port/pg_bswap.h"

#define WINDOW_BYTES 8
#define DIGITS 256

/* Up to this many, insertion is faster than counting digits. */
#define FEW_KEYS 24

/* Bytes are sorted by until they have so many combinations for each key. */
#define COMBINATIONS_PER_KEY 4

/* Keys of a pass between two looks for interrupts: a power of 2, and more than a batch has. */
#define LOOK_KEYS (1 << 16)

/* Bytes of the windows to sort by, and how often each of their values occurs. */
typedef struct Radix
{
	int			n;
	int			shifts[WINDOW_BYTES];	/* highest byte first */
	int			counts[WINDOW_BYTES][DIGITS];
} Radix;

static inline void
look_at_times(int i)
{
	if (unlikely((i & (LOOK_KEYS - 1)) == LOOK_KEYS - 1))
		CHECK_FOR_INTERRUPTS();
}

static size_t
common_prefix(const SvSlice *keys, const int *order, int n)
{
	const SvSlice *first = &keys[order[0]];
	size_t		common = first->len;

	for (int i = 1; i < n && common > 0; i++)
	{
		const SvSlice *key = &keys[order[i]];
		size_t		len = Min(common, key->len);
		size_t		same = 0;

		look_at_times(i);
		while (same < len && first->data[same] == key->data[same])
			same++;
		common = same;
	}
	return common;
}

static inline uint64
window_at(SvSlice key, size_t start)
{
	uint64		window = 0;

	if (key.len - start >= WINDOW_BYTES)
		memcpy(&window, key.data + start, WINDOW_BYTES);
	else if (key.len > start)
		memcpy(&window, key.data + start, key.len - start);
	return pg_hton64(window);
}

/* Equal windows do not mean equal keys: longer ones go on, shorter ones were filled up. */
static int
compare_items(const void *a, const void *b, void *arg)
{
	const SvSlice *keys = arg;
	const KeySortItem *left = a;
	const KeySortItem *right = b;
	int			cmp;

	if (left->window != right->window)
		return left->window < right->window ? -1 : 1;
	cmp = sv_slice_compare(keys[left->position], keys[right->position]);
	return cmp != 0 ? cmp : left->position - right->position;
}

/* Keys that the windows do not tell apart may be many, and long. */
static int
compare_many(const void *a, const void *b, void *arg)
{
	CHECK_FOR_INTERRUPTS();
	return compare_items(a, b, arg);
}

static void
sort_by_comparison(SvSlice *keys, KeySortItem *items, int n)
{
	if (n > FEW_KEYS)
	{
		qsort_arg(items, n, sizeof(KeySortItem), compare_many, keys);
		return;
	}
	for (int i = 1; i < n; i++)
	{
		KeySortItem item = items[i];
		int			at = i;

		for (; at > 0 && compare_items(&item, &items[at - 1], keys) < 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

static bool
is_sorted(SvSlice *keys, const KeySortItem *items, int n)
{
	for (int i = 1; i < n; i++)
	{
		look_at_times(i);
		if (compare_items(&items[i - 1], &items[i], keys) > 0)
			return false;
	}
	return true;
}

/* Counts one byte's values; how many there are. */
static int
count_digit(const KeySortItem *items, int n, int shift, int *counts)
{
	int			different = 0;

	memset(counts, 0, DIGITS * sizeof(int));
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < n; i++)
		counts[(items[i].window >> shift) & (DIGITS - 1)]++;
	for (int digit = 0; digit < DIGITS; digit++)
		different += counts[digit] > 0;
	return different;
}

/* A byte that is the same in all keys tells none apart. */
static void
choose_digits(const KeySortItem *items, int n, Radix *radix)
{
	double		combinations = 1;

	radix->n = 0;
	for (int byte = 0; byte < WINDOW_BYTES && combinations < (double) n * COMBINATIONS_PER_KEY; byte++)
	{
		int			shift = 8 * (WINDOW_BYTES - 1 - byte);
		int			different = count_digit(items, n, shift, radix->counts[radix->n]);

		if (different == 1)
			continue;
		combinations *= different;
		radix->shifts[radix->n++] = shift;
	}
}

/* Copies the items in the order of one byte of their windows; of equal ones the order stays. */
static void
sort_by_digit(const KeySortItem *items, KeySortItem *to, int n, int shift, const int *counts)
{
	int			starts[DIGITS];
	int			start = 0;

	for (int digit = 0; digit < DIGITS; digit++)
	{
		starts[digit] = start;
		start += counts[digit];
	}
	for (int i = 0; i < n; i++)
	{
		look_at_times(i);
		to[starts[(items[i].window >> shift) & (DIGITS - 1)]++] = items[i];
	}
}

/* Returns where the result is: items or spare. */
static KeySortItem *
sort_by_digits(KeySortItem *items, KeySortItem *spare, int n, const Radix *radix)
{
	for (int digit = radix->n; digit-- > 0;)
	{
		KeySortItem *sorted = spare;

		sort_by_digit(items, spare, n, radix->shifts[digit], radix->counts[digit]);
		spare = items;
		items = sorted;
	}
	return items;
}

/* Brings the keys that the chosen bytes do not tell apart into order among themselves. */
static void
sort_groups(SvSlice *keys, KeySortItem *items, int n, const Radix *radix)
{
	uint64		mask = 0;
	int			end;

	for (int digit = 0; digit < radix->n; digit++)
		mask |= UINT64CONST(0xff) << radix->shifts[digit];
	for (int first = 0; first < n; first = end)
	{
		CHECK_FOR_INTERRUPTS();
		for (end = first + 1; end < n && ((items[end].window ^ items[first].window) & mask) == 0; end++)
			;
		if (end - first > 1)
			sort_by_comparison(keys, items + first, end - first);
	}
}

void
key_sort(const SvSlice *keys, int *order, int n, KeySortItem *room)
{
	SvSlice    *arg = unconstify(SvSlice *, keys);
	KeySortItem *items = room;
	Radix		radix;
	size_t		common;

	if (n == 0)
		return;
	common = common_prefix(keys, order, n);
	for (int i = 0; i < n; i++)
	{
		look_at_times(i);
		items[i] = (KeySortItem) {.window = window_at(keys[order[i]], common),.position = order[i]};
	}
	if (n <= FEW_KEYS)
		sort_by_comparison(arg, items, n);
	else if (!is_sorted(arg, items, n))
	{
		choose_digits(items, n, &radix);
		items = sort_by_digits(items, room + n, n, &radix);
		sort_groups(arg, items, n, &radix);
	}
	for (int i = 0; i < n; i++)
		order[i] = items[i].position;
}
