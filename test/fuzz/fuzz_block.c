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
look_up(const SstBlock *block, SvSlice key, bool must_be_there)
{
	SstEntry	entry;
	bool		found = false;
	uint32_t	position = 0;
	uint8_t		tag = sst_block_tag(sv_hash64(key));
	const char *problem = sst_block_find(block, key, tag, &found, &entry);

	if (problem == NULL && found)
	{
		require(sv_slice_equal(entry.key, key));
		require_inside(entry.value, block);
	}
	require(!must_be_there || (problem == NULL && found));
	if (sst_block_seek(block, key, &position, &found, &entry) == NULL)
		require(position < block->count || (position == block->count && !found));
	position = 0;
	sst_block_next_tagged(block, tag, &position);
	require(position <= block->count);
	if (position < block->count)
		sst_block_prefetch_entry(block, position);
}

static void
read_entries(const SstBlock *block, bool settled)
{
	for (uint32_t i = 0; i < block->count; i++)
	{
		SstEntry	entry;

		if (sst_block_entry(block, i, &entry) != NULL)
			require(!settled);
		else
		{
			require_inside(entry.key, block);
			require_inside(entry.value, block);
			if (i < MAX_KEYS)
				look_up(block, entry.key, settled);
		}
	}
}

/* The head of an entry by itself, cut off anywhere. */
static void
decode_head(const uint8_t *data, size_t size)
{
	SstEntry	entry;
	size_t		value_at;

	for (size_t cut = 0; cut <= size && cut < 2 * SST_ENTRY_HEAD_BYTES; cut++)
		if (sst_entry_decode_head(sv_slice(data, cut), size, &entry, &value_at) == NULL)
			require(value_at <= cut && value_at + entry.value.len == size &&
					entry.key.len <= value_at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *copy = malloc(size + 1);
	SstBlock	block;

	require(copy != NULL);
	decode_head(data, size);
	if (sst_block_parse(&block, sv_slice(data, size)) == NULL)
	{
		read_entries(&block, false);
		for (size_t at = 0; at < size && at < MAX_KEYS; at++)
			look_up(&block, sv_slice(data + at, data[at] % 8 < size - at ? data[at] % 8 : 0), false);
	}
	if (size > 0)
		memcpy(copy, data, size);
	if (sst_block_settle(copy, size) == NULL)
	{
		require(sst_block_parse(&block, sv_slice(copy, size)) == NULL);
		read_entries(&block, true);
	}
	free(copy);
	return 0;
}
