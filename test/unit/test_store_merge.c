/*
 * test_store_merge.c
 *		Which reads a driver is asked for: ranges merged over small gaps.
 */
#include "unit.h"

#include <stdlib.h>

#include "store/store_driver.h"
#include "store/store_merge.h"

/* A driver that writes down its reads, and whose objects hold their offsets. */
typedef struct NotingStore
{
	ObjectStore base;
	char		reads[512];		/* "name:offset+len*ranges " */
	int			fail_at;		/* the read that fails, -1: none */
} NotingStore;

static SvStatus
noting_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed, const StoreCall *call, SvError *err)
{
	NotingStore *store = (NotingStore *) base;
	uint8_t    *bytes;

	(void) call;
	for (int i = 0; i < nreads; i++)
	{
		size_t		used = strlen(store->reads);

		snprintf(store->reads + used, sizeof(store->reads) - used, "%s:%d+%d*%d ", reads[i].name,
				 (int) reads[i].offset, (int) reads[i].len, reads[i].nranges);
		if (i == store->fail_at)
		{
			*failed = i;
			return sv_fail(err, SV_IO, "as told");
		}
		bytes = malloc(reads[i].len);
		for (size_t k = 0; k < reads[i].len; k++)
			bytes[k] = (uint8_t) (reads[i].offset + k);
		/* In two pieces, as a network might bring them. */
		store_scatter(&reads[i], reads[i].offset, bytes, reads[i].len / 3);
		store_scatter(&reads[i], reads[i].offset + reads[i].len / 3, bytes + reads[i].len / 3,
					  reads[i].len - reads[i].len / 3);
		free(bytes);
	}
	return SV_OK;
}

static const ObjectStoreOps noting_ops = {.get = noting_get};

static uint8_t into[8][64];

/* Reads ranges, and says whether each got its bytes. */
static bool
get(NotingStore *store, StoreRange *ranges, int n)
{
	SvError		err;

	store->reads[0] = '\0';
	memset(into, 0xEE, sizeof(into));
	for (int i = 0; i < n; i++)
		ranges[i].dst = into[i];
	if (store_get(&store->base, ranges, n, NULL, NULL, &err) != SV_OK)
		return false;
	for (int i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(into[i]); k++)
			if (into[i][k] != (k < ranges[i].len ? (uint8_t) (ranges[i].offset + k) : 0xEE))
				return false;
	return true;
}

static void
test_merging(void)
{
	NotingStore store = {.base = {&noting_ops, 0, 100}, .fail_at = -1};
	char		a[] = "a";
	char		other_a[] = "a";
	StoreRange	near_by[3] = {{a, 200, 50, NULL}, {a, 0, 51, NULL}, {other_a, 150, 10, NULL}};
	StoreRange	far[3] = {{a, 150, 50, NULL}, {a, 0, 50, NULL}, {"b", 60, 10, NULL}};
	StoreRange	inside[4] = {{a, 10, 64, NULL}, {a, 20, 5, NULL}, {a, 20, 0, NULL}, {a, 12, 64, NULL}};

	CHECK(store_merge_gap(&store.base) == 100, "the gap is the driver's");
	CHECK(get(&store, near_by, 3) && strcmp(store.reads, "a:0+250*3 ") == 0, "a gap of 99 bytes");
	CHECK(get(&store, far, 3) && strcmp(store.reads, "a:0+50*1 a:150+50*1 b:60+10*1 ") == 0,
		  "a gap of 100 bytes is not, nor are two objects one");
	CHECK(get(&store, inside, 4) && strcmp(store.reads, "a:10+66*3 ") == 0, "ranges that overlap");
	CHECK(get(&store, inside, 1) && strcmp(store.reads, "a:10+64*1 ") == 0, "one range");
	store.base.merge_gap = 0;
	CHECK(get(&store, near_by, 3) && strcmp(store.reads, "a:0+51*1 a:150+10*1 a:200+50*1 ") == 0,
		  "without a gap nothing is merged");
	CHECK(get(&store, inside, 4) && strcmp(store.reads, "a:10+64*1 a:12+64*1 a:20+5*1 ") == 0,
		  "not even what overlaps");
}

static void
test_failed_range(void)
{
	NotingStore store = {.base = {&noting_ops, 0, 100}, .fail_at = 1};
	StoreRange	ranges[4] = {
		{"b", 0, 1, into[0]}, {"a", 9, 0, into[1]}, {"a", 30, 1, into[2]}, {"a", 20, 1, into[3]}
	};
	int			failed = -2;
	SvError		err;

	CHECK(store_get(&store.base, ranges, 4, &failed, NULL, &err) == SV_IO && failed == 0,
		  "a range of the second read");
	store.fail_at = 0;
	CHECK(store_get(&store.base, ranges, 4, &failed, NULL, &err) == SV_IO && failed == 3,
		  "the first of the first read");
	CHECK(store_get(&store.base, ranges + 2, 1, &failed, NULL, &err) == SV_IO && failed == 0, "the only one");
}

/* A merged read has a bound, a range by itself has none. */
static void
test_bound(void)
{
	NotingStore store = {.base = {&noting_ops, 0, 100}, .fail_at = -1};
	size_t		len = STORE_MAX_MERGED_BYTES / 2;
	uint8_t    *dst = malloc(len * 4);
	StoreRange	ranges[3] = {
		{"a", 0, len, dst}, {"a", len, len, dst + len}, {"a", 2 * len, 2 * len, dst + 2 * len}
	};
	char		expected[128];
	SvError		err;

	snprintf(expected, sizeof(expected), "a:0+%zu*2 a:%zu+%zu*1 ", 2 * len, 2 * len, 2 * len);
	CHECK(store_get(&store.base, ranges, 3, NULL, NULL, &err) == SV_OK && strcmp(store.reads, expected) == 0,
		  "neighbours up to the bound");
	free(dst);
}

int
main(void)
{
	test_merging();
	test_failed_range();
	test_bound();
	return unit_done();
}
