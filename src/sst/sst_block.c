/*
 * sst_block.c
 *		Data blocks: FORMAT.md, "Data block" and "Entry".
 */
#include "sst/sst_block.h"

#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "sst/sst_format.h"

#define TAG_BYTES		1
#define SIZE_BYTES		2		/* of an entry; settled, of its offset */
#define COUNT_BYTES		2
#define TRAILER_BYTES	(TAG_BYTES + SIZE_BYTES)	/* per entry */

/* The first byte of an entry: an SstKind, and this. */
#define ENTRY_EXPIRES	0x80

/* First byte, length of the key, expiry: the most that precedes the key. */
#define ENTRY_HEAD_MAX	(1 + 2 + 8)

_Static_assert(SST_MAX_KEY_BYTES < 1 << 14, "the length of a key takes two bytes at most");
_Static_assert(ENTRY_HEAD_MAX <= SST_ENTRY_HEAD_BYTES, "a head fits what callers provide for it");
_Static_assert(ENTRY_HEAD_MAX + TRAILER_BYTES + COUNT_BYTES <= 64,
			   "SST_MAX_BLOCK_BYTES has room for one entry of any size");
_Static_assert(SST_FRAME_BYTES - 1 <= UINT16_MAX, "offsets, sizes and counts fit two bytes");

/* ---------------------------------------------------------------- building */

void
sst_block_builder_init(SstBlockBuilder *builder, const SvAlloc *alloc)
{
	sv_buffer_init(&builder->entries, alloc);
	sv_buffer_init(&builder->sizes, alloc);
	builder->count = 0;
}

void
sst_block_builder_free(SstBlockBuilder *builder)
{
	sv_buffer_free(&builder->entries);
	sv_buffer_free(&builder->sizes);
	builder->count = 0;
}

