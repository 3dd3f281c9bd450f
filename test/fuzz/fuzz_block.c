/*
 * fuzz_block.c
 *		Any bytes as a data block: raw, and as a settled one that changed in a
 *		shared cache.
 *
 * What settle takes is whole: every entry decodes, and is found by its key.
 * Of bytes that were never settled readers may say anything, but from inside
 * them.
 */
#include <stdlib.h>

#include "base/sv_hash.h"
#include "sst/sst_block.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_KEYS 32

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
require_inside(SvSlice part, const SstBlock *block)
{
	require(part.len == 0 ||
			(part.data >= block->data && part.data + part.len <= block->data + block->entries_bytes));
}

static void
look_up(const SstBlock *block, const SvBuffer *offsets, SvSlice key, bool must_be_there)
{
	SstEntry	entry;
	bool		found = false;
	uint32_t	position = 0;
	uint64_t	hash = sv_hash64(key);
	const char *problem;

	problem = sst_block_find_first(block, key, hash, sst_block_first(block, hash), &found, &entry);
	require(!must_be_there || (problem == NULL && found));
	problem = sst_block_find(block, key, hash, &found, &entry);
	if (problem == NULL && found)
	{
		require(sv_slice_equal(entry.key, key));
		require_inside(entry.value, block);
	}
	require(!must_be_there || (problem == NULL && found));
	if (offsets->len > 0 &&
		sst_block_seek(block, (const uint16_t *) offsets->data, key, &position) == NULL)
		require(position <= block->count);
}

/* Whole if settled; the offsets are left empty if not all entries can be read. */
static void
read_entries(const SstBlock *block, bool settled)
{
	SvBuffer	offsets;
	const char *problem;
	size_t		at = 0;

	sv_buffer_init(&offsets, &sv_malloc_alloc);
	require(sst_block_offsets(block, &offsets, &problem, NULL) == SV_OK);
	require(!settled || problem == NULL);
	if (problem != NULL)
		sv_buffer_reset(&offsets);
	for (uint32_t i = 0; i < block->count; i++)
	{
		SstEntry	entry;
		size_t		before = at;

		if (sst_block_entry(block, at, &entry, &at) != NULL)
		{
			require(!settled);
			break;
		}
		require(at > before && at <= block->entries_bytes);
		require_inside(entry.key, block);
		require_inside(entry.value, block);
		if (i < MAX_KEYS)
			look_up(block, &offsets, entry.key, settled);
	}
	for (size_t i = 0; !settled && i < MAX_KEYS && i < block->entries_bytes; i++)
		look_up(block, &offsets, sv_slice(block->data, i), false);
	require(!settled || at == block->entries_bytes);
	sv_buffer_free(&offsets);
}

/* The head of an entry by itself, cut off anywhere. */
static void
decode_head(const uint8_t *data, size_t size)
{
	SstEntry	entry;
	size_t		value_at;

	for (size_t cut = 0; cut <= size && cut < 2 * SST_ENTRY_HEAD_BYTES; cut++)
		if (sst_entry_decode_head(sv_slice(data, cut), &entry, &value_at) == NULL)
			require(value_at <= cut && entry.key.len <= value_at && entry.value.data == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size + 1);
	SstSettled	settled;
	SstBlock	block;

	require(copy != NULL);
	decode_head(data, size);
	if (sst_block_parse(&block, sv_slice(data, size)) == NULL)
		read_entries(&block, false);
	if (size > 0)
		memcpy(copy, data, size);
	if (sst_block_settle(copy, size, &settled) == NULL)
	{
		require(sst_block_parse(&block, sv_slice(copy, size)) == NULL);
		read_entries(&block, true);
	}
	free(copy);
	return 0;
}
