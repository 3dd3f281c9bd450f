/*
 * sst_zstd.c
 *		The only file that knows libzstd.
 *
 * Contexts take their memory from the SvAlloc, so that they go with an arena
 * and that its limits hold for them.  What that needs is the one thing here
 * that libzstd declares under ZSTD_STATIC_LINKING_ONLY; the shared library
 * exports it.
 */
#include "sst/sst_zstd.h"

#include "base/sv_coding.h"
#include "sst/sst_format.h"

#define ZSTD_STATIC_LINKING_ONLY
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

/* ZSTD_ps_enable, which has had other names. */
#define LITERALS_CODED 1

/* Some functions of libzstd answer NULL for more than one reason. */
typedef struct ZstdMemory
{
	const SvAlloc *alloc;
	bool		failed;
} ZstdMemory;

struct SstCompressor
{
	ZstdMemory	memory;
	ZSTD_CCtx  *context;
	SvSlice		dictionary;
	const ZSTD_CDict *digested; /* the dictionary for digested_level; NULL: for none yet */
	int			digested_level;
	void	   *digest_memory;	/* digested is in it */
	unsigned	positions;		/* of sst_compress_passing_over, as the context is set; 0: not yet */
};

struct SstDecompressor
{
	ZstdMemory	memory;
	ZSTD_DCtx  *context;
	ZSTD_DDict *dictionary;		/* NULL: none */
};

static void *
zstd_allocate(void *opaque, size_t bytes)
{
	ZstdMemory *memory = opaque;
	void	   *p = sv_allocate(memory->alloc, bytes);

	if (p == NULL)
		memory->failed = true;
	return p;
}

static void
zstd_release(void *opaque, void *ptr)
{
	sv_release(((ZstdMemory *) opaque)->alloc, ptr);
}

static ZSTD_customMem
zstd_memory(ZstdMemory *memory)
{
	ZSTD_customMem custom = {zstd_allocate, zstd_release, memory};

	return custom;
}

/* ------------------------------------------------------------- compressing */

SvStatus
sst_zstd_check_level(int level, SvError *err)
{
	if (level < 0 || level > ZSTD_maxCLevel())
		return sv_fail(err, SV_INVALID, "zstd level %d is out of range 0 to %d",
					   level, ZSTD_maxCLevel());
	return SV_OK;
}

static SvStatus
no_memory_to_compress(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory for compression");
}

SvStatus
sst_compressor_create(SstCompressor **compressor, const SvAlloc *alloc, SvError *err)
{
	SstCompressor *c = sv_allocate(alloc, sizeof(*c));

	*compressor = NULL;
	if (c == NULL)
		return no_memory_to_compress(err);
	memset(c, 0, sizeof(*c));
	c->memory.alloc = alloc;
	c->context = ZSTD_createCCtx_advanced(zstd_memory(&c->memory));
	if (c->context == NULL)
	{
		sv_release(alloc, c);
		return no_memory_to_compress(err);
	}
	*compressor = c;
	return SV_OK;
}

void
sst_compressor_destroy(SstCompressor *compressor)
{
	if (compressor == NULL)
		return;
	sv_release(compressor->memory.alloc, compressor->digest_memory);
	ZSTD_freeCCtx(compressor->context);
	sv_release(compressor->memory.alloc, compressor);
}

void
sst_compressor_set_dictionary(SstCompressor *compressor, SvSlice dictionary)
{
	compressor->digested = NULL;
	compressor->dictionary = dictionary;
}

/*
 * Digests the dictionary for a level, unless that is how it is.  In memory that
 * is there before: when libzstd allocates it and has none, version 1.5.4
 * follows a null pointer.
 */
