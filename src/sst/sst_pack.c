/*
 * sst_pack.c
 *		Storing blocks, and deciding about a dictionary.
 */
#include "sst/sst_pack.h"

#include "sst/sst_format.h"
#include "sst/sst_stride.h"
#include "sst/sst_zstd.h"

/* What a block that is held back is for. */
typedef enum Purpose
{
	FOR_TRAINING,
	FOR_MEASURING,
	FOR_LATER					/* not of the sample */
} Purpose;

/* A block that is held back; its bytes are in `training` or in `others`. */
typedef struct HeldBlock
{
	SstRawBlock block;			/* raw.data is not set */
	Purpose		purpose;
	size_t		at;
} HeldBlock;

struct SstPacker
{
	const SvAlloc *alloc;
	SstPackSink sink;
	SstCompressor *compressor;	/* made for the first block to be compressed */
	SvBuffer	compressed;
	SstStride	stride;			/* of blocks of level 1 without a dictionary */
	uint32_t	dictionary_bytes;
	bool		undecided;		/* a dictionary may be made yet */
	SvBuffer	dictionary;		/* empty: none */
	SvBuffer	held;			/* HeldBlock */
	SvBuffer	training;
	SvBuffer	training_sizes; /* size_t */
	SvBuffer	others;
	uint32_t	sample_blocks;
	size_t		sample_bytes;
};

