/*
 * test_group.c
 *		Groups of runs against the plain lookup order they stand for.
 *
 * Usage: test_group [seed]
 */
#include "unit.h"

#include <stdlib.h>
#include <time.h>

#include "lsm/lsm_forest.h"

#define MAX_SOURCES 40
#define KEYS 64

/* The runs that have a key, in lookup order, by their ids. */
typedef struct Order
{
	int64_t		ids[MAX_SOURCES];
	int			n;
} Order;

static uint8_t key_bytes[KEYS];

static SvSlice
key_of(int i)
{
	return sv_slice(&key_bytes[i], 1);
}

static void
make_sources(LsmRun *runs, LsmPart *parts, LsmSourceRun *sources, int n, int widest)
{
	int			own = rand() % 4;

	for (int i = 0; i < n; i++)
	{
		int			low = rand() % KEYS;
		int			high = low + rand() % widest;

		runs[i] = (LsmRun) {.id = i,.is_own = i < own};
		parts[i] = (LsmPart) {.min_key = key_of(low),.max_key = key_of(high < KEYS ? high : KEYS - 1)};
		sources[i] = (LsmSourceRun) {.run = &runs[i],.part = &parts[i]};
	}
}

static Order
order_of_sources(const LsmSourceRun *sources, int n, SvSlice key)
{
	Order		order = {.n = 0};

	for (int i = 0; i < n; i++)
		if (lsm_part_has_key(sources[i].part, key))
			order.ids[order.n++] = sources[i].run->id;
	return order;
}

static Order
order_of_groups(const LsmGroup *groups, int n, SvSlice key)
{
	Order		order = {.n = 0};

	for (int i = 0; i < n; i++)
	{
		const LsmSourceRun *source = lsm_group_find(&groups[i], key);

		if (source != NULL)
			order.ids[order.n++] = source->run->id;
	}
	return order;
}

static bool
same_order(const Order *a, const Order *b)
{
	return a->n == b->n && memcmp(a->ids, b->ids, (size_t) a->n * sizeof(a->ids[0])) == 0;
}

/* Between own runs and others there is the delta, so no group has both. */
static bool
own_are_apart(const LsmGroup *group)
{
	for (int i = 1; i < group->count; i++)
		if (group->sources[i].run->is_own != group->sources[0].run->is_own)
			return false;
	return true;
}

static bool
round_is_right(int widest, int *fewest)
{
	LsmRun		runs[MAX_SOURCES];
	LsmPart		parts[MAX_SOURCES];
	LsmSourceRun sources[MAX_SOURCES];
	LsmSourceRun grouped[MAX_SOURCES];
	LsmGroup	groups[MAX_SOURCES];
	int			n = rand() % MAX_SOURCES;
	int			total = 0;
	int			ngroups;

	make_sources(runs, parts, sources, n, widest);
	memcpy(grouped, sources, sizeof(sources));
	ngroups = lsm_group_sources(grouped, n, groups);
	if (n - ngroups > *fewest)
		*fewest = n - ngroups;
	for (int i = 0; i < ngroups; i++)
	{
		total += groups[i].count;
		if (!own_are_apart(&groups[i]))
			return false;
	}
	for (int i = 0; i < KEYS; i++)
	{
		Order		expected = order_of_sources(sources, n, key_of(i));
		Order		found = order_of_groups(groups, ngroups, key_of(i));

		if (!same_order(&expected, &found))
			return false;
	}
	return total == n;
}

static void
test_level(void)
{
	LsmRun		runs[KEYS];
	LsmPart		parts[KEYS];
	LsmSourceRun sources[KEYS];
	LsmGroup	groups[KEYS];

	for (int i = 0; i < KEYS; i++)
	{
		int			k = i * 37 % KEYS;	/* in no order */

		runs[i] = (LsmRun) {.id = k};
		parts[i] = (LsmPart) {.min_key = key_of(k),.max_key = key_of(k)};
		sources[i] = (LsmSourceRun) {.run = &runs[i],.part = &parts[i]};
	}
	CHECK(lsm_group_sources(sources, KEYS, groups) == 1 && groups[0].count == KEYS,
		  "runs that are disjoint are one group");
	CHECK(lsm_group_find(&groups[0], key_of(17))->run->id == 17 &&
		  lsm_group_find(&groups[0], sv_slice("\xff", 1)) == NULL &&
		  lsm_group_find(&groups[0], sv_slice(NULL, 0)) == NULL,
		  "in which the run of a key is found, if there is one");
}

int
main(int argc, char **argv)
{
	unsigned	seed = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : (unsigned) time(NULL);
	bool		right = true;
	int			fewest = 0;

	printf("# seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < KEYS; i++)
		key_bytes[i] = (uint8_t) (i * 2 + 1);
	for (int i = 0; i < 3000 && right; i++)
		right = round_is_right(1 + i % 20, &fewest);
	CHECK(right, "groups ask the same runs in the same order");
	CHECK(fewest > 10, "and join many");
	test_level();
	return unit_done();
}
