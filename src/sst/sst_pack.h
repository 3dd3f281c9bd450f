/*
 * sst_pack.h
 *		How raw blocks are stored: as they are, compressed, with a dictionary
 *		or without.
 *
 * A packer that may use a dictionary holds back the first blocks that may be
 * compressed with it, and all behind them, until they make a sample; then it
 * trains a dictionary with most of the sample and measures with the rest, for
 * a dictionary is always good for what it was made of.  It keeps the
 * dictionary if, by that measure, the sample gets smaller by more than what
 * the dictionary itself takes: so it pays even if no further block comes.
 * Blocks leave in the order in which they came.
 */
#ifndef SST_PACK_H
#define SST_PACK_H

#include "base/sv_buffer.h"
#include "sst/sst_index.h"

/* A sample is so many times the dictionary; but no more than so many bytes are held back. */
#define SST_SAMPLE_FACTOR		100
#define SST_SAMPLE_MAX_BYTES	(4 * 1024 * 1024)

/* One in so many blocks of the sample is for measuring. */
#define SST_SAMPLE_TEST_SHARE	4

typedef struct SstRawBlock
{
	uint32_t	number;
	uint16_t	entries;
	bool		dictionary;		/* whether it may be compressed with the dictionary */
	int			level;			/* of zstd; 0: not compressed */
	SvSlice		raw;
} SstRawBlock;

/* Takes a stored block; info has all but the block's offset and checksum. */
typedef struct SstPackSink
{
	SvStatus	(*put) (void *state, uint32_t block, const SstBlockInfo *info, SvSlice stored,
						SvError *err);
	void	   *state;
} SstPackSink;

typedef struct SstPacker SstPacker;

/* dictionary_bytes: the most that a dictionary may have; 0: none. */
extern SvStatus sst_packer_create(SstPacker **packer, uint32_t dictionary_bytes,
								  const SstPackSink *sink, const SvAlloc *alloc, SvError *err);
extern void sst_packer_destroy(SstPacker *packer);	/* NULL is allowed */

/* The block's bytes may go after the call.  After a failure only destroy. */
extern SvStatus sst_packer_add(SstPacker *packer, const SstRawBlock *block, SvError *err);

/* Puts whatever is held back: for the end. */
extern SvStatus sst_packer_flush(SstPacker *packer, SvError *err);

/* What the blocks need to be read; empty if there is none. */
extern SvSlice sst_packer_dictionary(const SstPacker *packer);

#endif							/* SST_PACK_H */