SvStatus
sst_packer_create(SstPacker **packer, uint32_t dictionary_bytes, const SstPackSink *sink,
				  const SvAlloc *alloc, SvError *err)
{
	SstPacker  *p = sv_allocate(alloc, sizeof(*p));

	*packer = p;
	if (p == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for writing blocks");
	memset(p, 0, sizeof(*p));
	p->alloc = alloc;
	p->sink = *sink;
	p->dictionary_bytes = dictionary_bytes;
	p->undecided = dictionary_bytes > 0;
	sv_buffer_init(&p->compressed, alloc);
	sv_buffer_init(&p->dictionary, alloc);
	sv_buffer_init(&p->held, alloc);
	sv_buffer_init(&p->training, alloc);
	sv_buffer_init(&p->training_sizes, alloc);
	sv_buffer_init(&p->others, alloc);
	return SV_OK;
}

static void
free_held(SstPacker *packer)
{
	sv_buffer_free(&packer->held);
	sv_buffer_free(&packer->training);
	sv_buffer_free(&packer->training_sizes);
	sv_buffer_free(&packer->others);
}

void
sst_packer_destroy(SstPacker *packer)
{
	if (packer == NULL)
		return;
	sst_compressor_destroy(packer->compressor);
	free_held(packer);
	sv_buffer_free(&packer->dictionary);
	sv_buffer_free(&packer->compressed);
	sv_release(packer->alloc, packer);
}

SvSlice
sst_packer_dictionary(const SstPacker *packer)
{
	return sv_buffer_slice(&packer->dictionary);
}

/* What of a raw block is stored: itself, unless compression saves more than an eighth. */
static SvStatus
compress(SstPacker *packer, const SstRawBlock *block, bool with_dictionary, SvSlice *stored,
		 SvError *err)
{
	SvSlice		raw = block->raw;
	size_t		at_most = raw.len - raw.len / 8 - 1;
	SvStatus	status = SV_OK;

	*stored = raw;
	if (block->level == 0)
		return SV_OK;
	if (packer->compressor == NULL)
		status = sst_compressor_create(&packer->compressor, packer->alloc, err);
	if (status != SV_OK)
		return status;
	if (block->level == 1 && !(block->dictionary && packer->dictionary_bytes > 0) && raw.len <= SST_FRAME_BYTES)
		status = sst_stride_compress(&packer->stride, packer->compressor, raw, at_most, &packer->compressed, err);
	else
		status = sst_compress(packer->compressor, block->level, with_dictionary, raw, at_most,
							  &packer->compressed, err);
	if (status == SV_OK && packer->compressed.len > 0)
		*stored = sv_buffer_slice(&packer->compressed);
	return status;
}

static SvStatus
put_block(SstPacker *packer, const SstRawBlock *block, SvError *err)
{
	bool		with_dictionary = block->dictionary && packer->dictionary.len > 0;
	SstBlockInfo info = {.raw_bytes = (uint32_t) block->raw.len,.entries = block->entries};
	SvSlice		stored;
	SvStatus	status = compress(packer, block, with_dictionary, &stored, err);

	if (status != SV_OK)
		return status;
	if (block->raw.len > SST_FRAME_BYTES)
		info.flags |= SST_BLOCK_LARGE;
	if (stored.data != block->raw.data)
		info.flags |= SST_BLOCK_ZSTD | (with_dictionary ? SST_BLOCK_DICTIONARY : 0);
	info.stored_bytes = (uint32_t) stored.len;
	status = packer->sink.put(packer->sink.state, block->number, &info, stored, err);
	if (packer->compressed.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&packer->compressed);
	return status;
}

static uint32_t
held_count(const SstPacker *packer)
{
	return (uint32_t) (packer->held.len / sizeof(HeldBlock));
}

static HeldBlock
held_block(const SstPacker *packer, uint32_t i)
{
	HeldBlock	held;
	const SvBuffer *bytes;

	memcpy(&held, packer->held.data + i * sizeof(held), sizeof(held));
	bytes = held.purpose == FOR_TRAINING ? &packer->training : &packer->others;
	held.block.raw.data = bytes->data + held.at;
	return held;
}

/*
 * Adds up how many bytes the sample takes when stored, by those blocks of it
 * that are for measuring; *raw_bytes is how many these have.
 */
static SvStatus
measure(SstPacker *packer, bool with_dictionary, size_t *raw_bytes, size_t *stored_bytes,
		SvError *err)
{
	SvStatus	status = SV_OK;

	*raw_bytes = 0;
	*stored_bytes = 0;
	for (uint32_t i = 0; i < held_count(packer) && status == SV_OK; i++)
	{
		HeldBlock	held = held_block(packer, i);
		SvSlice		stored;

		if (held.purpose != FOR_MEASURING)
			continue;
		status = compress(packer, &held.block, with_dictionary, &stored, err);
		*raw_bytes += held.block.raw.len;
		*stored_bytes += stored.len;
	}
	return status;
}

/* How many bytes a dictionary saves in the sample, without it of stored_bytes, less its own. */
static SvStatus
measure_gain(SstPacker *packer, SvSlice dictionary, size_t stored_bytes, double *gain, SvError *err)
{
	size_t		raw_bytes;
	size_t		bytes;
	SvStatus	status;

	sst_compressor_set_dictionary(packer->compressor, dictionary);
	status = measure(packer, true, &raw_bytes, &bytes, err);
	*gain = ((double) stored_bytes - (double) bytes) *
		((double) packer->sample_bytes / (double) raw_bytes) - (double) dictionary.len;
	return status;
}

/* Keeps the dictionary as it is, or only its content, or nothing of it: what gains most. */
static SvStatus
choose_dictionary(SstPacker *packer, SvError *err)
{
	SvSlice		whole = sv_buffer_slice(&packer->dictionary);
	SvSlice		content = sst_dictionary_content(whole);
	size_t		raw_bytes;
	size_t		stored_bytes;
	double		whole_gain;
	double		content_gain;
	SvStatus	status = measure(packer, false, &raw_bytes, &stored_bytes, err);

	if (status == SV_OK)
		status = measure_gain(packer, whole, stored_bytes, &whole_gain, err);
	if (status == SV_OK)
		status = measure_gain(packer, content, stored_bytes, &content_gain, err);
	if (status != SV_OK)
		return status;
	if (whole_gain <= 0 && content_gain <= 0)
		sv_buffer_free(&packer->dictionary);
	else if (content_gain > whole_gain)
	{
		memmove(packer->dictionary.data, content.data, content.len);
		packer->dictionary.len = content.len;
	}
	sst_compressor_set_dictionary(packer->compressor, sv_buffer_slice(&packer->dictionary));
	return SV_OK;
}

static SvStatus
decide(SstPacker *packer, SvError *err)
{
	const size_t *sizes = (const size_t *) (const void *) packer->training_sizes.data;
	uint32_t	count = (uint32_t) (packer->training_sizes.len / sizeof(size_t));
	SvStatus	status;

	packer->undecided = false;
	/* The first block for measuring comes after some for training. */
	if (packer->sample_blocks < SST_SAMPLE_TEST_SHARE)
		return SV_OK;
	status = sst_dictionary_train(sv_buffer_slice(&packer->training), sizes, count,
								  packer->dictionary_bytes, &packer->dictionary, err);
	if (status == SV_OK && packer->dictionary.len > 0)
		status = choose_dictionary(packer, err);
	return status;
}

static SvStatus
release_held(SstPacker *packer, SvError *err)
{
	SvStatus	status = decide(packer, err);

	for (uint32_t i = 0; i < held_count(packer) && status == SV_OK; i++)
	{
		HeldBlock	held = held_block(packer, i);

		status = put_block(packer, &held.block, err);
	}
	free_held(packer);
	return status;
}

static bool
is_for_sample(const SstRawBlock *block)
{
	return block->dictionary && block->level > 0 && block->raw.len <= SST_FRAME_BYTES;
}

static bool
sample_is_full(const SstPacker *packer)
{
	uint64_t	wanted = packer->dictionary_bytes * (uint64_t) SST_SAMPLE_FACTOR;

	return packer->sample_bytes >= wanted ||
		packer->training.len + packer->others.len >= SST_SAMPLE_MAX_BYTES;
}

static Purpose
purpose_of(SstPacker *packer, const SstRawBlock *block)
{
	if (!is_for_sample(block))
		return FOR_LATER;
	packer->sample_bytes += block->raw.len;
	return ++packer->sample_blocks % SST_SAMPLE_TEST_SHARE == 0 ? FOR_MEASURING : FOR_TRAINING;
}

static SvStatus
hold_block(SstPacker *packer, const SstRawBlock *block, SvError *err)
{
	HeldBlock	held = {.block = *block,.purpose = purpose_of(packer, block)};
	bool		train = held.purpose == FOR_TRAINING;
	SvBuffer   *bytes = train ? &packer->training : &packer->others;
	size_t		size = block->raw.len;
	SvStatus	status;

	held.at = bytes->len;
	status = sv_buffer_append(bytes, block->raw.data, size, err);
	if (status == SV_OK && train)
		status = sv_buffer_append(&packer->training_sizes, &size, sizeof(size), err);
	if (status == SV_OK)
		status = sv_buffer_append(&packer->held, &held, sizeof(held), err);
	if (status == SV_OK && sample_is_full(packer))
		status = release_held(packer, err);
	return status;
}

SvStatus
sst_packer_add(SstPacker *packer, const SstRawBlock *block, SvError *err)
{
	if (packer->undecided && (packer->held.len > 0 || is_for_sample(block)))
		return hold_block(packer, block, err);
	return put_block(packer, block, err);
}

SvStatus
sst_packer_flush(SstPacker *packer, SvError *err)
{
	return packer->held.len > 0 ? release_held(packer, err) : SV_OK;
}
