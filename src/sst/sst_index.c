/*
 * sst_index.c
 *		The block index: FORMAT.md, "Block index".
 */
#include "sst/sst_index.h"

#include "base/sv_coding.h"
#include "base/sv_prefetch.h"
#include "sst/sst_block.h"
#include "sst/sst_format.h"

/* As long as a record, so that records, like parts, begin at multiples of their length. */
#define HEADER_LAST_KEY	4		/* behind the number of blocks */
#define HEADER_ZEROES	8		/* from here on */
#define HEADER_BYTES	32

/* A record: offset, checksum, stored and raw bytes, flags, entries, place of the low key. */
#define RECORD_CHECKSUM	8
#define RECORD_STORED	16
#define RECORD_RAW		20
#define RECORD_FLAGS	24
#define RECORD_ENTRIES	26
#define RECORD_LOW_KEY	28
#define RECORD_BYTES	32

_Static_assert(HEADER_BYTES % SST_PART_ALIGN == 0 && SST_PART_ALIGN % RECORD_BYTES == 0,
			   "no record lies across two cache lines");

void
sst_index_builder_init(SstIndexBuilder *builder, const SvAlloc *alloc)
{
	sv_buffer_init(&builder->records, alloc);
	sv_buffer_init(&builder->keys, alloc);
	builder->count = 0;
}

void
sst_index_builder_free(SstIndexBuilder *builder)
{
	sv_buffer_free(&builder->records);
	sv_buffer_free(&builder->keys);
}

/* Length of the shortest prefix of key that is greater than before. */
static size_t
separating_prefix(SvSlice key, SvSlice before)
{
	size_t		n = 0;

	while (n < before.len && before.data[n] == key.data[n])
		n++;
	return n + 1;
}

static SvStatus
check_size(const SstIndexBuilder *builder, size_t more, SvError *err)
{
	if (builder->records.len + builder->keys.len + more > SST_MAX_TAIL_BYTES / 2)
		return sv_fail(err, SV_INVALID, "too many data blocks for one file: %u", builder->count);
	return SV_OK;
}

SvStatus
sst_index_builder_begin(SstIndexBuilder *builder, SvSlice first_key, SvSlice key_before,
						SvError *err)
{
	uint8_t		record[RECORD_BYTES] = {0};
	size_t		len = first_key.len;
	SvStatus	status;

	if (builder->count > 0)
		len = separating_prefix(first_key, key_before);
	status = check_size(builder, len + RECORD_BYTES, err);
	if (status != SV_OK)
		return status;
	sv_put_u32(record + RECORD_LOW_KEY, (uint32_t) builder->keys.len);
	status = sv_buffer_append(&builder->records, record, sizeof(record), err);
	if (status == SV_OK)
		status = sv_buffer_append(&builder->keys, first_key.data, len, err);
	if (status == SV_OK)
		builder->count++;
	return status;
}

void
sst_index_builder_place(SstIndexBuilder *builder, uint32_t block, const SstBlockInfo *info)
{
	uint8_t    *record = builder->records.data + block * (size_t) RECORD_BYTES;

	sv_put_u64(record, info->offset);
	sv_put_u64(record + RECORD_CHECKSUM, info->checksum);
	sv_put_u32(record + RECORD_STORED, info->stored_bytes);
	sv_put_u32(record + RECORD_RAW, info->raw_bytes);
	sv_put_u16(record + RECORD_FLAGS, info->flags);
	sv_put_u16(record + RECORD_ENTRIES, info->entries);
}

SvSlice
sst_index_builder_low_key(const SstIndexBuilder *builder, uint32_t block)
{
	const uint8_t *record = builder->records.data + block * (size_t) RECORD_BYTES;
	size_t		at = sv_get_u32(record + RECORD_LOW_KEY);
	size_t		end = builder->keys.len;

	if (block + 1 < builder->count)
		end = sv_get_u32(record + RECORD_BYTES + RECORD_LOW_KEY);
	return sv_slice(end > at ? builder->keys.data + at : NULL, end - at);
}

SvStatus
sst_index_builder_finish(SstIndexBuilder *builder, SvSlice last_key, SvBuffer *tail, SvError *err)
{
	uint8_t		header[HEADER_BYTES] = {0};
	SvStatus	status;

	sv_put_u32(header, builder->count);
	sv_put_u32(header + HEADER_LAST_KEY, (uint32_t) builder->keys.len);
	status = sv_buffer_reserve(tail, sizeof(header) + builder->records.len +
							   builder->keys.len + last_key.len, err);
	if (status == SV_OK)
		status = sv_buffer_append(tail, header, sizeof(header), err);
	if (status == SV_OK)
		status = sv_buffer_append(tail, builder->records.data, builder->records.len, err);
	if (status == SV_OK)
		status = sv_buffer_append(tail, builder->keys.data, builder->keys.len, err);
	if (status == SV_OK)
		status = sv_buffer_append(tail, last_key.data, last_key.len, err);
	return status;
}

static const uint8_t *
record_of(const SstIndex *index, uint32_t block)
{
	return index->records + block * (size_t) RECORD_BYTES;
}

static uint32_t
low_key_at(const SstIndex *index, uint32_t block)
{
	if (block == index->count)
		return index->last_key_at;
	return sv_get_u32(record_of(index, block) + RECORD_LOW_KEY);
}

