/*
 * run_access.c
 *		Tails and blocks that may have to be loaded.
 *
 * Whoever claims a load ends it, by publishing or by abandoning: no path in
 * between returns early, and nothing in between longjmps.
 */
#include "cache/run_access.h"

#include <stdlib.h>

#include "cache/run_stream.h"

void
run_caches_init(RunCaches *caches)
{
	caches->loader = NULL;
	sv_buffer_init(&caches->block, &sv_malloc_alloc);
	sv_buffer_init(&caches->stored, &sv_malloc_alloc);
	caches->scans_ahead = 0;
	memset(caches->streams, 0, sizeof(caches->streams));
	caches->may_leave_under_way = false;
	memset(caches->private_tails, 0, sizeof(caches->private_tails));
	caches->next_private = 0;
}

void
run_caches_release(RunCaches *caches)
{
	run_streams_release(caches);
	sst_loader_destroy(caches->loader);
	sv_buffer_free(&caches->block);
	sv_buffer_free(&caches->stored);
	for (int i = 0; i < RUN_PRIVATE_TAILS; i++)
		free(caches->private_tails[i].memory);
	run_caches_init(caches);
}

SvStatus
run_caches_need_loader(RunCaches *caches, SvError *err)
{
	if (caches->loader != NULL)
		return SV_OK;
	return sst_loader_create(&caches->loader, &sv_malloc_alloc, err);
}

/* Waits until a load that another process has begun may have ended. */
typedef struct LoadWait
{
	const CacheWaiter *waiter;
	uint32_t	channel;
	bool		prepared;
} LoadWait;

/*
 * Between prepare and sleep the caller claims again: a load that ends before
 * prepare is seen by that claim, one that ends after it wakes the sleeper.
 */
static SvStatus
load_wait(LoadWait *wait, uint32_t channel, SvError *err)
{
	if (!wait->prepared || wait->channel != channel)
	{
		if (wait->prepared)
			wait->waiter->cancel(wait->waiter->state, wait->channel);
		wait->channel = channel;
		wait->prepared = true;
		wait->waiter->prepare(wait->waiter->state, channel);
		return SV_OK;
	}
	return wait->waiter->sleep(wait->waiter->state, channel, err);
}

static void
load_wait_end(LoadWait *wait)
{
	if (wait->prepared)
		wait->waiter->cancel(wait->waiter->state, wait->channel);
}

/* Reads and parses a tail at a given place, 64-byte aligned. */
static SvStatus
read_tail(const RunReader *run, uint8_t *bytes, SstTail *tail, SvError *err)
{
	SvStatus	status = run->source.read(run->source.state, run->file_bytes - run->tail_bytes,
										  (size_t) run->tail_bytes, bytes, err);

	if (status == SV_OK)
		status = sst_tail_parse(tail, sv_slice(bytes, (size_t) run->tail_bytes), run->file_bytes,
								run->source.name, err);
	return status;
}

static SvStatus
load_tail(RunCaches *caches, const RunReader *run, const TailFill *fill, const SstTail **tail,
		  SvError *err)
{
	SstTail		parsed;
	SvStatus	status = read_tail(run, fill->bytes, &parsed, err);

	if (status != SV_OK)
	{
		tail_cache_abandon(caches->tails, fill, &caches->waiter);
		return status;
	}
	*tail = tail_cache_publish(caches->tails, fill, &parsed, &caches->waiter);
	return SV_OK;
}

/* A slot of the private tails that nobody uses; NULL if there is none. */
static RunPrivateTail *
free_private_tail(RunCaches *caches)
{
	for (int i = 0; i < RUN_PRIVATE_TAILS; i++)
	{
		RunPrivateTail *candidate = &caches->private_tails[caches->next_private++ % RUN_PRIVATE_TAILS];

		if (candidate->users == 0)
		{
			free(candidate->memory);
			candidate->memory = NULL;
			return candidate;
		}
	}
	return NULL;
}

/* A tail that finds no slot lives as long as its user. */
static RunPrivateTail *
make_private_tail(RunCaches *caches)
{
	RunPrivateTail *made = free_private_tail(caches);

	return made != NULL ? made : calloc(1, sizeof(RunPrivateTail));
}

static bool
is_kept(const RunCaches *caches, const RunPrivateTail *private_tail)
{
	return private_tail >= caches->private_tails &&
		private_tail < caches->private_tails + RUN_PRIVATE_TAILS;
}

static void
release_private_tail(RunCaches *caches, RunPrivateTail *private_tail)
{
	if (--private_tail->users > 0 || is_kept(caches, private_tail))
		return;
	free(private_tail->memory);
	free(private_tail);
}

