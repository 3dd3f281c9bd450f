/*
 * sst_block.h
 *		One data block in its raw form: sorted entries, then what finds one of
 *		them.
 *
 * A block knows nothing of compression, checksums or its place in the file.
 * Neither side checks the order of the keys: the writer's and the iterator's
 * callers do.
 */
#ifndef SST_BLOCK_H
#define SST_BLOCK_H

#include "base/sv_buffer.h"
#include "sst/sst_entry.h"

/* The most that a block takes, which then is large. */
#define SST_MAX_BLOCK_BYTES (SST_MAX_VALUE_BYTES + SST_MAX_KEY_BYTES + 64)

/* The block being filled; its fields are for sst_block.c only. */
typedef struct SstBlockBuilder
{
	SvBuffer	entries;
	uint32_t	count;
} SstBlockBuilder;

extern void sst_block_builder_init(SstBlockBuilder *builder, const SvAlloc *alloc);
extern void sst_block_builder_free(SstBlockBuilder *builder);

/* Empties it; memory of an uncommonly large block is given back. */
extern void sst_block_builder_reset(SstBlockBuilder *builder);

/* Raw size of the block with this entry added; with NULL, as it is. */
extern size_t sst_block_builder_bytes(const SstBlockBuilder *builder, const SstEntry *entry);

/*
 * The caller keeps a block of several entries within SST_FRAME_BYTES, by
 * asking sst_block_builder_bytes first.
 */
extern SvStatus sst_block_builder_add(SstBlockBuilder *builder, const SstEntry *entry,
									  SvError *err);

/* Closes the block.  *raw is good until the next reset or free. */
extern SvStatus sst_block_builder_finish(SstBlockBuilder *builder, SvSlice *raw, SvError *err);

static inline uint32_t
sst_block_builder_entries(const SstBlockBuilder *builder)
{
	return builder->count;
}

/*
 * A raw block comes out of a file with room for a hash table, which compresses
 * to nothing, and is settled in memory once: the table is filled in.  Takes
 * any bytes, and checks all that readers rely on: that the entries fill the
 * block, and each one's kind and lengths.  NULL, and then *settled says what
 * there is, or what is wrong; then the bytes are spoilt.
 */
typedef struct SstSettled
{
	uint32_t	count;			/* at least 1 */
	SvSlice		first_key;		/* both point into the block */
	SvSlice		last_key;
} SstSettled;

extern const char *sst_block_settle(uint8_t *raw, size_t len, SstSettled *settled);

/*
 * A settled block being read: borrows the bytes.  Readers of a shared cache
 * may meet bytes that change under their hands, so the functions below stay
 * inside the block whatever they find; what they say counts only if it had
 * not changed.  An answer of an entry that lies outside is a problem, as text.
 */
typedef struct SstBlock
{
	const uint8_t *data;
	size_t		entries_bytes;	/* the table follows */
	uint32_t	count;			/* at least 1 */
} SstBlock;

/*
 * The table has so many slots of three bytes: a quarter more than entries, and
 * one, so that some slot is empty and ends a search.
 */
#define SST_SLOT_BYTES 3

static inline uint32_t
sst_block_slots(uint32_t entries)
{
	return entries + entries / 4 + 1;
}

/* What follows the entries: the table, and their number. */
static inline size_t
sst_block_trailer_bytes(uint32_t entries)
{
	return sst_block_slots(entries) * (size_t) SST_SLOT_BYTES + 2;
}

/* The slot where the search for a key's hash begins. */
static inline uint32_t
sst_block_home(uint32_t entries, uint64_t hash)
{
	return (uint32_t) ((hash & UINT32_MAX) * sst_block_slots(entries) >> 32);
}

/* Where that slot is in a block of so many bytes. */
static inline size_t
sst_block_home_at(size_t raw_bytes, uint32_t entries, uint64_t hash)
{
	return raw_bytes - sst_block_trailer_bytes(entries) +
		sst_block_home(entries, hash) * (size_t) SST_SLOT_BYTES;
}

/* NULL, or what is wrong with the number of entries that the block says it has. */
extern const char *sst_block_parse(SstBlock *block, SvSlice settled);

/*
 * The same if the block's number of entries is known, at no look at the block:
 * trusts the caller that the trailer fits it.
 */
static inline SstBlock
sst_block_known(const uint8_t *data, size_t raw_bytes, uint32_t entries)
{
	return (SstBlock) {
		.data = data,.entries_bytes = raw_bytes - sst_block_trailer_bytes(entries),.count = entries
	};
}

/*
 * The exact lookup by key and its hash, sv_hash64 of it: *found says whether
 * the key is there, and then *entry, which points into the block, is filled in.
 */
extern const char *sst_block_find(const SstBlock *block, SvSlice key, uint64_t hash, bool *found,
								  SstEntry *entry);

/*
 * The same in two steps, for many lookups at once.  sst_block_first: where the
 * entry is that a search for the hash meets first, of which it asks for the
 * memory; 0 if there is none.  sst_block_find_first begins with that entry.
 */
extern uint32_t sst_block_first(const SstBlock *block, uint64_t hash);
extern const char *sst_block_find_first(const SstBlock *block, SvSlice key, uint64_t hash, uint32_t first,
										bool *found, SstEntry *entry);

/* The entry at an offset; *end becomes that of the one behind it. */
extern const char *sst_block_entry(const SstBlock *block, size_t offset, SstEntry *entry, size_t *end);

/*
 * Replaces the content of offsets (uint16_t) by where the entries begin, in
 * order: what reading them by position takes.  *problem is set to what is wrong
 * with the block, or NULL; else fails for lack of memory only.
 */
extern SvStatus sst_block_offsets(const SstBlock *block, SvBuffer *offsets, const char **problem,
								  SvError *err);

/*
 * By order: *position becomes that of the first entry whose key is not below
 * key, or count.
 */
extern const char *sst_block_seek(const SstBlock *block, const uint16_t *offsets, SvSlice key,
								  uint32_t *position);

/*
 * An entry's head and key, out of its first bytes: at least
 * SST_ENTRY_HEAD_BYTES and the key, or all that the entry has.  *value_at becomes
 * the value's offset in the entry; entry->value has its length, and no data:
 * the value of a large block is spread over frames.
 */
#define SST_ENTRY_HEAD_BYTES 16
extern const char *sst_entry_decode_head(SvSlice first, SstEntry *entry, size_t *value_at);

#endif							/* SST_BLOCK_H */
