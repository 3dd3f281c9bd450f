/*
 * sst_stride.c
 *		See sst_stride.h.
 */
#include "sst/sst_stride.h"

/* What a faster way may cost: so great a part of the stored bytes. */
#define WORTH 64

/* Positions passed over by each way, the fastest last; rows of any length are fit for one of them. */
static const unsigned passed_over[SST_STRIDE_WAYS] = {0, 4, 5, 7};

static bool
is_sample(const SstStride *stride)
{
	return stride->blocks < SST_STRIDE_FIRST || stride->blocks % SST_STRIDE_BLOCKS == 0;
}

static SvStatus
compress(SstCompressor *compressor, int way, SvSlice raw, size_t at_most, SvBuffer *out, SvError *err)
{
	return way == 0 ? sst_compress(compressor, 1, false, raw, at_most, out, err) :
		sst_compress_passing_over(compressor, passed_over[way], raw, at_most, out, err);
}

/* In all ways; the plain one comes last, and is what stays. */
static SvStatus
compress_sample(SstStride *stride, SstCompressor *compressor, SvSlice raw, size_t at_most,
				SvBuffer *out, SvError *err)
{
	SvStatus	status = SV_OK;

	for (int way = SST_STRIDE_WAYS; way-- > 0 && status == SV_OK;)
	{
		status = compress(compressor, way, raw, at_most, out, err);
		stride->bytes[way] = stride->bytes[way] / 2 + (double) (out->len > 0 ? out->len : raw.len);
	}
	return status;
}

static void
choose(SstStride *stride)
{
	double		most = stride->bytes[0] * (1 + 1.0 / WORTH);

	stride->chosen = SST_STRIDE_WAYS - 1;
	while (stride->bytes[stride->chosen] > most)
		stride->chosen--;
}

SvStatus
sst_stride_compress(SstStride *stride, SstCompressor *compressor, SvSlice raw, size_t at_most,
					SvBuffer *out, SvError *err)
{
	SvStatus	status;

	if (is_sample(stride))
	{
		status = compress_sample(stride, compressor, raw, at_most, out, err);
		choose(stride);
	}
	else
		status = compress(compressor, stride->chosen, raw, at_most, out, err);
	stride->blocks++;
	return status;
}
