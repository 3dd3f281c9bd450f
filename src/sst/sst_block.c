/*
 * sst_block.c
 *		Data blocks: FORMAT.md, "Data block" and "Entry".
 */
#include "sst/sst_block.h"

#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "base/sv_prefetch.h"
#include "sst/sst_format.h"

#define COUNT_BYTES		2

/* The first byte of an entry: an SstKind, and this. */
#define ENTRY_EXPIRES	0x80

/* First byte, lengths of key and value, expiry: the most that precedes the key. */
#define ENTRY_HEAD_MAX	(1 + 2 + 4 + 8)

/* What precedes the key if both lengths take one byte and there is no expiry. */
#define SHORT_HEAD_BYTES	3

/*
 * A slot of the table: 0 if it is empty, else where the entry begins, plus one,
 * and above that bits of its key's hash.
 */
#define SLOT_OFFSET_BITS	14
#define SLOT_OFFSET_MASK	((1u << SLOT_OFFSET_BITS) - 1)
#define SLOT_MASK			((1u << (8 * SST_SLOT_BYTES)) - 1)
#define SLOT_TAG_MASK		((1u << (8 * SST_SLOT_BYTES - SLOT_OFFSET_BITS)) - 1)

/* More than this of an entry is not asked for ahead; what copies a long value asks for the rest. */
#define PREFETCH_MAX	256

_Static_assert(SST_MAX_KEY_BYTES < 1 << 14, "the length of a key takes two bytes at most");
_Static_assert(SST_MAX_VALUE_BYTES < 1 << 28, "the length of a value takes four bytes at most");
_Static_assert(ENTRY_HEAD_MAX <= SST_ENTRY_HEAD_BYTES, "a head fits what callers provide for it");
_Static_assert(ENTRY_HEAD_MAX + 2 * SST_SLOT_BYTES + COUNT_BYTES <= 64,
			   "SST_MAX_BLOCK_BYTES has room for one entry of any size");
_Static_assert(SST_FRAME_BYTES - 1 <= SLOT_OFFSET_MASK, "a slot has room for any offset plus one");
_Static_assert(SST_FRAME_BYTES - 1 <= UINT16_MAX, "offsets and counts fit two bytes");

/* ---------------------------------------------------------------- building */

void
sst_block_builder_init(SstBlockBuilder *builder, const SvAlloc *alloc)
{
	sv_buffer_init(&builder->entries, alloc);
	builder->count = 0;
}

void
sst_block_builder_free(SstBlockBuilder *builder)
{
	sv_buffer_free(&builder->entries);
	builder->count = 0;
}

void
sst_block_builder_reset(SstBlockBuilder *builder)
{
	if (builder->entries.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&builder->entries);
	sv_buffer_reset(&builder->entries);
	builder->count = 0;
}

static size_t
entry_bytes(const SstEntry *entry)
{
	return 1 + sv_varint_bytes(entry->key.len) +
		(entry->kind == SST_VALUE ? sv_varint_bytes(entry->value.len) : 0) +
		(entry->expires_at != SST_NEVER_EXPIRES ? 8 : 0) +
		entry->key.len + entry->value.len;
}

size_t
sst_block_builder_bytes(const SstBlockBuilder *builder, const SstEntry *entry)
{
	size_t		bytes = builder->entries.len;

	if (entry == NULL)
		return bytes + sst_block_trailer_bytes(builder->count);
	return bytes + entry_bytes(entry) + sst_block_trailer_bytes(builder->count + 1);
}

