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
	SvBuffer	sizes;			/* as they will be stored */
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
 * A raw block comes out of a file with a table of its entries' sizes and room
 * for their tags, both of which compress to little, and is settled in memory
 * once: offsets take the place of the sizes, and tags are computed.  Takes any
 * bytes, and checks all that readers rely on: the table, and each entry's
 * head, kind and lengths.  NULL, or what is wrong; then the bytes are spoilt.
 */
extern const char *sst_block_settle(uint8_t *raw, size_t len);

/*
 * A settled block being read: borrows the bytes.  Readers of a shared cache
 * may meet bytes that change under their hands, so the functions below stay
 * inside the block whatever they find; what they say counts only if it had
 * not changed.  An answer of an entry that lies outside is a problem, as text.
 */
typedef struct SstBlock
{
	const uint8_t *data;
	size_t		entries_bytes;	/* tags and offsets follow */
	uint32_t	count;			/* at least 1 */
} SstBlock;

/*
 * How many bytes at a block's end an exact lookup looks at before it knows the
 * entry, for prefetching: tags, offsets, number of entries.
 */
static inline size_t
sst_block_trailer_bytes(uint32_t entries)
{
	return entries * (size_t) 3 + 2;
}

extern const char *sst_block_parse(SstBlock *block, SvSlice settled);

/* The i-th entry, i < count; it points into the block. */
extern const char *sst_block_entry(const SstBlock *block, uint32_t i, SstEntry *entry);

/*
 * An entry's bytes by themselves, as the one of a large block is spread over
 * frames: decodes the head and the key out of the first bytes (at least
 * SST_ENTRY_HEAD_BYTES plus the key, or all there are) of an entry that has
 * entry_bytes in all.  *value_at becomes the value's offset in the entry,
 * entry->value.len its length, and entry->value.data NULL.
 */
#define SST_ENTRY_HEAD_BYTES 16
extern const char *sst_entry_decode_head(SvSlice first, size_t entry_bytes, SstEntry *entry,
										 size_t *value_at);

/* The tag of a key among its block's: from sv_hash64 of it. */
static inline uint8_t
sst_block_tag(uint64_t hash)
{
	return (uint8_t) hash;
}

/*
 * The exact lookup, by tag: *position becomes that of the next entry at or
 * after *position with this tag, or count if there is none.
 */
extern void sst_block_next_tagged(const SstBlock *block, uint8_t tag, uint32_t *position);

/* Asks for an entry's cache lines, at most four: its offset is behind the tags. */
static inline void
sst_block_prefetch_entry(const SstBlock *block, uint32_t i)
{
	const uint8_t *at = block->data + block->entries_bytes + block->count + (size_t) 2 * i;
	uint32_t	from = (uint32_t) (at[0] | at[1] << 8);
	uint32_t	to = i + 1 < block->count ? (uint32_t) (at[2] | at[3] << 8) : (uint32_t) block->entries_bytes;

	if (to - from > 256)
		to = from + 256;
	for (; from < to; from += 64)
		__builtin_prefetch(block->data + from);
	__builtin_prefetch(block->data + to - 1);
}

/* By tag and key: *found says whether the key is there, and then *entry is filled in. */
extern const char *sst_block_find(const SstBlock *block, SvSlice key, uint8_t tag, bool *found,
								  SstEntry *entry);

/*
 * By order: *position becomes that of the first entry whose key is not below
 * key, or count; *exact says whether that entry, then filled in, has the key
 * itself.
 */
extern const char *sst_block_seek(const SstBlock *block, SvSlice key, uint32_t *position,
								  bool *exact, SstEntry *entry);

#endif							/* SST_BLOCK_H */