/* A block's numbers by themselves. */
static const char *
check_block(const SstBlockInfo *info, uint16_t known_flags)
{
	bool		large = (info->flags & SST_BLOCK_LARGE) != 0;
	bool		zstd = (info->flags & SST_BLOCK_ZSTD) != 0;

	if ((info->flags & ~known_flags) != 0 ||
		((info->flags & SST_BLOCK_DICTIONARY) != 0 && !zstd))
		return "wrong flags of a block in the block index";
	if (info->raw_bytes > SST_MAX_BLOCK_BYTES || large != (info->raw_bytes > SST_FRAME_BYTES))
		return "wrong size of a block in the block index";
	if (info->entries == 0 || (large && info->entries != 1) ||
		sst_block_trailer_bytes(info->entries) >= info->raw_bytes)
		return "wrong number of entries in the block index";
	if (info->stored_bytes == 0 ||
		(zstd ? info->stored_bytes >= info->raw_bytes : info->stored_bytes != info->raw_bytes))
		return "wrong stored size in the block index";
	return NULL;
}

/* The keys lie one behind the other, and ascend; a low key may be the last key too. */
static const char *
check_keys(const SstIndex *index)
{
	SvSlice		before = sv_slice(NULL, 0);

	if (low_key_at(index, 0) != 0)
		return "keys of the block index are out of place";
	for (uint32_t i = 0; i <= index->count; i++)
	{
		uint32_t	at = low_key_at(index, i);
		uint32_t	end = i < index->count ? low_key_at(index, i + 1) : index->keys_bytes;
		SvSlice		key;
		int			c;

		if (at > end || end > index->keys_bytes || end - at > SST_MAX_KEY_BYTES)
			return "keys of the block index are out of place";
		key = sv_slice(end > at ? index->keys + at : NULL, end - at);
		c = sv_slice_compare(key, before);
		if (i > 0 && (i < index->count ? c <= 0 : c < 0))
			return "keys of the block index do not ascend";
		before = key;
	}
	return NULL;
}

/* The header and where the records and the keys are. */
static const char *
parse_extents(SstIndex *index, SvSlice bytes)
{
	if (bytes.len < HEADER_BYTES)
		return "block index is cut off";
	index->count = sv_get_u32(bytes.data);
	index->last_key_at = sv_get_u32(bytes.data + HEADER_LAST_KEY);
	for (size_t i = HEADER_ZEROES; i < HEADER_BYTES; i++)
		if (bytes.data[i] != 0)
			return "header of the block index is malformed";
	bytes = sv_slice(bytes.data + HEADER_BYTES, bytes.len - HEADER_BYTES);
	if (index->count > bytes.len / RECORD_BYTES ||
		bytes.len - index->count * (size_t) RECORD_BYTES > UINT32_MAX)
		return "block index is cut off";
	index->records = bytes.data;
	index->keys = bytes.data + index->count * (size_t) RECORD_BYTES;
	index->keys_bytes = (uint32_t) (bytes.len - index->count * (size_t) RECORD_BYTES);
	return NULL;
}

const char *
sst_index_parse(SstIndex *index, SvSlice bytes, uint64_t data_bytes, uint64_t entries,
				bool has_dictionary)
{
	uint16_t	known_flags = SST_BLOCK_ZSTD | SST_BLOCK_LARGE |
		(has_dictionary ? SST_BLOCK_DICTIONARY : 0);
	uint64_t	offset = 0;
	uint64_t	counted = 0;
	const char *problem = parse_extents(index, bytes);

	for (uint32_t i = 0; problem == NULL && i < index->count; i++)
	{
		SstBlockInfo info = sst_index_block(index, i);

		problem = check_block(&info, known_flags);
		if (problem == NULL && info.offset != offset)
			problem = "blocks do not follow one another";
		offset += info.stored_bytes;
		counted += info.entries;
	}
	if (problem != NULL)
		return problem;
	if (offset != data_bytes)
		return "blocks do not fill the file up to the tail";
	if (counted != entries)
		return "block index and properties count different numbers of entries";
	if (index->count == 0)
		return index->keys_bytes == 0 && index->last_key_at == 0 ? NULL :
			"keys in the block index of a file without blocks";
	return check_keys(index);
}

SstBlockInfo
sst_index_block(const SstIndex *index, uint32_t block)
{
	const uint8_t *record = record_of(index, block);
	SstBlockInfo info = {
		.offset = sv_get_u64(record),
		.checksum = sv_get_u64(record + RECORD_CHECKSUM),
		.stored_bytes = sv_get_u32(record + RECORD_STORED),
		.raw_bytes = sv_get_u32(record + RECORD_RAW),
		.flags = sv_get_u16(record + RECORD_FLAGS),
		.entries = sv_get_u16(record + RECORD_ENTRIES)
	};

	return info;
}

void
sst_index_prefetch(const SstIndex *index, uint32_t block)
{
	sv_prefetch(record_of(index, block));
}

SvSlice
sst_index_low_key(const SstIndex *index, uint32_t block)
{
	uint32_t	at = low_key_at(index, block);
	uint32_t	end = low_key_at(index, block + 1);

	return sv_slice(end > at ? index->keys + at : NULL, end - at);
}

SvSlice
sst_index_last_key(const SstIndex *index)
{
	uint32_t	at = index->last_key_at;

	return sv_slice(index->keys_bytes > at ? index->keys + at : NULL, index->keys_bytes - at);
}

uint32_t
sst_index_rank(const SstIndex *index, SvSlice key, uint32_t low, uint32_t high)
{
	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (sv_slice_compare(sst_index_low_key(index, middle), key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
