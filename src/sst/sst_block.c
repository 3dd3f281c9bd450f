/*
 * sst_block.c
 *		Data blocks: FORMAT.md, "Data block" and "Entry".
 */
#include "sst/sst_block.h"

#include "base/sv_coding.h"
#include "sst/sst_format.h"

#define OFFSET_BYTES	2
#define COUNT_BYTES		2

/* The first byte of an entry: an SstKind, and this. */
#define ENTRY_EXPIRES	0x80

/* First byte, length of the key, expiry: the most that precedes the key. */
#define ENTRY_HEAD_MAX	(1 + SV_VARINT32_MAX_BYTES + 8)

_Static_assert(ENTRY_HEAD_MAX + OFFSET_BYTES + COUNT_BYTES <= 64,
			   "SST_MAX_BLOCK_BYTES has room for one entry of any size");
_Static_assert(SST_FRAME_BYTES - 1 <= UINT16_MAX, "offsets and counts fit two bytes");

void
sst_block_builder_init(SstBlockBuilder *builder, const SvAlloc *alloc)
{
	sv_buffer_init(&builder->entries, alloc);
	sv_buffer_init(&builder->offsets, alloc);
	builder->count = 0;
}

void
sst_block_builder_free(SstBlockBuilder *builder)
{
	sv_buffer_free(&builder->entries);
	sv_buffer_free(&builder->offsets);
	builder->count = 0;
}

void
sst_block_builder_reset(SstBlockBuilder *builder)
{
	if (builder->entries.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&builder->entries);
	sv_buffer_reset(&builder->entries);
	sv_buffer_reset(&builder->offsets);
	builder->count = 0;
}

static size_t
entry_bytes(const SstEntry *entry)
{
	return 1 + sv_varint_bytes(entry->key.len) +
		(entry->expires_at != SST_NEVER_EXPIRES ? 8 : 0) +
		entry->key.len + entry->value.len;
}

size_t
sst_block_builder_bytes(const SstBlockBuilder *builder, const SstEntry *entry)
{
	size_t		bytes = builder->entries.len + builder->offsets.len + COUNT_BYTES;

	return entry == NULL ? bytes : bytes + entry_bytes(entry) + OFFSET_BYTES;
}

/* Writes what precedes the key, and returns its length. */
static size_t
put_head(uint8_t *dst, const SstEntry *entry)
{
	bool		expires = entry->expires_at != SST_NEVER_EXPIRES;
	size_t		n = 1;

	dst[0] = (uint8_t) (entry->kind | (expires ? ENTRY_EXPIRES : 0));
	n += sv_varint_put(dst + n, entry->key.len);
	if (expires)
	{
		sv_put_u64(dst + n, (uint64_t) entry->expires_at);
		n += 8;
	}
	return n;
}

SvStatus
sst_block_builder_add(SstBlockBuilder *builder, const SstEntry *entry, SvError *err)
{
	uint8_t		head[ENTRY_HEAD_MAX];
	uint8_t		offset[OFFSET_BYTES];
	SvStatus	status;

	sv_put_u16(offset, (uint16_t) builder->entries.len);
	status = sv_buffer_append(&builder->offsets, offset, sizeof(offset), err);
	if (status != SV_OK)
		return status;

	/* All at once, the table's room included, so that a large value is not moved about. */
	status = sv_buffer_reserve(&builder->entries,
							   entry_bytes(entry) + builder->offsets.len + COUNT_BYTES, err);
	if (status == SV_OK)
		status = sv_buffer_append(&builder->entries, head, put_head(head, entry), err);
	if (status == SV_OK)
		status = sv_buffer_append(&builder->entries, entry->key.data, entry->key.len, err);
	if (status == SV_OK)
		status = sv_buffer_append(&builder->entries, entry->value.data, entry->value.len, err);
	if (status == SV_OK)
		builder->count++;
	return status;
}