void
sst_block_builder_reset(SstBlockBuilder *builder)
{
	if (builder->entries.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&builder->entries);
	sv_buffer_reset(&builder->entries);
	sv_buffer_reset(&builder->sizes);
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
	size_t		bytes = builder->entries.len + sst_block_trailer_bytes(builder->count);

	return entry == NULL ? bytes : bytes + entry_bytes(entry) + TRAILER_BYTES;
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

/* The entry of a large block, which is alone in it, has no size in the table. */
static uint16_t
size_in_table(size_t bytes)
{
	return bytes + TRAILER_BYTES + COUNT_BYTES > SST_FRAME_BYTES ? 0 : (uint16_t) bytes;
}

SvStatus
sst_block_builder_add(SstBlockBuilder *builder, const SstEntry *entry, SvError *err)
{
	uint8_t		head[ENTRY_HEAD_MAX];
	uint8_t		size[SIZE_BYTES];
	size_t		bytes = entry_bytes(entry);
	SvStatus	status;

	sv_put_u16(size, size_in_table(bytes));
	status = sv_buffer_append(&builder->sizes, size, sizeof(size), err);
	if (status != SV_OK)
		return status;

	/* All at once, the trailer's room included, so that a large value is not moved about. */
	status = sv_buffer_reserve(&builder->entries,
							   bytes + sst_block_trailer_bytes(builder->count + 1), err);
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
	SvBuffer   *entries = &builder->entries;
	uint8_t    *at;
	SvStatus	status = sv_buffer_reserve(entries, sst_block_trailer_bytes(builder->count), err);

	if (status != SV_OK)
		return status;
	at = entries->data + entries->len;
	memset(at, 0, builder->count * (size_t) TAG_BYTES);
	at += builder->count * (size_t) TAG_BYTES;
	if (builder->sizes.len > 0)
		memcpy(at, builder->sizes.data, builder->sizes.len);
	sv_put_u16(at + builder->sizes.len, (uint16_t) builder->count);
	entries->len += sst_block_trailer_bytes(builder->count);
	*raw = sv_buffer_slice(entries);
	return SV_OK;
}

/* ----------------------------------------------------------------- entries */

/*
 * Bytes of a shared cache may change between two looks at them.  So what is
 * checked before it is used is read by these: once, whatever the compiler
 * would like.
 */
static inline uint8_t
read_once(const uint8_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline size_t
read_u16_once(const uint8_t *at)
{
	return read_once(at) | (size_t) read_once(at + 1) << 8;
}

static const char *
set_kind(SstEntry *entry, int kind)
{
	switch (kind)
	{
		case SST_VALUE:
			entry->kind = SST_VALUE;
			return NULL;
		case SST_TOMBSTONE:
			entry->kind = SST_TOMBSTONE;
			return entry->value.len == 0 ? NULL : "tombstone has a value";
		default:
			return "unknown kind of entry";
	}
}

/* Reads an expiry at *at, and moves *at behind it. */
static const char *
read_expiry(SvSlice bytes, size_t *at, int64_t *expires_at)
{
	uint64_t	expiry;

	if (bytes.len < *at + 8)
		return "entry is cut off";
	expiry = sv_get_u64(bytes.data + *at);
	if (expiry == (uint64_t) SST_NEVER_EXPIRES)
		return "stored expiry means none";
	*expires_at = (int64_t) expiry;
	*at += 8;
	return NULL;
}

const char *
sst_entry_decode_head(SvSlice first, size_t entry_bytes, SstEntry *entry, size_t *value_at)
{
	SvSlice		bytes = sv_slice(first.data, first.len < entry_bytes ? first.len : entry_bytes);
	size_t		at = 2;
	size_t		key_len;
	uint8_t		kind;

	if (bytes.len < 2)
		return "entry is cut off";
	kind = read_once(bytes.data);
	key_len = read_once(bytes.data + 1);
	if (key_len >= 0x80)
	{
		size_t		high;

		if (bytes.len < 3)
			return "entry is cut off";
		high = read_once(bytes.data + at++);
		if (high == 0)
			return "length of the key is not encoded shortest";
		key_len = (key_len & 0x7f) | high << 7;
		if (key_len > SST_MAX_KEY_BYTES)
			return "key is too long";
	}
	entry->expires_at = SST_NEVER_EXPIRES;
	if ((kind & ENTRY_EXPIRES) != 0)
	{
		const char *problem = read_expiry(bytes, &at, &entry->expires_at);

		if (problem != NULL)
			return problem;
	}
	if (key_len > bytes.len - at)
		return "entry is cut off";
	entry->key = sv_slice(key_len > 0 ? bytes.data + at : NULL, key_len);
	*value_at = at + key_len;
	if (entry_bytes - *value_at > SST_MAX_VALUE_BYTES)
		return "value is too long";
	entry->value = sv_slice(NULL, entry_bytes - *value_at);
	return set_kind(entry, kind & ~ENTRY_EXPIRES);
}

static const char *
decode_entry(SvSlice bytes, SstEntry *entry)
{
	size_t		value_at;
	const char *problem = sst_entry_decode_head(bytes, bytes.len, entry, &value_at);

	if (problem == NULL && entry->value.len > 0)
		entry->value.data = bytes.data + value_at;
	return problem;
}

/* ---------------------------------------------------------------- settling */

/* Makes the i-th entry, of size bytes at `at`, one that readers find. */
static const char *
settle_entry(uint8_t *raw, const SstBlock *block, uint32_t i, size_t at, size_t size)
{
	uint8_t    *tag = raw + block->entries_bytes + i;
	uint8_t    *offset = raw + block->entries_bytes + block->count + i * (size_t) SIZE_BYTES;
	SstEntry	entry;
	const char *problem = decode_entry(sv_slice(raw + at, size), &entry);

	if (problem != NULL)
		return problem;
	if (*tag != 0)
		return "room for the tags is not empty";
	*tag = sst_block_tag(sv_hash64(entry.key));
	sv_put_u16(offset, (uint16_t) at);
	return NULL;
}

const char *
sst_block_settle(uint8_t *raw, size_t len)
{
	SstBlock	block;
	size_t		at = 0;
	const uint8_t *sizes;
	const char *problem = sst_block_parse(&block, sv_slice(raw, len));

	if (problem != NULL)
		return problem;
	sizes = raw + block.entries_bytes + block.count * (size_t) TAG_BYTES;
	if (len > SST_FRAME_BYTES)
	{
		if (block.count != 1)
			return "large block has several entries";
		if (sv_get_u16(sizes) != 0)
			return "size of a large block's entry is not zero";
		return settle_entry(raw, &block, 0, 0, block.entries_bytes);
	}
	for (uint32_t i = 0; i < block.count && problem == NULL; i++)
	{
		size_t		size = sv_get_u16(sizes + i * (size_t) SIZE_BYTES);

		if (size == 0 || size > block.entries_bytes - at)
			return "sizes of the entries do not fit the block";
		problem = settle_entry(raw, &block, i, at, size);
		at += size;
	}
	if (problem == NULL && at != block.entries_bytes)
		return "sizes of the entries do not fill the block";
	return problem;
}

/* ----------------------------------------------------------------- reading */

const char *
sst_block_parse(SstBlock *block, SvSlice settled)
{
	size_t		trailer_bytes;

	if (settled.len < COUNT_BYTES)
		return "block is too short";
	block->data = settled.data;
	block->count = (uint32_t) read_u16_once(settled.data + settled.len - COUNT_BYTES);
	trailer_bytes = sst_block_trailer_bytes(block->count);
	if (block->count == 0)
		return "block without entries";
	if (settled.len < trailer_bytes)
		return "table of the entries does not fit the block";
	block->entries_bytes = settled.len - trailer_bytes;
	return NULL;
}

const char *
sst_block_entry(const SstBlock *block, uint32_t i, SstEntry *entry)
{
	const uint8_t *offsets = block->data + block->entries_bytes + block->count * (size_t) TAG_BYTES;
	size_t		start = read_u16_once(offsets + i * (size_t) SIZE_BYTES);
	size_t		end = block->entries_bytes;

	if (i + 1 < block->count)
		end = read_u16_once(offsets + (i + 1) * (size_t) SIZE_BYTES);
	if (start >= end || end > block->entries_bytes)
		return "offsets of the entries do not ascend";
	return decode_entry(sv_slice(block->data + start, end - start), entry);
}

void
sst_block_next_tagged(const SstBlock *block, uint8_t tag, uint32_t *position)
{
	const uint8_t *tags = block->data + block->entries_bytes;
	const uint8_t *at = NULL;

	if (*position < block->count)
		at = memchr(tags + *position, tag, block->count - *position);
	*position = at == NULL ? block->count : (uint32_t) (at - tags);
}

const char *
sst_block_find(const SstBlock *block, SvSlice key, uint8_t tag, bool *found, SstEntry *entry)
{
	uint32_t	position = 0;

	*found = false;
	for (;;)
	{
		const char *problem;

		sst_block_next_tagged(block, tag, &position);
		if (position == block->count)
			return NULL;
		problem = sst_block_entry(block, position, entry);
		if (problem != NULL)
			return problem;
		*found = sv_slice_equal(entry->key, key);
		if (*found)
			return NULL;
		position++;
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
