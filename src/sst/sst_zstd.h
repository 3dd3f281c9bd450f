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

extern SvStatus sst_compressor_create(SstCompressor **compressor, int level,
									  const SvAlloc *alloc, SvError *err);
extern void sst_compressor_destroy(SstCompressor *compressor);	/* NULL is allowed */

/* Replaces out's content; leaves it empty if the result would be over at_most bytes. */
extern SvStatus sst_compress(SstCompressor *compressor, SvSlice raw, size_t at_most,
							 SvBuffer *out, SvError *err);

extern SvStatus sst_decompressor_create(SstDecompressor **decompressor, const SvAlloc *alloc,
										SvError *err);
extern void sst_decompressor_destroy(SstDecompressor *decompressor);	/* NULL is allowed */
extern size_t sst_decompressor_memory(const SstDecompressor *decompressor); /* 0 for NULL */

/*
 * SV_CORRUPT unless stored is one zstd frame that makes exactly raw_bytes
 * bytes, which go to dst.  Takes hostile bytes.
 */
extern SvStatus sst_decompress(SstDecompressor *decompressor, SvSlice stored, uint8_t *dst,
							   size_t raw_bytes, SvError *err);

#endif							/* SST_ZSTD_H */
