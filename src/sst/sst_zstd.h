/*
 * sst_zstd.h
 *		zstd, with its memory from an SvAlloc and with statuses of ours.
 *
 * A context is expensive to make and meant to be used again and again, by one
 * thread at a time.
 */
#ifndef SST_ZSTD_H
#define SST_ZSTD_H

#include "base/sv_buffer.h"

typedef struct SstCompressor SstCompressor;
typedef struct SstDecompressor SstDecompressor;

/* SV_INVALID unless it is 0, for none, or a level of zstd. */
extern SvStatus sst_zstd_check_level(int level, SvError *err);

extern SvStatus sst_compressor_create(SstCompressor **compressor, const SvAlloc *alloc,
									  SvError *err);
extern void sst_compressor_destroy(SstCompressor *compressor);	/* NULL is allowed */

/* Replaces the dictionary, of which the bytes must stay where they are. */
extern void sst_compressor_set_dictionary(SstCompressor *compressor, SvSlice dictionary);

/*
 * Replaces out's content; leaves it empty if the result would be over at_most
 * bytes.  with_dictionary: the one that was set.
 */
extern SvStatus sst_compress(SstCompressor *compressor, int level, bool with_dictionary,
							 SvSlice raw, size_t at_most, SvBuffer *out, SvError *err);

/*
 * The same at level 1 without a dictionary, but looks for what was said before only
 * where it has passed over so many positions, at least 1.
 */
extern SvStatus sst_compress_passing_over(SstCompressor *compressor, unsigned positions, SvSlice raw,
										  size_t at_most, SvBuffer *out, SvError *err);

/*
 * Makes a dictionary of at most max_bytes from samples, which lie one behind
 * the other.  Leaves out empty if no good one can be made of them.  The memory
 * that this takes meanwhile, some MiB, is from malloc.
 */
extern SvStatus sst_dictionary_train(SvSlice samples, const size_t *sample_bytes,
									 uint32_t sample_count, size_t max_bytes, SvBuffer *out,
									 SvError *err);

/*
 * The part of a trained dictionary that only has what is often said, not how
 * often: as a dictionary it is better for blocks that are large enough to say
 * the latter themselves.  The dictionary itself if it cannot be parted.
 */
extern SvSlice sst_dictionary_content(SvSlice dictionary);

extern SvStatus sst_decompressor_create(SstDecompressor **decompressor, const SvAlloc *alloc,
										SvError *err);
extern void sst_decompressor_destroy(SstDecompressor *decompressor);	/* NULL is allowed */
extern size_t sst_decompressor_memory(const SstDecompressor *decompressor); /* 0 for NULL */

/*
 * Replaces the dictionary by a copy of this one, which may be any bytes:
 * SV_CORRUPT if they are none.  After a failure there is no dictionary.
 */
extern SvStatus sst_decompressor_set_dictionary(SstDecompressor *decompressor,
												SvSlice dictionary, SvError *err);
extern bool sst_decompressor_has_dictionary(const SstDecompressor *decompressor);

/*
 * SV_CORRUPT unless stored is one zstd frame that makes exactly raw_bytes
 * bytes, which go to dst.  Takes hostile bytes.
 */
extern SvStatus sst_decompress(SstDecompressor *decompressor, bool with_dictionary,
							   SvSlice stored, uint8_t *dst, size_t raw_bytes, SvError *err);

#endif							/* SST_ZSTD_H */
