/*
 * sst_load.h
 *		Brings a data block from its source into memory: read, verify,
 *		decompress, settle.  The only way to a data block.
 */
#ifndef SST_LOAD_H
#define SST_LOAD_H

#include "sst/sst_block.h"
#include "sst/sst_tail.h"

typedef struct SstSource
{
	/* Reads exactly len bytes at offset into dst, or fails. */
	SvStatus	(*read) (void *state, uint64_t offset, size_t len, void *dst, SvError *err);
	void	   *state;
	const char *name;			/* for messages; must outlive its users */
} SstSource;

/* What loading needs to keep between blocks: buffers, a decompressor.  For one thread at a time. */
typedef struct SstLoader SstLoader;

extern SvStatus sst_loader_create(SstLoader **loader, const SvAlloc *alloc, SvError *err);
extern void sst_loader_destroy(SstLoader *loader);	/* NULL is allowed */
extern size_t sst_loader_memory(const SstLoader *loader);

/*
 * Fills dst with the settled block (sst_block.h), raw_bytes of the block's
 * index record.  The stored bytes must have the checksum of the record, the
 * entries must be as many as it says, the first and last key within what the
 * index gives the block; else SV_CORRUPT naming object, offset and block.
 */
extern SvStatus sst_load_block(SstLoader *loader, const SstTail *tail, const SstSource *source,
							   uint32_t block, uint8_t *dst, SvError *err);

/*
 * The same from stored bytes that are in memory already, as after one request
 * for many blocks.  They may be at dst itself if the block is not compressed.
 */
extern SvStatus sst_load_stored(SstLoader *loader, const SstTail *tail, const char *object,
								uint32_t block, SvSlice stored, uint8_t *dst, SvError *err);

/*
 * A block as it was written, not settled: its entries can be walked over, none can
 * be looked for.  *raw is dst, or stored itself if the block is not compressed.  Of
 * what sst_load_stored checks only the checksum is: the rest is for who walks.
 */
extern SvStatus sst_load_raw(SstLoader *loader, const SstTail *tail, const char *object,
							 uint32_t block, SvSlice stored, uint8_t *dst, SvSlice *raw, SvError *err);

/* Fills in SV_CORRUPT for a problem found in a block, naming object, offset and block. */
extern SvStatus sst_block_damaged(const SstTail *tail, const char *object, uint32_t block,
								  const char *problem, SvError *err);

#endif							/* SST_LOAD_H */
