/*
 * test_sst_filter.c
 *		The filter: no key that was added is missed, few others pass, and any
 *		bytes are a filter or are refused.
 */
#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst/sst_filter.h"
#include "sst_fixture.h"
#include "unit.h"

#define KEYS	500000
#define ABSENT	1000000

static uint64_t
hash_of(uint64_t key)
{
	uint8_t		bytes[8];

	sv_put_u64(bytes, key);
	return sv_hash64(sv_slice(bytes, sizeof(bytes)));
}

/* The filter of the keys 0 to n - 1. */
static void
build(uint64_t n, uint32_t bits, SvBuffer *out)
{
	SstFilterBuilder builder;

	sv_buffer_init(out, &sv_malloc_alloc);
	sst_filter_builder_init(&builder, &sv_malloc_alloc);
	for (uint64_t i = 0; i < n; i++)
		if (sst_filter_builder_add(&builder, hash_of(i), NULL) != SV_OK)
			abort();
	if (sst_filter_builder_finish(&builder, bits, out, NULL) != SV_OK)
		abort();
	sst_filter_builder_free(&builder);
}

/* FORMAT.md's example. */
static void
test_example(void)
{
	static const uint32_t bits[] = {139, 491, 427, 113, 439, 327};
	const uint64_t hash = UINT64_C(0x0123456789abcdef);
	static uint8_t bytes[1001 * SST_FILTER_LINE_BYTES] = {1000 & 0xff, 1000 >> 8, 0, 0, 6};
	SstFilter	filter;
	bool		right = true;

	for (int i = 0; i < 6; i++)
	{
		right = right && (sst_filter_parse(&filter, sv_slice(bytes, sizeof(bytes))) != NULL ||
						  !sst_filter_may_have(&filter, hash));
		bytes[5 * SST_FILTER_LINE_BYTES + bits[i] / 8] |= (uint8_t) (1 << bits[i] % 8);
	}
	CHECK(right && sst_filter_parse(&filter, sv_slice(bytes, sizeof(bytes))) == NULL &&
		  sst_filter_may_have(&filter, hash), "a key's bits are those of the format");
}

static bool
has_all(const SstFilter *filter, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (!sst_filter_may_have(filter, hash_of(i)))
			return false;
	return true;
}

static void
test_rate(void)
{
	SvBuffer	bytes;
	SstFilter	filter;
	uint64_t	passed = 0;

	build(KEYS, SST_FILTER_DEFAULT_BITS, &bytes);
	CHECK(sst_filter_parse(&filter, sv_buffer_slice(&bytes)) == NULL && has_all(&filter, KEYS),
		  "each key that was added is found");
	for (uint64_t i = 0; i < ABSENT; i++)
		passed += sst_filter_may_have(&filter, hash_of(i + UINT64_C(1000000000)));
	printf("# %.3f %% of absent keys pass\n", (double) passed * 100 / ABSENT);
	CHECK(passed > 0 && passed < ABSENT / 100, "of other keys less than one in 100 passes");
	CHECK(bytes.len - SST_FILTER_LINE_BYTES <= KEYS * SST_FILTER_DEFAULT_BITS / 8 +
		  SST_FILTER_LINE_BYTES, "and the filter takes the bits it is said to take");
	sv_buffer_free(&bytes);
}

/* More bits let fewer keys pass, whatever the number; no key is missed with any. */
static void
test_bits(void)
{
	uint64_t	passed_before = UINT64_MAX;
	uint64_t	passed_14 = 0;
	bool		right = true;

	for (uint32_t bits = 1; bits <= SST_FILTER_MAX_BITS; bits++)
	{
		SvBuffer	bytes;
		SstFilter	filter;
		uint64_t	passed = 0;

		build(KEYS / 10, bits, &bytes);
		right = right && sst_filter_parse(&filter, sv_buffer_slice(&bytes)) == NULL &&
			has_all(&filter, KEYS / 10);
		for (uint64_t i = 0; i < ABSENT / 2; i++)
			passed += sst_filter_may_have(&filter, hash_of(i + UINT64_C(1000000000)));
		right = right && passed < passed_before;
		passed_before = passed;
		if (bits == 14)
			passed_14 = passed;
		sv_buffer_free(&bytes);
	}
	CHECK(right, "every number of bits is better than the one below");
	CHECK(passed_14 < ABSENT / 2 / 400, "14 bits let less than one in 400 pass");
	CHECK(passed_before < ABSENT / 2 / 2000, "20 bits let less than one in 2000 pass");
}