static RunPrivateTail *
find_private_tail(RunCaches *caches, CacheRunId run)
{
	for (int i = 0; i < RUN_PRIVATE_TAILS; i++)
		if (caches->private_tails[i].memory != NULL &&
			cache_run_id_equal(caches->private_tails[i].run, run))
			return &caches->private_tails[i];
	return NULL;
}

static SvStatus
load_private_tail(RunCaches *caches, const RunReader *run, RunPrivateTail **private_tail, SvError *err)
{
	RunPrivateTail *made = make_private_tail(caches);
	size_t		bytes = ((size_t) run->tail_bytes + 63) & ~(size_t) 63;
	SvStatus	status;

	if (made != NULL)
		made->memory = aligned_alloc(64, bytes);
	if (made == NULL || made->memory == NULL)
	{
		if (made != NULL && !is_kept(caches, made))
			free(made);
		return sv_fail(err, SV_NO_MEMORY, "out of memory for opening object \"%s\"", run->source.name);
	}
	made->users = 1;
	made->run = run->id;
	status = read_tail(run, made->memory, &made->tail, err);
	if (status != SV_OK)
	{
		if (is_kept(caches, made))
		{
			free(made->memory);
			made->memory = NULL;
		}
		release_private_tail(caches, made);
		return status;
	}
	*private_tail = made;
	return SV_OK;
}

static SvStatus
acquire_private(RunCaches *caches, const RunReader *run, const SstTail **tail,
				RunPrivateTail **private_tail, SvError *err)
{
	SvStatus	status = SV_OK;

	*private_tail = find_private_tail(caches, run->id);
	if (*private_tail != NULL)
		(*private_tail)->users++;
	else
	{
		status = load_private_tail(caches, run, private_tail, err);
		cache_guard_count(caches->guard, caches->slot, CACHE_TAIL_PRIVATE, 1);
	}
	if (status == SV_OK)
		*tail = &(*private_tail)->tail;
	return status;
}

SvStatus
run_tail_acquire(RunCaches *caches, const RunReader *run, const SstTail **tail,
				 RunPrivateTail **private_tail, SvError *err)
{
	LoadWait	wait = {.waiter = &caches->waiter};
	SvStatus	status = sst_tail_check_size(run->file_bytes, run->tail_bytes, run->source.name, err);

	*tail = NULL;
	*private_tail = NULL;
	while (status == SV_OK && *tail == NULL)
	{
		TailFill	fill;

		*tail = tail_cache_pin(caches->tails, caches->slot, run->id);
		if (*tail != NULL)
			break;
		switch (tail_cache_claim(caches->tails, run->id, (size_t) run->tail_bytes, &fill))
		{
			case CACHE_PRESENT:
				break;
			case CACHE_LOADING:
				status = load_wait(&wait, fill.channel, err);
				break;
			case CACHE_LOAD:
				cache_guard_count(caches->guard, caches->slot, CACHE_TAIL_MISS, 1);
				status = load_tail(caches, run, &fill, tail, err);
				break;
			case CACHE_NO_ROOM:
				status = acquire_private(caches, run, tail, private_tail, err);
				break;
		}
	}
	load_wait_end(&wait);
	return status;
}

void
run_tail_release(RunCaches *caches, const SstTail *tail, RunPrivateTail *private_tail)
{
	if (private_tail != NULL)
		release_private_tail(caches, private_tail);
	else
		tail_cache_unpin(caches->tails, tail);
}

/* A loader, and room in caches->block. */
static SvStatus
prepare_buffer(RunCaches *caches, uint32_t raw_bytes, SvError *err)
{
	SvStatus	status = run_caches_need_loader(caches, err);

	if (caches->block.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&caches->block);
	sv_buffer_reset(&caches->block);
	return status == SV_OK ? sv_buffer_reserve(&caches->block, raw_bytes, err) : status;
}

SvStatus
run_block_settle(RunCaches *caches, const RunReader *run, const SstTail *tail, uint32_t block,
				 SvSlice stored, SvError *err)
{
	uint32_t	raw_bytes = sst_index_block(&tail->index, block).raw_bytes;
	SvStatus	status = prepare_buffer(caches, raw_bytes, err);

	if (status == SV_OK)
		status = sst_load_stored(caches->loader, tail, run->source.name, block, stored, caches->block.data,
								 err);
	if (status == SV_OK)
		caches->block.len = raw_bytes;
	return status;
}

void
run_block_publish(RunCaches *caches, const BlockFill *fill)
{
	block_cache_fill(caches->blocks, fill, 0, caches->block.data, caches->block.len);
	block_cache_publish(caches->blocks, fill, &caches->waiter);
}

