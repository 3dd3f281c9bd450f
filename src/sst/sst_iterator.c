/*
 * sst_iterator.c
 *		The entries of an SST in order, either way, between two bounds.
 *
 * The iterator stands on a block, loaded or about to be; each block that can
 * hold an entry of the range is fetched once, all others never.  A failed
 * fetch moves nothing, so that the next call tries it again.
 *
 * Forward, entries are found one behind the other, and a block is checked against
 * the index as the walk comes to its ends: so it may be one that nobody has settled.
 */
#include "sst/sst_iterator.h"

#include "sst/sst_load.h"

typedef struct Bound
{
	bool		present;
	SvBuffer	bytes;
} Bound;

struct SstIterator
{
	const SvAlloc *alloc;
	SstBlockSource source;
	Bound		low;
	Bound		high;
	bool		backward;
	bool		done;
	uint32_t	block;			/* fetched if loaded, else the one to fetch next */
	bool		loaded;
	bool		begun;			/* a block was loaded: those that follow are read from their ends on */
	bool		entered;		/* an entry of the loaded block was yielded: last_key is its key */
	SstBlock	parsed;
	SvBuffer	raw;			/* parsed and last_key point into it */
	SvBuffer	offsets;		/* uint16_t: where its entries begin; for walking backward, and for the start */
	uint32_t	next;			/* position in the block; backward, one more than it */
	size_t		at;				/* forward: where that entry begins */
	SvSlice		last_key;
};

static SvStatus
damaged(const SstIterator *it, const char *problem, SvError *err)
{
	return sst_block_damaged(it->source.tail, it->source.name, it->block, problem, err);
}

static SvStatus
bound_copy(Bound *bound, const SvSlice *from, SvError *err)
{
	if (from == NULL)
		return SV_OK;
	bound->present = true;
	return sv_buffer_append(&bound->bytes, from->data, from->len, err);
}

static int
bound_compare(SvSlice key, const Bound *bound)
{
	return sv_slice_compare(key, sv_buffer_slice(&bound->bytes));
}

/* Chooses the first block to fetch; done if there is none. */
static void
choose_start(SstIterator *it)
{
	const SstTail *tail = it->source.tail;
	SvSlice		low = sv_buffer_slice(&it->low.bytes);
	SvSlice		high = sv_buffer_slice(&it->high.bytes);
	uint32_t	blocks = tail->index.count;

	it->done = true;
	if (blocks == 0)
		return;
	if (it->low.present && it->high.present && sv_slice_compare(low, high) >= 0)
		return;
	if (it->low.present && sv_slice_compare(low, sst_index_last_key(&tail->index)) > 0)
		return;
	if (it->high.present)
		blocks = sst_tail_blocks_below(tail, high);
	if (blocks == 0)
		return;

	it->done = false;
	if (it->backward)
		it->block = blocks - 1;
	else if (it->low.present)
	{
		uint32_t	up_to = sst_tail_blocks_up_to(tail, low);

		it->block = up_to > 0 ? up_to - 1 : 0;
	}
	else
		it->block = 0;
}