static SvStatus
digest_dictionary(SstCompressor *compressor, int level, SvError *err)
{
	const SvAlloc *alloc = compressor->memory.alloc;
	SvSlice		dictionary = compressor->dictionary;
	ZSTD_compressionParameters parameters = ZSTD_getCParams(level, SST_FRAME_BYTES,
															dictionary.len);
	size_t		bytes = ZSTD_estimateCDictSize_advanced(dictionary.len, parameters, ZSTD_dlm_byRef);

	if (compressor->digested != NULL && compressor->digested_level == level)
		return SV_OK;
	sv_release(alloc, compressor->digest_memory);
	compressor->digested = NULL;
	compressor->digest_memory = sv_allocate(alloc, bytes);
	if (compressor->digest_memory == NULL)
		return no_memory_to_compress(err);
	compressor->digested = ZSTD_initStaticCDict(compressor->digest_memory, bytes, dictionary.data,
												dictionary.len, ZSTD_dlm_byRef, ZSTD_dct_auto,
												parameters);
	if (compressor->digested == NULL)
		return sv_fail(err, SV_INVALID, "could not use a dictionary of %zu bytes",
					   dictionary.len);
	compressor->digested_level = level;
	return SV_OK;
}

/* What a function of libzstd has answered: the length of what is in *out, or a failure. */
static SvStatus
take_answer(size_t n, SvSlice raw, SvBuffer *out, SvError *err)
{
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
			return no_memory_to_compress(err);
		default:
			return sv_fail(err, SV_INVALID, "could not compress %zu bytes: %s",
						   raw.len, ZSTD_getErrorName(n));
	}
}

SvStatus
sst_compress(SstCompressor *compressor, int level, bool with_dictionary, SvSlice raw,
			 size_t at_most, SvBuffer *out, SvError *err)
{
	SvStatus	status = with_dictionary ? digest_dictionary(compressor, level, err) : SV_OK;
	size_t		n;

	sv_buffer_reset(out);
	if (status == SV_OK)
		status = sv_buffer_reserve(out, at_most, err);
	if (status != SV_OK)
		return status;
	if (with_dictionary)
		n = ZSTD_compress_usingCDict(compressor->context, out->data, at_most, raw.data, raw.len,
									 compressor->digested);
	else
		n = ZSTD_compressCCtx(compressor->context, out->data, at_most, raw.data, raw.len, level);
	return take_answer(n, raw, out, err);
}

/* As level 1 has it for a block, but that more is passed over, as below level 1; there literals are not coded. */
static void
set_positions(SstCompressor *compressor, unsigned positions)
{
	static const struct
	{
		ZSTD_cParameter parameter;
		int			value;
	}			fixed[] = {
		{ZSTD_c_compressionLevel, 1}, {ZSTD_c_windowLog, 14}, {ZSTD_c_hashLog, 15},
		{ZSTD_c_strategy, ZSTD_fast}, {ZSTD_c_minMatch, 6}, {ZSTD_c_literalCompressionMode, LITERALS_CODED}
	};

	if (compressor->positions == positions)
		return;
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		(void) ZSTD_CCtx_setParameter(compressor->context, fixed[i].parameter, fixed[i].value);
	(void) ZSTD_CCtx_setParameter(compressor->context, ZSTD_c_targetLength, (int) positions);
	compressor->positions = positions;
}

SvStatus
sst_compress_passing_over(SstCompressor *compressor, unsigned positions, SvSlice raw,
						  size_t at_most, SvBuffer *out, SvError *err)
{
	SvStatus	status;

	sv_buffer_reset(out);
	status = sv_buffer_reserve(out, at_most, err);
	if (status != SV_OK)
		return status;
	set_positions(compressor, positions);
	return take_answer(ZSTD_compress2(compressor->context, out->data, at_most, raw.data, raw.len), raw, out, err);
}

SvStatus
sst_dictionary_train(SvSlice samples, const size_t *sample_bytes, uint32_t sample_count,
					 size_t max_bytes, SvBuffer *out, SvError *err)
{
	SvStatus	status;
	size_t		n;

	sv_buffer_reset(out);
	status = sv_buffer_reserve(out, max_bytes, err);
	if (status != SV_OK)
		return status;
	n = ZDICT_trainFromBuffer(out->data, max_bytes, samples.data, sample_bytes, sample_count);
	if (!ZDICT_isError(n))
		out->len = n;
	else if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for making a dictionary");
	return SV_OK;
}