/* Loads a block into caches->block. */
static SvStatus
load_into_buffer(RunCaches *caches, const RunReader *run, const SstTail *tail, uint32_t block,
				 uint32_t raw_bytes, SvError *err)
{
	SvStatus	status = prepare_buffer(caches, raw_bytes, err);

	if (status == SV_OK)
		status = sst_load_block(caches->loader, tail, &run->source, block, caches->block.data, err);
	if (status == SV_OK)
		caches->block.len = raw_bytes;
	return status;
}

/*
 * The block is loaded into memory of the process's own and copied to its
 * frame: so the loader has its answer even if the frame is taken away again at
 * once, and every lookup ends.
 */
static SvStatus
load_and_publish(RunCaches *caches, const RunReader *run, const SstTail *tail, uint32_t block,
				 const BlockFill *fill, SvError *err)
{
	SvStatus	status = load_into_buffer(caches, run, tail, block, fill->raw_bytes, err);

	if (status != SV_OK)
	{
		block_cache_abandon(caches->blocks, fill, &caches->waiter);
		return status;
	}
	run_block_publish(caches, fill);
	return SV_OK;
}

SvStatus
run_block_load(RunCaches *caches, const RunReader *run, const SstTail *tail, uint32_t block,
			   bool *present, SvError *err)
{
	LoadWait	wait = {.waiter = &caches->waiter};
	BlockKey	key = run_block_key(run, block);
	uint64_t	hash = block_cache_hash(key);
	uint32_t	raw_bytes = sst_index_block(&tail->index, block).raw_bytes;
	SvStatus	status = SV_OK;
	bool		done = false;

	*present = false;
	while (status == SV_OK && !done)
	{
		BlockFill	fill;

		switch (block_cache_claim(caches->blocks, &key, hash, raw_bytes, &fill))
		{
			case CACHE_PRESENT:
				*present = done = true;
				break;
			case CACHE_LOADING:
				if (!wait.prepared)
					cache_guard_count(caches->guard, caches->slot, CACHE_BLOCK_WAIT, 1);
				status = load_wait(&wait, fill.channel, err);
				break;
			case CACHE_LOAD:
				cache_guard_count(caches->guard, caches->slot, CACHE_BLOCK_MISS, 1);
				status = load_and_publish(caches, run, tail, block, &fill, err);
				done = true;
				break;
			case CACHE_NO_ROOM:
				cache_guard_count(caches->guard, caches->slot, CACHE_BLOCK_BYPASS, 1);
				status = load_into_buffer(caches, run, tail, block, raw_bytes, err);
				done = true;
				break;
		}
	}
	load_wait_end(&wait);
	return status;
}

static bool
copy_cached(RunCaches *caches, const BlockKey *key, SvBuffer *raw, uint32_t raw_bytes)
{
	BlockView	view;

	if (!block_cache_begin(caches->blocks, key, block_cache_hash(*key), BLOCK_CACHE_NONE, &view))
		return false;
	block_cache_copy(caches->blocks, &view, 0, raw_bytes, raw->data);
	if (!block_cache_end(caches->blocks, &view))
		return false;
	raw->len = raw_bytes;
	cache_guard_count(caches->guard, caches->slot, CACHE_BLOCK_HIT, 1);
	return true;
}

SvStatus
run_block_copy_cached(RunCaches *caches, const RunReader *run, const SstTail *tail, uint32_t block,
					  SvBuffer *raw, SvError *err)
{
	BlockKey	key = run_block_key(run, block);
	uint32_t	raw_bytes = sst_index_block(&tail->index, block).raw_bytes;
	SvStatus	status;

	sv_buffer_reset(raw);
	status = sv_buffer_reserve(raw, raw_bytes, err);
	if (status == SV_OK && !copy_cached(caches, &key, raw, raw_bytes))
		status = SV_NOT_FOUND;
	return status;
}

SvStatus
run_block_copy(RunCaches *caches, const RunReader *run, const SstTail *tail, uint32_t block,
			   SvBuffer *raw, SvError *err)
{
	BlockKey	key = run_block_key(run, block);
	uint32_t	raw_bytes = sst_index_block(&tail->index, block).raw_bytes;
	SvStatus	status;

	sv_buffer_reset(raw);
	status = sv_buffer_reserve(raw, raw_bytes, err);
	while (status == SV_OK && !copy_cached(caches, &key, raw, raw_bytes))
	{
		bool		present;

		status = run_block_load(caches, run, tail, block, &present, err);
		if (status == SV_OK && !present)
			return sv_buffer_append(raw, caches->block.data, caches->block.len, err);
	}
	return status;
}
