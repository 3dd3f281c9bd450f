/*
 * sst_index.h
 *		The block index: where each data block is, and which keys it may hold.
 *
 * Block i holds the keys from its low key up to, not including, the low key
 * of block i + 1; the last block up to the file's last key.  The low key of
 * block 0 is the file's first key, the others are shortened.
 */
#ifndef SST_INDEX_H
#define SST_INDEX_H

#include "base/sv_buffer.h"

/* Flags of a block.  Stored in files: never renumber. */
#define SST_BLOCK_ZSTD	1		/* stored compressed */
#define SST_BLOCK_LARGE	2		/* one entry, more than a frame when raw */
#define SST_BLOCK_DICTIONARY 4	/* with the file's dictionary; goes with SST_BLOCK_ZSTD */

typedef struct SstBlockInfo
{
	uint64_t	offset;			/* in the file */
	uint64_t	checksum;		/* sv_hash64 of the stored bytes */
	uint32_t	stored_bytes;
	uint32_t	raw_bytes;
	uint16_t	flags;
	uint16_t	entries;
} SstBlockInfo;

/* The index being written; its fields are for sst_index.c only. */
typedef struct SstIndexBuilder
{
	SvBuffer	records;
	SvBuffer	keys;
	uint32_t	count;
} SstIndexBuilder;

extern void sst_index_builder_init(SstIndexBuilder *builder, const SvAlloc *alloc);
extern void sst_index_builder_free(SstIndexBuilder *builder);

/*
 * For each block first begin, with its first key and that of the entry before
 * (any, if there is none), which gives it its number; later place, once it is
 * known where and how the block is stored.
 */
extern SvStatus sst_index_builder_begin(SstIndexBuilder *builder, SvSlice first_key,
										SvSlice key_before, SvError *err);
extern void sst_index_builder_place(SstIndexBuilder *builder, uint32_t block,
									const SstBlockInfo *info);

/* Of a block that was begun; points into the builder. */
extern SvSlice sst_index_builder_low_key(const SstIndexBuilder *builder, uint32_t block);

/* Appends the index to tail.  SV_INVALID if it would be too large to be opened. */
extern SvStatus sst_index_builder_finish(SstIndexBuilder *builder, SvSlice last_key,
										 SvBuffer *tail, SvError *err);

/* A parsed index: borrows the bytes it was parsed from. */
typedef struct SstIndex
{
	const uint8_t *records;
	const uint8_t *keys;
	uint32_t	count;
	uint32_t	last_key_at;
	uint32_t	keys_bytes;
} SstIndex;

/*
 * Takes any bytes, and checks all of them: the blocks fill the file from 0 to
 * data_bytes and hold so many entries, the keys ascend, no block uses a
 * dictionary that is not there.  NULL, or what is wrong.  The functions below
 * trust it.
 */
extern const char *sst_index_parse(SstIndex *index, SvSlice bytes, uint64_t data_bytes,
								   uint64_t entries, bool has_dictionary);

extern SstBlockInfo sst_index_block(const SstIndex *index, uint32_t block);
extern void sst_index_prefetch(const SstIndex *index, uint32_t block);
extern SvSlice sst_index_low_key(const SstIndex *index, uint32_t block);

/* Of a file that has blocks. */
extern SvSlice sst_index_last_key(const SstIndex *index);

/* How many blocks have a low key that is not above key, if that is known to be low to high. */
extern uint32_t sst_index_rank(const SstIndex *index, SvSlice key, uint32_t low, uint32_t high);

#endif							/* SST_INDEX_H */