static void
test_few_keys(void)
{
	bool		right = true;

	for (uint64_t n = 1; n < 200; n++)
	{
		SvBuffer	bytes;
		SstFilter	filter;

		build(n, SST_FILTER_DEFAULT_BITS, &bytes);
		right = right && sst_filter_parse(&filter, sv_buffer_slice(&bytes)) == NULL &&
			filter.line_count == (n * 10 + 511) / 512 && has_all(&filter, n);
		sv_buffer_free(&bytes);
	}
	CHECK(right, "filters of few keys");
}

static void
test_absent(void)
{
	SvBuffer	bytes;
	SstFilter	filter;
	SstFilterBuilder builder;

	build(0, SST_FILTER_DEFAULT_BITS, &bytes);
	CHECK(bytes.len == 0, "no filter of no keys");
	build(100, 0, &bytes);
	CHECK(bytes.len == 0, "no filter of no bits");
	CHECK(sst_filter_parse(&filter, sv_slice(NULL, 0)) == NULL && filter.line_count == 0 &&
		  has_all(&filter, 100), "without a filter every key may be there");
	sst_filter_prefetch(&filter, 1);
	sst_filter_builder_init(&builder, &sv_malloc_alloc);
	CHECK(sst_filter_builder_finish(&builder, SST_FILTER_MAX_BITS + 1, &bytes,
									NULL) == SV_INVALID, "too many bits");
	sst_filter_builder_free(&builder);
}

/* Whether the filter is taken with one byte changed; what is refused is like no filter at all. */
static bool
is_taken(const SvBuffer *bytes, size_t at, uint8_t value)
{
	SstFilter	filter;
	uint8_t		was = bytes->data[at];
	bool		taken;

	bytes->data[at] = value;
	taken = sst_filter_parse(&filter, sv_buffer_slice(bytes)) == NULL;
	if (taken ? filter.line_count == 0 : !has_all(&filter, 10))
		abort();
	(void) sst_filter_may_have(&filter, hash_of(5));
	bytes->data[at] = was;
	return taken;
}

static void
test_hostile(void)
{
	SvBuffer	bytes;
	SstFilter	filter;
	bool		refused = true;

	build(300, SST_FILTER_DEFAULT_BITS, &bytes);
	for (size_t at = 0; at < SST_FILTER_LINE_BYTES; at++)
		for (int value = 0; value < 256; value++)
		{
			bool		harmless = value == bytes.data[at] || (at == 4 && value >= 1 && value <= 16);

			refused = refused && is_taken(&bytes, at, (uint8_t) value) == harmless;
		}
	CHECK(refused, "every wrong byte of the header is refused");
	for (size_t len = 1; len < bytes.len; len++)
		refused = refused && sst_filter_parse(&filter, sv_slice(bytes.data, len)) != NULL;
	CHECK(refused, "and so is every part of a filter");
	CHECK(is_taken(&bytes, bytes.len - 1, 0xff), "the bits may be anything");
	sv_buffer_free(&bytes);
}

static void
test_no_memory(void)
{
	bool		right = true;
	bool		leaked = false;
	long		n = 0;
	SvStatus	status;

	do
	{
		FailingAlloc state = {.countdown = n++};
		SvAlloc		alloc = failing_alloc(&state);
		SstFilterBuilder builder;
		SvBuffer	out;

		sst_filter_builder_init(&builder, &alloc);
		sv_buffer_init(&out, &alloc);
		status = SV_OK;
		for (uint64_t i = 0; i < 100 && status == SV_OK; i++)
			status = sst_filter_builder_add(&builder, hash_of(i), NULL);
		if (status == SV_OK)
			status = sst_filter_builder_finish(&builder, 10, &out, NULL);
		right = right && status == (state.failed ? SV_NO_MEMORY : SV_OK);
		sv_buffer_free(&out);
		sst_filter_builder_free(&builder);
		leaked = leaked || state.outstanding != 0;
	} while (status == SV_NO_MEMORY && right);
	CHECK(right && status == SV_OK && n > 3, "each allocation that fails is SV_NO_MEMORY");
	CHECK(!leaked, "and leaks nothing");
}

/* The hash that all of this stands on: its published results for no bytes, and both lengths of it. */
static void
test_hash(void)
{
	uint64_t	hash[2];

	sv_hash128(sv_slice(NULL, 0), hash);
	CHECK(sv_hash64(sv_slice(NULL, 0)) == UINT64_C(0x2d06800538d394c2), "XXH3 of 64 bits");
	CHECK(hash[1] == UINT64_C(0x99aa06d3014798d8) && hash[0] == UINT64_C(0x6001c324468d497f),
		  "XXH3 of 128 bits");
}

int
main(void)
{
	test_hash();
	test_example();
	test_rate();
	test_bits();
	test_few_keys();
	test_absent();
	test_hostile();
	test_no_memory();
	return unit_done();
}
