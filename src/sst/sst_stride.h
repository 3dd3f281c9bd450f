/*
 * sst_stride.h
 *		Compressing a file's blocks at level 1 faster, where that costs next to no
 *		bytes.
 *
 * zstd looks at each position, or each second one, of a block for something that
 * was said before.  Of rows that are alike it finds as much if it looks at each
 * fifth only, or each eighth, in half the time; of others, such as short columns of
 * numbers, it then finds a third less.  So some blocks of a file are compressed in
 * all ways, and the others in the fastest of those that were no worse there.
 */
#ifndef SST_STRIDE_H
#define SST_STRIDE_H

#include "sst/sst_zstd.h"

/* One in so many blocks tells how the next ones are compressed, and each of the first SST_STRIDE_FIRST. */
#define SST_STRIDE_BLOCKS 64
#define SST_STRIDE_FIRST 2

#define SST_STRIDE_WAYS 4

/* All zeros at the beginning of a file. */
typedef struct SstStride
{
	uint32_t	blocks;			/* compressed so far */
	int			chosen;			/* way; 0: as level 1 does it */
	double		bytes[SST_STRIDE_WAYS]; /* stored of the samples, the latest counting most */
} SstStride;

/* As sst_compress of level 1 without a dictionary; a block of at most SST_FRAME_BYTES. */
extern SvStatus sst_stride_compress(SstStride *stride, SstCompressor *compressor, SvSlice raw,
									size_t at_most, SvBuffer *out, SvError *err);

#endif							/* SST_STRIDE_H */