/* Writes what precedes the key, and returns its length. */
static size_t
put_head(uint8_t *dst, const SstEntry *entry)
{
	bool		expires = entry->expires_at != SST_NEVER_EXPIRES;
	size_t		n = 1;

	dst[0] = (uint8_t) (entry->kind | (expires ? ENTRY_EXPIRES : 0));
	n += sv_varint_put(dst + n, entry->key.len);
	if (entry->kind == SST_VALUE)
		n += sv_varint_put(dst + n, entry->value.len);
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
	size_t		head_bytes = put_head(head, entry);
	SvStatus	status;

	/* All at once, the trailer's room included, so that a large value is not moved about. */
	status = sv_buffer_reserve(&builder->entries,
							   entry_bytes(entry) + sst_block_trailer_bytes(builder->count + 1), err);
	if (status == SV_OK)
		status = sv_buffer_append(&builder->entries, head, head_bytes, err);
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
	size_t		trailer = sst_block_trailer_bytes(builder->count);
	SvStatus	status = sv_buffer_reserve(entries, trailer, err);

	if (status != SV_OK)
		return status;
	memset(entries->data + entries->len, 0, trailer);
	entries->len += trailer;
	sv_put_u16(entries->data + entries->len - COUNT_BYTES, (uint16_t) builder->count);
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

/* Little-endian, anywhere. */
typedef struct __attribute__((packed, may_alias)) UnalignedU32
{
	uint32_t	value;
} UnalignedU32;

static inline uint32_t
read_u32_once(const uint8_t *at)
{
	uint32_t	value = ((const volatile UnalignedU32 *) at)->value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	value = __builtin_bswap32(value);
#endif
	return value;
}

/* A varint of at most four bytes at *at, which moves behind it. */
static const char *
read_any_length(SvSlice bytes, size_t *at, size_t *length)
{
	size_t		sum = 0;

	for (unsigned shift = 0; shift < 28; shift += 7)
	{
		size_t		byte;

		if (*at >= bytes.len)
			return "entry is cut off";
		byte = read_once(bytes.data + (*at)++);
		sum |= (byte & 0x7f) << shift;
		if (byte >= 0x80)
			continue;
		*length = sum;
		return byte == 0 && shift > 0 ? "length is not encoded shortest" : NULL;
	}
	return "length is too long";
}

/* Mostly it is one byte. */
static inline const char *
read_length(SvSlice bytes, size_t *at, size_t *length)
{
	uint8_t		byte;

	if (*at >= bytes.len)
		return "entry is cut off";
	byte = read_once(bytes.data + *at);
	if (byte >= 0x80)
		return read_any_length(bytes, at, length);
	*at += 1;
	*length = byte;
	return NULL;
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

static inline const char *
decode_head(SvSlice bytes, SstEntry *entry, size_t *value_at)
{
	size_t		at = 1;
	size_t		key_len;
	size_t		value_len = 0;
	uint8_t		kind;
	const char *problem;

	if (bytes.len < 2)
		return "entry is cut off";
	kind = read_once(bytes.data);
	entry->kind = kind & ~ENTRY_EXPIRES;
	if (entry->kind != SST_VALUE && entry->kind != SST_TOMBSTONE)
		return "unknown kind of entry";
	problem = read_length(bytes, &at, &key_len);
	if (problem == NULL && entry->kind == SST_VALUE)
		problem = read_length(bytes, &at, &value_len);
	entry->expires_at = SST_NEVER_EXPIRES;
	if (problem == NULL && (kind & ENTRY_EXPIRES) != 0)
		problem = read_expiry(bytes, &at, &entry->expires_at);
	if (problem != NULL)
		return problem;
	if (key_len > SST_MAX_KEY_BYTES)
		return "key is too long";
	if (value_len > SST_MAX_VALUE_BYTES)
		return "value is too long";
	if (key_len > bytes.len - at)
		return "entry is cut off";
	entry->key = sv_slice(key_len > 0 ? bytes.data + at : NULL, key_len);
	entry->value = sv_slice(NULL, value_len);
	*value_at = at + key_len;
	return NULL;
}

const char *
sst_entry_decode_head(SvSlice first, SstEntry *entry, size_t *value_at)
{
	return decode_head(first, entry, value_at);
}

/* What most entries are: a value that does not expire, both lengths of one byte.  False: any, or damaged. */
static inline bool
decode_short_entry(SvSlice bytes, SstEntry *entry, size_t *entry_bytes)
{
	size_t		key_len;
	size_t		value_len;

	if (bytes.len < SHORT_HEAD_BYTES || read_once(bytes.data) != SST_VALUE)
		return false;
	key_len = read_once(bytes.data + 1);
	value_len = read_once(bytes.data + 2);
	*entry_bytes = SHORT_HEAD_BYTES + key_len + value_len;
	if ((key_len | value_len) >= 0x80 || *entry_bytes > bytes.len)
		return false;
	entry->kind = SST_VALUE;
	entry->expires_at = SST_NEVER_EXPIRES;
	entry->key = sv_slice(key_len > 0 ? bytes.data + SHORT_HEAD_BYTES : NULL, key_len);
	entry->value = sv_slice(value_len > 0 ? bytes.data + SHORT_HEAD_BYTES + key_len : NULL, value_len);
	return true;
}

static inline const char *
decode_entry(const SstBlock *block, size_t offset, SstEntry *entry, size_t *end)
{
	SvSlice		bytes = sv_slice(block->data + offset, block->entries_bytes - offset);
	size_t		value_at;
	const char *problem;

	if (decode_short_entry(bytes, entry, &value_at))
	{
		*end = offset + value_at;
		return NULL;
	}
	problem = decode_head(bytes, entry, &value_at);
	if (problem != NULL)
		return problem;
	if (entry->value.len > bytes.len - value_at)
		return "entry is cut off";
	if (entry->value.len > 0)
		entry->value.data = bytes.data + value_at;
	*end = offset + value_at + entry->value.len;
	return NULL;
}

const char *
sst_block_entry(const SstBlock *block, size_t offset, SstEntry *entry, size_t *end)
{
	if (offset >= block->entries_bytes)
		return "entry is outside the block";
	return decode_entry(block, offset, entry, end);
}

/* --------------------------------------------------------------- the table */

static inline const uint8_t *
slot_at(const SstBlock *block, uint32_t slot)
{
	return block->data + block->entries_bytes + slot * (size_t) SST_SLOT_BYTES;
}

/* Reads a byte too many, which the number of entries is behind the last slot. */
static inline uint32_t
read_slot(const SstBlock *block, uint32_t slot)
{
	return read_u32_once(slot_at(block, slot)) & SLOT_MASK;
}

static inline uint32_t
tag_of(uint64_t hash)
{
	return (uint32_t) hash & SLOT_TAG_MASK;
}

/* A search of the table for a hash: so many slots are left to be looked at, from `slot` on. */
typedef struct Search
{
	uint32_t	slot;
	uint32_t	left;
} Search;

static inline Search
begin_search(const SstBlock *block, uint64_t hash)
{
	return (Search) {.slot = sst_block_home(block->count, hash),.left = sst_block_slots(block->count)};
}

/*
 * The offset, plus one, of the next entry whose key may have the hash; 0: there
 * is none.  Ends at an empty slot, or when it has seen all.
 */
static inline uint32_t
next_candidate(const SstBlock *block, Search *search, uint64_t hash)
{
	uint32_t	slots = sst_block_slots(block->count);

	while (search->left > 0)
	{
		uint32_t	slot = read_slot(block, search->slot);

		search->left--;
		search->slot++;
		if (search->slot == slots)
			search->slot = 0;
		if (slot == 0)
			return 0;
		if (slot >> SLOT_OFFSET_BITS == tag_of(hash) && (slot & SLOT_OFFSET_MASK) != 0)
			return slot & SLOT_OFFSET_MASK;
	}
	return 0;
}

const char *
sst_block_find(const SstBlock *block, SvSlice key, uint64_t hash, bool *found, SstEntry *entry)
{
	Search		search = begin_search(block, hash);
	uint32_t	candidate;

	*found = false;
	while ((candidate = next_candidate(block, &search, hash)) != 0)
	{
		size_t		end;
		const char *problem = sst_block_entry(block, candidate - 1, entry, &end);

		if (problem != NULL)
			return problem;
		*found = sv_slice_equal(entry->key, key);
		if (*found)
			return NULL;
	}
	return NULL;
}

const char *
sst_block_find_first(const SstBlock *block, SvSlice key, uint64_t hash, uint32_t first, bool *found,
					 SstEntry *entry)
{
	size_t		end;
	const char *problem;

	*found = false;
	if (first == 0)
		return NULL;
	problem = sst_block_entry(block, first - 1, entry, &end);
	if (problem != NULL)
		return problem;
	*found = sv_slice_equal(entry->key, key);
	return *found ? NULL : sst_block_find(block, key, hash, found, entry);
}

/* How long the entry is, it does not say yet: as long as entries are here, so mostly all of it. */
uint32_t
sst_block_first(const SstBlock *block, uint64_t hash)
{
	Search		search = begin_search(block, hash);
	uint32_t	candidate = next_candidate(block, &search, hash);
	size_t		bytes = (uint32_t) block->entries_bytes / block->count;
	size_t		from = candidate - 1;
	size_t		to;

	if (candidate == 0 || from >= block->entries_bytes)
		return candidate;
	to = from + (bytes < PREFETCH_MAX ? bytes : PREFETCH_MAX);
	if (to > block->entries_bytes)
		to = block->entries_bytes;
	for (size_t at = from; at < to; at += 64)
		sv_prefetch(block->data + at);
	sv_prefetch(block->data + to - 1);
	return candidate;
}

/* ---------------------------------------------------------------- settling */

/* The table has an empty slot for each entry, and one more. */
static void
put_in_table(uint8_t *raw, const SstBlock *block, uint64_t hash, size_t offset)
{
	uint32_t	slot = sst_block_home(block->count, hash);
	uint8_t    *at;

	while (read_slot(block, slot) != 0)
		slot = slot + 1 < sst_block_slots(block->count) ? slot + 1 : 0;
	at = raw + (slot_at(block, slot) - block->data);
	sv_put_u16(at, (uint16_t) ((offset + 1) | tag_of(hash) << SLOT_OFFSET_BITS));
	at[2] = (uint8_t) (tag_of(hash) >> (16 - SLOT_OFFSET_BITS));
}

static bool
table_is_empty(const SstBlock *block)
{
	uint8_t		seen = 0;

	for (size_t i = 0; i < sst_block_trailer_bytes(block->count) - COUNT_BYTES; i++)
		seen |= block->data[block->entries_bytes + i];
	return seen == 0;
}

const char *
sst_block_settle(uint8_t *raw, size_t len, SstSettled *settled)
{
	SstBlock	block;
	size_t		at = 0;
	const char *problem = sst_block_parse(&block, sv_slice(raw, len));

	if (problem != NULL)
		return problem;
	if (len > SST_FRAME_BYTES && block.count != 1)
		return "large block has several entries";
	if (!table_is_empty(&block))
		return "room for the table is not empty";
	for (uint32_t i = 0; i < block.count; i++)
	{
		size_t		offset = at;
		SstEntry	entry;

		problem = sst_block_entry(&block, offset, &entry, &at);
		if (problem != NULL)
			return problem;
		put_in_table(raw, &block, sv_hash64(entry.key), offset);
		if (i == 0)
			settled->first_key = entry.key;
		settled->last_key = entry.key;
	}
	settled->count = block.count;
	return at == block.entries_bytes ? NULL : "entries do not fill the block";
}

/* ----------------------------------------------------------------- reading */

const char *
sst_block_parse(SstBlock *block, SvSlice settled)
{
	uint32_t	count;

	if (settled.len < COUNT_BYTES)
		return "block is too short";
	count = (uint32_t) read_u16_once(settled.data + settled.len - COUNT_BYTES);
	if (count == 0)
		return "block without entries";
	if (settled.len < sst_block_trailer_bytes(count))
		return "table of the entries does not fit the block";
	*block = sst_block_known(settled.data, settled.len, count);
	return NULL;
}

SvStatus
sst_block_offsets(const SstBlock *block, SvBuffer *offsets, const char **problem, SvError *err)
{
	size_t		at = 0;
	uint16_t   *offset;
	SvStatus	status;

	*problem = NULL;
	sv_buffer_reset(offsets);
	status = sv_buffer_reserve(offsets, block->count * sizeof(uint16_t), err);
	if (status != SV_OK)
		return status;
	offset = (uint16_t *) offsets->data;
	for (uint32_t i = 0; i < block->count && *problem == NULL; i++)
	{
		SstEntry	entry;

		offset[i] = (uint16_t) at;
		*problem = sst_block_entry(block, at, &entry, &at);
	}
	offsets->len = block->count * sizeof(uint16_t);
	return SV_OK;
}

const char *
sst_block_seek(const SstBlock *block, const uint16_t *offsets, SvSlice key, uint32_t *position)
{
	uint32_t	low = 0;
	uint32_t	high = block->count;

	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;
		size_t		end;
		SstEntry	entry;
		const char *problem = sst_block_entry(block, offsets[middle], &entry, &end);

		if (problem != NULL)
			return problem;
		if (sv_slice_compare(entry.key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*position = low;
	return NULL;
}
