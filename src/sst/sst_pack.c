/*
 * sst_pack.c
 *		Storing blocks, and deciding about a dictionary.
 */
#include "sst/sst_pack.h"

#include "sst/sst_format.h"
#include "sst/sst_zstd.h"

/* A block that is held back; its bytes are in `sample` or in `others`. */
typedef struct HeldBlock
{
	SstRawBlock block;			/* raw.data is not set */
	bool		sampled;
	size_t		at;
} HeldBlock;

struct SstPacker
{
	const SvAlloc *alloc;
	SstPackSink sink;
	SstCompressor *compressor;	/* made for the first block to be compressed */
	SvBuffer	compressed;
	uint32_t	dictionary_bytes;
	bool		undecided;		/* a dictionary may be made yet */
	SvBuffer	dictionary;		/* empty: none */
	SvBuffer	held;			/* HeldBlock */
	SvBuffer	sample;
	SvBuffer	sample_sizes;	/* size_t */
	SvBuffer	others;
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
	sv_buffer_init(&p->sample, alloc);
	sv_buffer_init(&p->sample_sizes, alloc);
	sv_buffer_init(&p->others, alloc);
	return SV_OK;
}

static void
free_held(SstPacker *packer)
{
	sv_buffer_free(&packer->held);
	sv_buffer_free(&packer->sample);
	sv_buffer_free(&packer->sample_sizes);
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
	SvStatus	status = SV_OK;

	*stored = raw;
	if (block->level == 0)
		return SV_OK;
	if (packer->compressor == NULL)
		status = sst_compressor_create(&packer->compressor, packer->alloc, err);
	if (status == SV_OK)
		status = sst_compress(packer->compressor, block->level, with_dictionary, raw,
							  raw.len - raw.len / 8 - 1, &packer->compressed, err);
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
	bytes = held.sampled ? &packer->sample : &packer->others;
	held.block.raw.data = bytes->data + held.at;
	return held;
}

/* Adds up how many bytes the sample takes when stored. */
static SvStatus
measure(SstPacker *packer, bool with_dictionary, size_t *bytes, SvError *err)
{
	SvStatus	status = SV_OK;

	*bytes = 0;
	for (uint32_t i = 0; i < held_count(packer) && status == SV_OK; i++)
	{
		HeldBlock	held = held_block(packer, i);
		SvSlice		stored;

		if (!held.sampled)
			continue;
		status = compress(packer, &held.block, with_dictionary, &stored, err);
		*bytes += stored.len;
	}
	return status;
}

/* The same with a dictionary, whose own bytes count. */
static SvStatus
measure_with(SstPacker *packer, SvSlice dictionary, size_t *bytes, SvError *err)
{
	SvStatus	status;

	sst_compressor_set_dictionary(packer->compressor, dictionary);
	status = measure(packer, true, bytes, err);
	*bytes += dictionary.len;
	return status;
}

/* Keeps the dictionary as it is, or only its content, or nothing of it: what makes the sample smallest. */
static SvStatus
choose_dictionary(SstPacker *packer, SvError *err)
{
	SvSlice		whole = sv_buffer_slice(&packer->dictionary);
	SvSlice		content = sst_dictionary_content(whole);
	size_t		without_bytes;
	size_t		whole_bytes;
	size_t		content_bytes;
	SvStatus	status = measure(packer, false, &without_bytes, err);

	if (status == SV_OK)
		status = measure_with(packer, whole, &whole_bytes, err);
	if (status == SV_OK)
		status = measure_with(packer, content, &content_bytes, err);
	if (status != SV_OK)
		return status;
	if (whole_bytes >= without_bytes && content_bytes >= without_bytes)
		sv_buffer_free(&packer->dictionary);
	else if (content_bytes < whole_bytes)
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
	SvStatus	status = sst_dictionary_train(sv_buffer_slice(&packer->sample),
											  (const size_t *) (const void *) packer->sample_sizes.data,
											  (uint32_t) (packer->sample_sizes.len / sizeof(size_t)),
											  packer->dictionary_bytes, &packer->dictionary, err);

	packer->undecided = false;
	if (status == SV_OK && packer->dictionary.len > 0)
		status = choose_dictionary(packer, err);
	return status;
}

static SvStatus
release_held(SstPacker *packer, SvError *err)
{
	SvStatus	status = packer->sample.len > 0 ? decide(packer, err) : SV_OK;

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

	return packer->sample.len >= wanted ||
		packer->sample.len + packer->others.len >= SST_SAMPLE_MAX_BYTES;
}

static SvStatus
hold_block(SstPacker *packer, const SstRawBlock *block, SvError *err)
{
	HeldBlock	held = {.block = *block,.sampled = is_for_sample(block)};
	SvBuffer   *bytes = held.sampled ? &packer->sample : &packer->others;
	size_t		size = block->raw.len;
	SvStatus	status;

	held.at = bytes->len;
	status = sv_buffer_append(bytes, block->raw.data, size, err);
	if (status == SV_OK && held.sampled)
		status = sv_buffer_append(&packer->sample_sizes, &size, sizeof(size), err);
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
