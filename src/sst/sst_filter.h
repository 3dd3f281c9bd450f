/*
 * sst_filter.h
 *		Which keys are not in a run: a blocked Bloom filter, one cache line a key.
 *
 * It is fed and asked with sv_hash64 of the key.  A key that was added is
 * always found; of others about one in 100 at 10 bits a key, which is as good
 * as lines of 64 bytes can be.
 */
#ifndef SST_FILTER_H
#define SST_FILTER_H

#include "base/sv_buffer.h"
#include "base/sv_prefetch.h"

#define SST_FILTER_DEFAULT_BITS 10
#define SST_FILTER_MAX_BITS 20

#define SST_FILTER_LINE_BYTES 64

/* The filter being filled; keeps 8 bytes a key until it is finished. */
typedef struct SstFilterBuilder
{
	SvBuffer	hashes;
} SstFilterBuilder;

extern void sst_filter_builder_init(SstFilterBuilder *builder, const SvAlloc *alloc);
extern void sst_filter_builder_free(SstFilterBuilder *builder);
extern SvStatus sst_filter_builder_add(SstFilterBuilder *builder, uint64_t hash, SvError *err);

/* Appends the filter to *out: nothing if no key was added or bits_per_key is 0. */
extern SvStatus sst_filter_builder_finish(SstFilterBuilder *builder, uint32_t bits_per_key,
										  SvBuffer *out, SvError *err);

/*
 * A parsed filter: borrows the bytes it was parsed from.  With a line_count of
 * 0 it is absent: every key may be there.
 */
typedef struct SstFilter
{
	const uint8_t *lines;
	uint32_t	line_count;
	uint32_t	probes;
} SstFilter;

/* Takes any bytes; empty ones are the absent filter.  NULL, or what is wrong. */
extern const char *sst_filter_parse(SstFilter *filter, SvSlice bytes);

static inline const uint8_t *
sst_filter_line(const SstFilter *filter, uint64_t hash)
{
	return filter->lines +
		(((hash >> 32) * filter->line_count) >> 32) * SST_FILTER_LINE_BYTES;
}

SV_PREFETCHES
sst_filter_prefetch(const SstFilter *filter, uint64_t hash)
{
	if (filter->line_count > 0)
		sv_prefetch(sst_filter_line(filter, hash));
}

extern bool sst_filter_may_have(const SstFilter *filter, uint64_t hash);

#endif							/* SST_FILTER_H */
