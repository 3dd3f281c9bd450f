/*
 * sst_load.c
 *		From a source to a settled block.
 */
#include "sst/sst_load.h"

#include <inttypes.h>

#include "base/sv_hash.h"
#include "sst/sst_zstd.h"

struct SstLoader
{
	const SvAlloc *alloc;
	SstDecompressor *decompressor;	/* made for the first compressed block */
	SvBuffer	stored;			/* a compressed block, while it is decompressed */
	uint64_t	dictionary_hash[2]; /* of the dictionary that the decompressor has */
};

SvStatus
sst_loader_create(SstLoader **loader, const SvAlloc *alloc, SvError *err)
{
	SstLoader  *l = sv_allocate(alloc, sizeof(*l));

	*loader = l;
	if (l == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for reading blocks");
	memset(l, 0, sizeof(*l));
	l->alloc = alloc;
	sv_buffer_init(&l->stored, alloc);
	return SV_OK;
}

void
sst_loader_destroy(SstLoader *loader)
{
	if (loader == NULL)
		return;
	sst_decompressor_destroy(loader->decompressor);
	sv_buffer_free(&loader->stored);
	sv_release(loader->alloc, loader);
}

size_t
sst_loader_memory(const SstLoader *loader)
{
	return sizeof(*loader) + loader->stored.capacity +
		sst_decompressor_memory(loader->decompressor);
}

SvStatus
sst_block_damaged(const SstTail *tail, const char *object, uint32_t block, const char *problem,
				  SvError *err)
{
	return sv_fail(err, SV_CORRUPT,
				   "corrupted block %" PRIu32 " at offset %" PRIu64 " of object \"%s\": %s",
				   block, sst_index_block(&tail->index, block).offset, object, problem);
}

/* Gives the decompressor the tail's dictionary, unless it is the one it has. */
static SvStatus
use_dictionary(SstLoader *loader, const SstTail *tail, SvError *err)
{
	SvStatus	status;

	if (sst_decompressor_has_dictionary(loader->decompressor) &&
		memcmp(loader->dictionary_hash, tail->dictionary_hash,
			   sizeof(loader->dictionary_hash)) == 0)
		return SV_OK;
	status = sst_decompressor_set_dictionary(loader->decompressor, tail->dictionary, err);
	if (status == SV_OK)
		memcpy(loader->dictionary_hash, tail->dictionary_hash, sizeof(loader->dictionary_hash));
	return status;
}

static SvStatus
decompress(SstLoader *loader, const SstTail *tail, const SstBlockInfo *info, SvSlice stored,
		   uint8_t *dst, SvError *err)
{
	bool		dictionary = (info->flags & SST_BLOCK_DICTIONARY) != 0;
	SvStatus	status = SV_OK;

	if (loader->decompressor == NULL)
		status = sst_decompressor_create(&loader->decompressor, loader->alloc, err);
	if (status == SV_OK && dictionary)
		status = use_dictionary(loader, tail, err);
	if (status == SV_OK)
		status = sst_decompress(loader->decompressor, dictionary, stored, dst, info->raw_bytes,
								err);
	return status;
}

/* Whether a settled block has what the index promises of it: NULL, or what differs. */
static const char *
check_against_index(const SstIndex *index, uint32_t block, const SstSettled *settled)
{
	int			c = sv_slice_compare(settled->first_key, sst_index_low_key(index, block));

	/* Lookups in a cache believe the index about it. */
	if (settled->count != sst_index_block(index, block).entries)
		return "wrong number of entries";
	if (c < 0 || (block == 0 && c != 0))
		return "first key does not fit the block index";
	if (block + 1 < index->count ?
		sv_slice_compare(settled->last_key, sst_index_low_key(index, block + 1)) >= 0 :
		!sv_slice_equal(settled->last_key, sst_index_last_key(index)))
		return "last key does not fit the block index";
	return NULL;
}

/* Turns the raw block in dst into a settled one. */
static SvStatus
settle(const SstTail *tail, const char *object, uint32_t block, uint8_t *dst, size_t raw_bytes,
	   SvError *err)
{
	SstSettled	settled;
	const char *problem = sst_block_settle(dst, raw_bytes, &settled);

	if (problem == NULL)
		problem = check_against_index(&tail->index, block, &settled);
	return problem == NULL ? SV_OK : sst_block_damaged(tail, object, block, problem, err);
}

SvStatus
sst_load_raw(SstLoader *loader, const SstTail *tail, const char *object, uint32_t block,
			 SvSlice stored, uint8_t *dst, SvSlice *raw, SvError *err)
{
	SstBlockInfo info = sst_index_block(&tail->index, block);
	SvError		detail;
	SvStatus	status = SV_OK;

	*raw = stored;
	if (stored.len != info.stored_bytes || sv_hash64(stored) != info.checksum)
		return sst_block_damaged(tail, object, block, "checksum does not match", err);
	if ((info.flags & SST_BLOCK_ZSTD) == 0)
		return SV_OK;
	status = decompress(loader, tail, &info, stored, dst, &detail);
	*raw = sv_slice(dst, info.raw_bytes);
	if (status == SV_CORRUPT)
		return sst_block_damaged(tail, object, block, detail.message, err);
	return status == SV_OK ? SV_OK : sv_fail(err, status, "%s", detail.message);
}

SvStatus
sst_load_stored(SstLoader *loader, const SstTail *tail, const char *object, uint32_t block,
				SvSlice stored, uint8_t *dst, SvError *err)
{
	SvSlice		raw;
	SvStatus	status = sst_load_raw(loader, tail, object, block, stored, dst, &raw, err);

	if (status != SV_OK)
		return status;
	if (raw.data != dst)
		memcpy(dst, raw.data, raw.len);
	return settle(tail, object, block, dst, raw.len, err);
}

SvStatus
sst_load_block(SstLoader *loader, const SstTail *tail, const SstSource *source, uint32_t block,
			   uint8_t *dst, SvError *err)
{
	SstBlockInfo info = sst_index_block(&tail->index, block);
	uint8_t    *stored = dst;
	SvStatus	status = SV_OK;

	/* What is not compressed is read to where it stays. */
	if ((info.flags & SST_BLOCK_ZSTD) != 0)
	{
		sv_buffer_reset(&loader->stored);
		status = sv_buffer_reserve(&loader->stored, info.stored_bytes, err);
		stored = loader->stored.data;
	}
	if (status == SV_OK)
		status = source->read(source->state, info.offset, info.stored_bytes, stored, err);
	if (status == SV_OK)
		status = sst_load_stored(loader, tail, source->name, block,
								 sv_slice(stored, info.stored_bytes), dst, err);
	if (loader->stored.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&loader->stored);
	return status;
}
