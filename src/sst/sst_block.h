/*
 * sst_block.h
 *		One data block in its raw form: sorted entries, then a table of their
 *		offsets.
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
	SvBuffer	offsets;		/* as they will be stored */
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

/* A raw block being read: borrows the bytes it was parsed from. */
typedef struct SstBlock
{
	const uint8_t *data;
	size_t		entries_bytes;	/* the offset table follows */
	uint32_t	count;			/* at least 1 */
} SstBlock;

/*
 * The bytes may be anything: parse checks the offset table's place, the other
 * two each entry they look at.  NULL, or what is wrong.
 */
extern const char *sst_block_parse(SstBlock *block, SvSlice raw);

/* The i-th entry, i < count; it points into the block. */
extern const char *sst_block_entry(const SstBlock *block, uint32_t i, SstEntry *entry);

/*
 * *position becomes that of the first entry whose key is not below key, or
 * count; *exact says whether that entry, then filled in, has the key itself.
 */
extern const char *sst_block_seek(const SstBlock *block, SvSlice key, uint32_t *position,
								  bool *exact, SstEntry *entry);

#endif							/* SST_BLOCK_H */
