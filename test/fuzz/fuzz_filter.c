/*
 * fuzz_filter.c
 *		Any bytes as a filter, asked about hashes that the input gives; and a
 *		filter of those hashes, which has them all.
 *
 * The input is a byte that says how many hashes there are and how many bits a
 * key gets, the hashes, and a filter.
 */
#include <stdlib.h>

#include "base/sv_coding.h"
#include "sst/sst_filter.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HASH_BYTES	8
#define MAX_HASHES	12

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static bool
has_all(const SstFilter *filter, const uint8_t *hashes, size_t n)
{
	bool		all = true;

	for (size_t i = 0; i < n; i++)
	{
		uint64_t	hash = sv_get_u64(hashes + i * HASH_BYTES);

		sst_filter_prefetch(filter, hash);
		all = sst_filter_may_have(filter, hash) && all;
	}
	return all;
}

static void
build(const uint8_t *hashes, size_t n, uint32_t bits)
{
	SstFilterBuilder builder;
	SstFilter	filter;
	SvBuffer	bytes;

	sv_buffer_init(&bytes, &sv_malloc_alloc);
	sst_filter_builder_init(&builder, &sv_malloc_alloc);
	for (size_t i = 0; i < n; i++)
		require(sst_filter_builder_add(&builder, sv_get_u64(hashes + i * HASH_BYTES),
									   NULL) == SV_OK);
	require(sst_filter_builder_finish(&builder, bits, &bytes, NULL) == SV_OK);
	require(sst_filter_parse(&filter, sv_buffer_slice(&bytes)) == NULL);
	require((filter.line_count > 0) == (n > 0 && bits > 0));
	require(has_all(&filter, hashes, n));
	sst_filter_builder_free(&builder);
	sv_buffer_free(&bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SstFilter	filter;
	size_t		n;

	if (size == 0)
		return 0;
	n = data[0] % (MAX_HASHES + 1);
	if (size - 1 < n * HASH_BYTES)
		return 0;
	build(data + 1, n, data[0] / (MAX_HASHES + 1));
	if (sst_filter_parse(&filter, sv_slice(data + 1 + n * HASH_BYTES,
										   size - 1 - n * HASH_BYTES)) == NULL)
		(void) has_all(&filter, data + 1, n);
	else
		require(has_all(&filter, data + 1, n));
	return 0;
}
