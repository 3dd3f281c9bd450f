/*
 * sst_zstd.c
 *		The only file that knows libzstd.
 *
 * Contexts take their memory from the SvAlloc, so that they go with an arena
 * and that its limits hold for them.  That is the one thing here that libzstd
 * declares under ZSTD_STATIC_LINKING_ONLY; the shared library exports it.
 */
#include "sst/sst_zstd.h"

#include "base/sv_coding.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

struct SstCompressor
{
	const SvAlloc *alloc;
	ZSTD_CCtx  *context;
	int			level;
};

struct SstDecompressor
{
	const SvAlloc *alloc;
	ZSTD_DCtx  *context;
};

static void *
zstd_allocate(void *opaque, size_t bytes)
{
	return sv_allocate((const SvAlloc *) opaque, bytes);
}

static void
zstd_release(void *opaque, void *ptr)
{
	sv_release((const SvAlloc *) opaque, ptr);
}

static ZSTD_customMem
zstd_memory(const SvAlloc *alloc)
{
	ZSTD_customMem memory = {zstd_allocate, zstd_release, (void *) alloc};

	return memory;
}

SvStatus
sst_compressor_create(SstCompressor **compressor, int level, const SvAlloc *alloc, SvError *err)
{
	SstCompressor *c;

	*compressor = NULL;
	if (level < 1 || level > ZSTD_maxCLevel())
		return sv_fail(err, SV_INVALID, "zstd level %d is out of range 1 to %d",
					   level, ZSTD_maxCLevel());
	c = sv_allocate(alloc, sizeof(*c));
	if (c == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for compression");
	c->alloc = alloc;
	c->level = level;
	c->context = ZSTD_createCCtx_advanced(zstd_memory(alloc));
	if (c->context == NULL)
	{
		sv_release(alloc, c);
		return sv_fail(err, SV_NO_MEMORY, "out of memory for compression");
	}
	*compressor = c;
	return SV_OK;
}

void
sst_compressor_destroy(SstCompressor *compressor)
{
	if (compressor == NULL)
		return;
	ZSTD_freeCCtx(compressor->context);
	sv_release(compressor->alloc, compressor);
}

SvStatus
sst_compress(SstCompressor *compressor, SvSlice raw, size_t at_most, SvBuffer *out, SvError *err)
{
	SvStatus	status;
	size_t		n;

	sv_buffer_reset(out);
	status = sv_buffer_reserve(out, at_most, err);
	if (status != SV_OK)
		return status;
	n = ZSTD_compressCCtx(compressor->context, out->data, at_most, raw.data, raw.len,
						  compressor->level);
	if (!ZSTD_isError(n))
	{
		out->len = n;
		return SV_OK;
	}
	switch (ZSTD_getErrorCode(n))
	{
		case ZSTD_error_dstSize_tooSmall:
			return SV_OK;
		case ZSTD_error_memory_allocation:
			return sv_fail(err, SV_NO_MEMORY, "out of memory for compression");
		default:
			return sv_fail(err, SV_INVALID, "could not compress %zu bytes: %s",
						   raw.len, ZSTD_getErrorName(n));
	}
}

SvStatus
sst_decompressor_create(SstDecompressor **decompressor, const SvAlloc *alloc, SvError *err)
{
	SstDecompressor *d = sv_allocate(alloc, sizeof(*d));

	*decompressor = NULL;
	if (d == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for decompression");
	d->alloc = alloc;
	d->context = ZSTD_createDCtx_advanced(zstd_memory(alloc));
	if (d->context == NULL)
	{
		sv_release(alloc, d);
		return sv_fail(err, SV_NO_MEMORY, "out of memory for decompression");
	}
	*decompressor = d;
	return SV_OK;
}

void
sst_decompressor_destroy(SstDecompressor *decompressor)
{
	if (decompressor == NULL)
		return;
	ZSTD_freeDCtx(decompressor->context);
	sv_release(decompressor->alloc, decompressor);
}

size_t
sst_decompressor_memory(const SstDecompressor *decompressor)
{
	if (decompressor == NULL)
		return 0;
	return sizeof(*decompressor) + ZSTD_sizeof_DCtx(decompressor->context);
}

SvStatus
sst_decompress(SstDecompressor *decompressor, SvSlice stored, uint8_t *dst, size_t raw_bytes,
			   SvError *err)
{
	size_t		n;

	/*
	 * libzstd would also take frames of its prehistory, skippable frames and
	 * several frames in a row; none of that is ours, and its old decoders are
	 * not for hostile bytes.
	 */
	if (stored.len < 4 || sv_get_u32(stored.data) != ZSTD_MAGICNUMBER ||
		ZSTD_findFrameCompressedSize(stored.data, stored.len) != stored.len)
		return sv_fail(err, SV_CORRUPT, "not one zstd frame");

	n = ZSTD_decompressDCtx(decompressor->context, dst, raw_bytes, stored.data, stored.len);
	if (ZSTD_isError(n))
	{
		if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
			return sv_fail(err, SV_NO_MEMORY, "out of memory for decompression");
		return sv_fail(err, SV_CORRUPT, "decompression failed: %s", ZSTD_getErrorName(n));
	}
	if (n != raw_bytes)
		return sv_fail(err, SV_CORRUPT, "decompresses to %zu bytes instead of %zu", n, raw_bytes);
	return SV_OK;
}