SvSlice
sst_dictionary_content(SvSlice dictionary)
{
	size_t		header = ZDICT_getDictHeaderSize(dictionary.data, dictionary.len);

	if (ZDICT_isError(header) || dictionary.len - header < 8 ||
		sv_get_u32(dictionary.data + header) == ZSTD_MAGIC_DICTIONARY)
		return dictionary;
	return sv_slice(dictionary.data + header, dictionary.len - header);
}

/* ----------------------------------------------------------- decompressing */

static SvStatus
no_memory_to_decompress(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory for decompression");
}

SvStatus
sst_decompressor_create(SstDecompressor **decompressor, const SvAlloc *alloc, SvError *err)
{
	SstDecompressor *d = sv_allocate(alloc, sizeof(*d));

	*decompressor = NULL;
	if (d == NULL)
		return no_memory_to_decompress(err);
	memset(d, 0, sizeof(*d));
	d->memory.alloc = alloc;
	d->context = ZSTD_createDCtx_advanced(zstd_memory(&d->memory));
	if (d->context == NULL)
	{
		sv_release(alloc, d);
		return no_memory_to_decompress(err);
	}
	*decompressor = d;
	return SV_OK;
}

void
sst_decompressor_destroy(SstDecompressor *decompressor)
{
	if (decompressor == NULL)
		return;
	ZSTD_freeDDict(decompressor->dictionary);
	ZSTD_freeDCtx(decompressor->context);
	sv_release(decompressor->memory.alloc, decompressor);
}

size_t
sst_decompressor_memory(const SstDecompressor *decompressor)
{
	if (decompressor == NULL)
		return 0;
	return sizeof(*decompressor) + ZSTD_sizeof_DCtx(decompressor->context) +
		ZSTD_sizeof_DDict(decompressor->dictionary);
}

SvStatus
sst_decompressor_set_dictionary(SstDecompressor *decompressor, SvSlice dictionary, SvError *err)
{
	ZSTD_freeDDict(decompressor->dictionary);
	decompressor->memory.failed = false;
	decompressor->dictionary = ZSTD_createDDict_advanced(dictionary.data, dictionary.len,
														 ZSTD_dlm_byCopy, ZSTD_dct_auto,
														 zstd_memory(&decompressor->memory));
	if (decompressor->dictionary != NULL)
		return SV_OK;
	if (decompressor->memory.failed)
		return no_memory_to_decompress(err);
	return sv_fail(err, SV_CORRUPT, "dictionary of the file is malformed");
}

bool
sst_decompressor_has_dictionary(const SstDecompressor *decompressor)
{
	return decompressor->dictionary != NULL;
}

/*
 * libzstd would also take frames of its prehistory, skippable frames and
 * several frames in a row; none of that is ours, and its old decoders are not
 * for hostile bytes.
 */
static bool
is_one_frame(SvSlice stored)
{
	return stored.len >= 4 && sv_get_u32(stored.data) == ZSTD_MAGICNUMBER &&
		ZSTD_findFrameCompressedSize(stored.data, stored.len) == stored.len;
}

SvStatus
sst_decompress(SstDecompressor *decompressor, bool with_dictionary, SvSlice stored, uint8_t *dst,
			   size_t raw_bytes, SvError *err)
{
	size_t		n;

	if (!is_one_frame(stored))
		return sv_fail(err, SV_CORRUPT, "not one zstd frame");
	if (with_dictionary)
		n = ZSTD_decompress_usingDDict(decompressor->context, dst, raw_bytes, stored.data,
									   stored.len, decompressor->dictionary);
	else
		n = ZSTD_decompressDCtx(decompressor->context, dst, raw_bytes, stored.data, stored.len);
	if (ZSTD_isError(n))
	{
		if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
			return no_memory_to_decompress(err);
		return sv_fail(err, SV_CORRUPT, "decompression failed: %s", ZSTD_getErrorName(n));
	}
	if (n != raw_bytes)
		return sv_fail(err, SV_CORRUPT, "decompresses to %zu bytes instead of %zu", n, raw_bytes);
	return SV_OK;
}
