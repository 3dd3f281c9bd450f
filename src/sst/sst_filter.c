/*
 * sst_filter.c
 *		The blocked Bloom filter: FORMAT.md, "Filter".
 *
 * The upper half of a key's hash picks a line of 512 bits, the lower half the
 * bits in it, one per probe.
 */
#include "sst/sst_filter.h"

#include "base/sv_coding.h"

#define HEADER_PROBES	4		/* behind the number of lines */
#define HEADER_ZEROES	5		/* from here on */
#define HEADER_BYTES	SST_FILTER_LINE_BYTES

#define LINE_BITS		(SST_FILTER_LINE_BYTES * 8)
#define LINE_BITS_LOG2	9
#define MAX_PROBES		16
#define DEFAULT_PROBES	6		/* of SST_FILTER_DEFAULT_BITS, below */

/* Enough for 200 million keys; with more of them the filter lets more pass. */
#define MAX_LINES		((uint32_t) 1 << 22)

/* So far ahead lines are fetched while the filter is filled. */
#define FILL_AHEAD		16

/* 2^64 divided by the golden ratio. */
#define GOLDEN			UINT64_C(0x9e3779b97f4a7c15)

_Static_assert(LINE_BITS == 1 << LINE_BITS_LOG2, "a probe is so many bits of a number");

/* Best by measurement for lines of this size. */
static const uint8_t probes_for_bits[SST_FILTER_MAX_BITS + 1] = {
	0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8, 8, 8, 9, 9, 10, 10, 11, 11
};

void
sst_filter_builder_init(SstFilterBuilder *builder, const SvAlloc *alloc)
{
	sv_buffer_init(&builder->hashes, alloc);
}

void
sst_filter_builder_free(SstFilterBuilder *builder)
{
	sv_buffer_free(&builder->hashes);
}

SvStatus
sst_filter_builder_add(SstFilterBuilder *builder, uint64_t hash, SvError *err)
{
	return sv_buffer_append(&builder->hashes, &hash, sizeof(hash), err);
}

/* The number that the first probe is the top of: made of the lower half of the hash only. */
static inline uint64_t
first_probe(uint64_t hash)
{
	uint64_t	x = (hash & UINT32_MAX) * GOLDEN;

	return (x ^ x >> 32) * GOLDEN;
}

static inline uint64_t
next_probe(uint64_t x)
{
	return x * GOLDEN;
}

static inline uint32_t
probe_bit(uint64_t x)
{
	return (uint32_t) (x >> (64 - LINE_BITS_LOG2));
}

static uint64_t
hash_at(const SstFilterBuilder *builder, size_t i)
{
	uint64_t	hash;

	memcpy(&hash, builder->hashes.data + i * sizeof(hash), sizeof(hash));
	return hash;
}

static void
fill_lines(const SstFilterBuilder *builder, size_t keys, const SstFilter *filter, uint8_t *lines)
{
	for (size_t i = 0; i < keys; i++)
	{
		uint64_t	hash = hash_at(builder, i);
		uint64_t	x = first_probe(hash);
		uint8_t    *line = lines + (sst_filter_line(filter, hash) - filter->lines);

		if (i + FILL_AHEAD < keys)
			sst_filter_prefetch(filter, hash_at(builder, i + FILL_AHEAD));
		for (uint32_t probe = 0; probe < filter->probes; probe++, x = next_probe(x))
			line[probe_bit(x) / 8] |= (uint8_t) (1 << probe_bit(x) % 8);
	}
}

SvStatus
sst_filter_builder_finish(SstFilterBuilder *builder, uint32_t bits_per_key, SvBuffer *out,
						  SvError *err)
{
	size_t		keys = builder->hashes.len / sizeof(uint64_t);
	uint64_t	lines;
	uint64_t	bytes;
	uint8_t    *header;
	SstFilter	filter;
	SvStatus	status;

	if (bits_per_key > SST_FILTER_MAX_BITS)
		return sv_fail(err, SV_INVALID, "%u filter bits per key are over the limit of %d",
					   bits_per_key, SST_FILTER_MAX_BITS);
	if (keys == 0 || bits_per_key == 0)
		return SV_OK;
	lines = ((uint64_t) keys * bits_per_key - 1) / LINE_BITS + 1;
	if (lines > MAX_LINES)
		lines = MAX_LINES;
	bytes = HEADER_BYTES + lines * SST_FILTER_LINE_BYTES;
	status = sv_buffer_reserve(out, bytes, err);
	if (status != SV_OK)
		return status;

	header = out->data + out->len;
	memset(header, 0, bytes);
	sv_put_u32(header, (uint32_t) lines);
	header[HEADER_PROBES] = probes_for_bits[bits_per_key];
	out->len += bytes;
	filter = (SstFilter) {header + HEADER_BYTES, (uint32_t) lines, header[HEADER_PROBES]};
	fill_lines(builder, keys, &filter, header + HEADER_BYTES);
	return SV_OK;
}

const char *
sst_filter_parse(SstFilter *filter, SvSlice bytes)
{
	*filter = (SstFilter) {NULL, 0, 0};
	if (bytes.len == 0)
		return NULL;
	if (bytes.len < HEADER_BYTES)
		return "filter is cut off";
	for (size_t i = HEADER_ZEROES; i < HEADER_BYTES; i++)
		if (bytes.data[i] != 0)
			return "header of the filter is malformed";
	if (bytes.data[HEADER_PROBES] == 0 || bytes.data[HEADER_PROBES] > MAX_PROBES)
		return "filter has a wrong number of probes";
	if (sv_get_u32(bytes.data) == 0 ||
		sv_get_u32(bytes.data) * (uint64_t) SST_FILTER_LINE_BYTES != bytes.len - HEADER_BYTES)
		return "filter has a wrong number of lines";
	*filter = (SstFilter) {
		bytes.data + HEADER_BYTES, sv_get_u32(bytes.data), bytes.data[HEADER_PROBES]
	};
	return NULL;
}

static inline uint32_t
line_bit(const uint8_t *line, uint64_t x)
{
	return (uint32_t) line[probe_bit(x) / 8] >> probe_bit(x) % 8;
}

/* All six probes of SST_FILTER_DEFAULT_BITS. */
static inline uint32_t
line_default_bits(const uint8_t *line, uint64_t x)
{
	uint64_t	x2 = next_probe(x);
	uint64_t	x3 = next_probe(x2);
	uint64_t	x4 = next_probe(x3);
	uint64_t	x5 = next_probe(x4);
	uint64_t	x6 = next_probe(x5);

	return line_bit(line, x) & line_bit(line, x2) & line_bit(line, x3) &
		line_bit(line, x4) & line_bit(line, x5) & line_bit(line, x6);
}

/* Looks at all probes: they are of one cache line, and a branch each would be guessed wrong. */
bool
sst_filter_may_have(const SstFilter *filter, uint64_t hash)
{
	uint64_t	x = first_probe(hash);
	uint32_t	all = 1;
	const uint8_t *line;

	if (filter->line_count == 0)
		return true;
	line = sst_filter_line(filter, hash);
	if (filter->probes == DEFAULT_PROBES)
		return (line_default_bits(line, x) & 1) != 0;
	for (uint32_t probe = 0; probe < filter->probes; probe++, x = next_probe(x))
		all &= line_bit(line, x);
	return (all & 1) != 0;
}