SvStatus
sst_block_builder_finish(SstBlockBuilder *builder, SvSlice *raw, SvError *err)
{
	uint8_t		count[COUNT_BYTES];
	SvStatus	status;

	sv_put_u16(count, (uint16_t) builder->count);
	status = sv_buffer_append(&builder->entries, builder->offsets.data, builder->offsets.len, err);
	if (status == SV_OK)
		status = sv_buffer_append(&builder->entries, count, sizeof(count), err);
	if (status == SV_OK)
		*raw = sv_buffer_slice(&builder->entries);
	return status;
}

const char *
sst_block_parse(SstBlock *block, SvSlice raw)
{
	size_t		table_bytes;

	if (raw.len < COUNT_BYTES)
		return "block is too short";
	block->data = raw.data;
	block->count = sv_get_u16(raw.data + raw.len - COUNT_BYTES);
	table_bytes = block->count * (size_t) OFFSET_BYTES + COUNT_BYTES;
	if (block->count == 0)
		return "block without entries";
	if (raw.len < table_bytes)
		return "offset table does not fit the block";
	block->entries_bytes = raw.len - table_bytes;
	if (sv_get_u16(block->data + block->entries_bytes) != 0)
		return "first entry is not at the block's start";
	return NULL;
}

/* The bytes of the i-th entry; false if the offset table is wrong there. */
static bool
entry_extent(const SstBlock *block, uint32_t i, SvSlice *bytes)
{
	const uint8_t *table = block->data + block->entries_bytes;
	size_t		start = sv_get_u16(table + i * (size_t) OFFSET_BYTES);
	size_t		end = block->entries_bytes;

	if (i + 1 < block->count)
		end = sv_get_u16(table + (i + 1) * (size_t) OFFSET_BYTES);
	if (start >= end || end > block->entries_bytes)
		return false;
	*bytes = sv_slice(block->data + start, end - start);
	return true;
}

const char *
sst_block_entry(const SstBlock *block, uint32_t i, SstEntry *entry)
{
	SvSlice		bytes;
	SvCursor	c;
	uint8_t		first;
	uint32_t	key_len;
	uint64_t	expires_at = (uint64_t) SST_NEVER_EXPIRES;

	if (!entry_extent(block, i, &bytes))
		return "offset table is not ascending";
	c = sv_cursor(bytes);
	if (!sv_cursor_u8(&c, &first) || !sv_cursor_varint32(&c, &key_len))
		return "entry is cut off";
	if (first & ENTRY_EXPIRES)
	{
		if (!sv_cursor_u64(&c, &expires_at))
			return "entry is cut off";
		if (expires_at == (uint64_t) SST_NEVER_EXPIRES)
			return "stored expiry means none";
	}
	if (key_len > SST_MAX_KEY_BYTES)
		return "key is too long";
	if (!sv_cursor_bytes(&c, key_len, &entry->key))
		return "entry is cut off";
	if (c.left > SST_MAX_VALUE_BYTES)
		return "value is too long";
	entry->value = sv_slice(c.left > 0 ? c.at : NULL, c.left);
	entry->expires_at = (int64_t) expires_at;

	switch (first & ~ENTRY_EXPIRES)
	{
		case SST_VALUE:
			entry->kind = SST_VALUE;
			return NULL;
		case SST_TOMBSTONE:
			entry->kind = SST_TOMBSTONE;
			return c.left == 0 ? NULL : "tombstone has a value";
		default:
			return "unknown kind of entry";
	}
}

const char *
sst_block_seek(const SstBlock *block, SvSlice key, uint32_t *position, bool *exact,
			   SstEntry *entry)
{
	uint32_t	low = 0;
	uint32_t	high = block->count;

	*exact = false;
	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;
		const char *problem = sst_block_entry(block, middle, entry);
		int			c;

		if (problem != NULL)
			return problem;
		c = sv_slice_compare(entry->key, key);
		if (c == 0)
		{
			*exact = true;
			*position = middle;
			return NULL;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*position = low;
	return NULL;
}