SvStatus
sst_iterator_open(SstIterator **it, const SstBlockSource *source, const SvSlice *low,
				  const SvSlice *high, bool backward, const SvAlloc *alloc, SvError *err)
{
	SstIterator *new_it = sv_allocate(alloc, sizeof(*new_it));
	SvStatus	status;

	*it = NULL;
	if (new_it == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for an iterator");
	memset(new_it, 0, sizeof(*new_it));
	new_it->alloc = alloc;
	new_it->source = *source;
	new_it->backward = backward;
	sv_buffer_init(&new_it->low.bytes, alloc);
	sv_buffer_init(&new_it->high.bytes, alloc);
	sv_buffer_init(&new_it->raw, alloc);
	sv_buffer_init(&new_it->offsets, alloc);
	status = bound_copy(&new_it->low, low, err);
	if (status == SV_OK)
		status = bound_copy(&new_it->high, high, err);
	if (status != SV_OK)
	{
		sst_iterator_close(new_it);
		return status;
	}
	choose_start(new_it);
	*it = new_it;
	return SV_OK;
}

void
sst_iterator_close(SstIterator *it)
{
	if (it == NULL)
		return;
	sv_buffer_free(&it->low.bytes);
	sv_buffer_free(&it->high.bytes);
	sv_buffer_free(&it->raw);
	sv_buffer_free(&it->offsets);
	sv_release(it->alloc, it);
}

/* Where in the block that was fetched the walk begins. */
static SvStatus
find_begin(SstIterator *it, const char **problem, SvError *err)
{
	const Bound *start = it->backward ? &it->high : &it->low;
	bool		seeks = start->present && !it->begun;
	const uint16_t *offsets;
	SvStatus	status;

	*problem = NULL;
	it->next = it->backward ? it->parsed.count : 0;
	it->at = 0;
	if (!it->backward && !seeks)
		return SV_OK;
	status = sst_block_offsets(&it->parsed, &it->offsets, problem, err);
	offsets = (const uint16_t *) it->offsets.data;
	if (status == SV_OK && *problem == NULL && seeks)
		*problem = sst_block_seek(&it->parsed, offsets, sv_buffer_slice(&start->bytes), &it->next);
	if (status == SV_OK && *problem == NULL)
		it->at = it->next < it->parsed.count ? offsets[it->next] : it->parsed.entries_bytes;
	return status;
}

/* Fetches it->block, and finds where in it the range begins: it does in the first one. */
static SvStatus
load_block(SstIterator *it, SvError *err)
{
	const char *problem;
	SvStatus	status;

	if (it->raw.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&it->raw);
	status = it->source.fetch(it->source.state, it->block, &it->raw, &it->parsed, err);
	if (status == SV_OK && it->parsed.count != sst_index_block(&it->source.tail->index, it->block).entries)
		return damaged(it, "wrong number of entries", err);
	if (status == SV_OK)
		status = find_begin(it, &problem, err);
	if (status != SV_OK)
		return status;
	if (problem != NULL)
		return damaged(it, problem, err);
	it->loaded = true;
	it->begun = true;
	it->entered = false;
	return SV_OK;
}

/* Whether a block that was walked over forward ends as the index says: NULL, or what is wrong. */
static const char *
check_end(const SstIterator *it)
{
	const SstIndex *index = &it->source.tail->index;

	if (it->at != it->parsed.entries_bytes)
		return "entries do not fill the block";
	if (it->entered && (it->block + 1 < index->count ?
						sv_slice_compare(it->last_key, sst_index_low_key(index, it->block + 1)) >= 0 :
						!sv_slice_equal(it->last_key, sst_index_last_key(index))))
		return "last key does not fit the block index";
	return NULL;
}

/* Goes to the following block in the direction; done if it holds nothing of the range. */
static SvStatus
leave_block(SstIterator *it, SvError *err)
{
	const SstIndex *index = &it->source.tail->index;
	const char *problem = it->backward ? NULL : check_end(it);

	if (problem != NULL)
		return damaged(it, problem, err);
	it->loaded = false;
	if (it->backward)
	{
		/* What precedes this block is below its low key. */
		if (it->block == 0 ||
			(it->low.present &&
			 bound_compare(sst_index_low_key(index, it->block), &it->low) <= 0))
			it->done = true;
		else
			it->block--;
	}
	else
	{
		it->block++;
		if (it->block == index->count ||
			(it->high.present &&
			 bound_compare(sst_index_low_key(index, it->block), &it->high) >= 0))
			it->done = true;
	}
	return SV_OK;
}

/* Whether a key is before where the range begins: never, if the keys of the first block ascend. */
static bool
precedes_range(const SstIterator *it, SvSlice key)
{
	if (it->backward)
		return it->high.present && bound_compare(key, &it->high) >= 0;
	return it->low.present && bound_compare(key, &it->low) < 0;
}

/* Whether the first key of a block is one that the index lets it have. */
static bool
fits_low_key(const SstIterator *it, SvSlice key)
{
	int			c = sv_slice_compare(key, sst_index_low_key(&it->source.tail->index, it->block));

	return c >= 0 && (it->block > 0 || c == 0);
}

/* Takes the next entry of the loaded block, which has one, and checks its order. */
static SvStatus
take_entry(SstIterator *it, SstEntry *entry, SvError *err)
{
	uint32_t	position = it->backward ? it->next - 1 : it->next;
	size_t		offset = it->backward ? ((const uint16_t *) it->offsets.data)[position] : it->at;
	size_t		end;
	const char *problem = sst_block_entry(&it->parsed, offset, entry, &end);

	if (problem == NULL && it->entered)
	{
		int			c = sv_slice_compare(entry->key, it->last_key);

		if (it->backward ? c >= 0 : c <= 0)
			problem = "keys do not ascend";
	}
	else if (problem == NULL && precedes_range(it, entry->key))
		problem = "keys do not ascend";
	else if (problem == NULL && position == 0 && !fits_low_key(it, entry->key))
		problem = "first key does not fit the block index";
	if (problem != NULL)
		return damaged(it, problem, err);
	it->next = it->backward ? position : position + 1;
	it->at = end;
	it->last_key = entry->key;
	it->entered = true;
	return SV_OK;
}

static bool
beyond_range(const SstIterator *it, SvSlice key)
{
	if (it->backward)
		return it->low.present && bound_compare(key, &it->low) < 0;
	return it->high.present && bound_compare(key, &it->high) >= 0;
}

SvStatus
sst_iterator_next(SstIterator *it, SstEntry *entry, SvError *err)
{
	while (!it->done)
	{
		SvStatus	status = SV_OK;

		if (!it->loaded)
			status = load_block(it, err);
		if (status != SV_OK)
			return status;
		if (it->next == (it->backward ? 0 : it->parsed.count))
		{
			status = leave_block(it, err);
			if (status != SV_OK)
				return status;
			continue;
		}
		status = take_entry(it, entry, err);
		if (status != SV_OK)
			return status;
		if (!beyond_range(it, entry->key))
			return SV_OK;
		it->done = true;
	}
	return SV_NOT_FOUND;
}

bool
sst_iterator_horizon(const SstIterator *it, uint32_t blocks, SvSlice *key)
{
	const SstIndex *index = &it->source.tail->index;

	if (it->done || blocks > (it->backward ? it->block : index->count - 1 - it->block))
		return false;
	if (!it->backward && it->block + blocks + 1 == index->count)
		return false;
	*key = sst_index_low_key(index, it->backward ? it->block - blocks : it->block + blocks + 1);
	return true;
}
