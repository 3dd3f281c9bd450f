/*
 * run_ahead.c
 *		Reading ahead of a scan.
 *
 * A window of blocks is asked for when the scan comes to a block that is not
 * cached: one at first, then twice as many each time the scan has gone on to
 * where the window before ended.  So a scan that stops early has read no more
 * than twice what it needed.  What was read ahead waits in the cache.
 *
 * Blocks are settled and published as they come, while the rest of the window is
 * under way.  Nothing is under way from one window to the next: a scan that is
 * not called again (a cursor, a LIMIT, an error) leaves no request and no claim
 * behind, and claims are never held while the process waits for anything but its
 * store.
 *
 * Scans that are read together (RunScan) share the window: each that has not begun,
 * or has gone through half of what was read of it, gets its next blocks with those of
 * the one that waits.  So one of them has had at most three times read what it needed,
 * and n of them wait for their stores about as often as one.  If that fails, the one
 * that waits reads its own: what is wrong with another's blocks is for that one to say.
 */
#include "cache/run_ahead.h"

#include "cache/run_access.h"
#include "cache/run_loads.h"

/* Of the cache's frames, the share that a window may take. */
#define CACHE_SHARE 8

/* A scan whose window is as large as this reads much. */
#define PASSING_BYTES ((size_t) 1024 * 1024)

/* How many scans share what is read at once. */
static uint32_t
sharers(const RunScan *scan)
{
	return scan->alone || scan->n_together == 0 ? 1 : scan->n_together;
}

static uint32_t
max_window(const RunScan *scan)
{
	BlockCacheStats stats;
	uint64_t	most;

	block_cache_stats(scan->caches->blocks, &stats);
	most = stats.frames / CACHE_SHARE < RUN_LOADS_AHEAD ? stats.frames / CACHE_SHARE : RUN_LOADS_AHEAD;
	return most < sharers(scan) ? 1 : (uint32_t) (most / sharers(scan));
}

/* The block behind, in the scan's direction; SST_NO_BLOCK at its end. */
static uint32_t
block_behind(const RunAhead *ahead, uint32_t block)
{
	if (ahead->backward)
		return block > ahead->first ? block - 1 : SST_NO_BLOCK;
	return block < ahead->last ? block + 1 : SST_NO_BLOCK;
}

static void
choose_window(RunScan *scan, uint32_t block, uint32_t most)
{
	RunAhead   *ahead = &scan->ahead;

	ahead->window = ahead->next == block ? ahead->window * 2 : 1;
	if (ahead->window > most)
		ahead->window = most;
	if (ahead->window == 0)
		ahead->window = 1;
}

/* Adds those of the window that follow the first and that nobody has or loads, up to so many bytes of all loads. */
static void
add_window(RunScan *scan, uint32_t block, size_t max_bytes, RunLoads *loads)
{
	RunAhead   *ahead = &scan->ahead;

	for (uint32_t i = 1; i < ahead->window && block != SST_NO_BLOCK; i++)
	{
		SstBlockInfo info;

		block = block_behind(ahead, block);
		if (block == SST_NO_BLOCK)
			break;
		info = sst_index_block(&scan->tail->index, block);
		if (!block_cache_keeps(scan->caches->blocks, info.raw_bytes) ||
			!run_loads_have_room(loads, info.stored_bytes, max_bytes))
			break;
		if (run_loads_add(loads, &scan->run, scan->tail, block) == CACHE_NO_ROOM)
		{
			/* There is nowhere to keep it. */
			run_loads_undo(loads);
			break;
		}
	}
	ahead->next = block == SST_NO_BLOCK ? SST_NO_BLOCK : block_behind(ahead, block);
}

/* ---- of scans that are read together ---- */

/* The block with which a scan's next window begins, if it is time for it; else SST_NO_BLOCK. */
static uint32_t
due_block(const RunScan *scan)
{
	const RunAhead *ahead = &scan->ahead;
	uint32_t	here;
	uint32_t	unread;

	if (ahead->at == SST_NO_BLOCK)
		return ahead->window > 0 ? SST_NO_BLOCK : ahead->backward ? ahead->last : ahead->first;
	here = block_behind(ahead, ahead->at);
	if (here == SST_NO_BLOCK || ahead->window == 0)
		return here;
	if (ahead->next == SST_NO_BLOCK)
		return SST_NO_BLOCK;
	if (ahead->backward ? ahead->next >= here : ahead->next <= here)
		return here;
	unread = ahead->backward ? here - ahead->next : ahead->next - here;
	return unread <= ahead->window / 2 ? ahead->next : SST_NO_BLOCK;
}

/* Adds the next window of a scan beside the one that waits. */
static void
add_other(RunScan *scan, uint32_t most, size_t share, RunLoads *loads)
{
	uint32_t	block = due_block(scan);
	size_t		max_bytes = loads->bytes + share;
	SstBlockInfo info;

	if (block == SST_NO_BLOCK || scan->stream != NULL || scan->alone)
		return;
	info = sst_index_block(&scan->tail->index, block);
	if (!block_cache_keeps(scan->caches->blocks, info.raw_bytes) ||
		!run_loads_have_room(loads, info.stored_bytes, max_bytes))
		return;
	switch (run_loads_add(loads, &scan->run, scan->tail, block))
	{
		case CACHE_LOAD:
			choose_window(scan, block, most);
			add_window(scan, block, max_bytes, loads);
			break;
		case CACHE_NO_ROOM:
			run_loads_undo(loads);
			break;
		case CACHE_PRESENT:
		case CACHE_LOADING:
			break;
	}
}

/* The window of the scan that waits, and those of others; its first block was added. */
static void
add_windows(RunScan *scan, uint32_t block, RunLoads *loads)
{
	uint32_t	most = max_window(scan);
	size_t		share = scan->fetcher->ahead_bytes / sharers(scan);

	choose_window(scan, block, most);
	add_window(scan, block, share, loads);
	for (uint32_t i = 0; i < scan->n_together && !scan->alone; i++)
		if (scan->together[i] != scan)
			add_other(scan->together[i], most, share, loads);
}

/* A window while it is read. */
typedef struct Window
{
	RunLoads   *loads;
	SvBuffer   *raw;
	SvStatus	status;			/* of the blocks that were taken */
	SvError		err;
} Window;

/* The first block goes to raw as well. */
static void
take_block(Window *window, uint32_t i)
{
	const SvBuffer *block = &window->loads->caches->block;

	window->status = run_loads_take(window->loads, i, &window->err);
	if (window->status == SV_OK && i == 0)
		window->status = sv_buffer_append(window->raw, block->data, block->len, &window->err);
}

static void
take_blocks(Window *window, bool all)
{
	const RunLoads *loads = window->loads;

	for (uint32_t i = 0; i < loads->n && window->status == SV_OK; i++)
		if (!loads->list[i].taken && (all || loads->list[i].there))
			take_block(window, i);
}

/* While the rest is on its way. */
static void
take_what_is_there(void *state)
{
	take_blocks(state, false);
}

/* All that were added. */
static SvStatus
read_window(RunScan *scan, RunLoads *loads, SvBuffer *raw, SvError *err)
{
	Window		window = {.loads = loads,.raw = raw,.status = SV_OK};
	RunReading	reading = {
		.passing = loads->bytes >= PASSING_BYTES * sharers(scan),.progress = take_what_is_there,.state = &window
	};
	SvStatus	status = run_loads_read(loads, scan->fetcher, &reading, err);

	if (status != SV_OK)
		return status;
	take_blocks(&window, true);
	if (window.status != SV_OK && err != NULL)
		*err = window.err;
	return window.status;
}

SvStatus
run_fetch_ahead(RunScan *scan, uint32_t block, SvBuffer *raw, SvError *err)
{
	RunLoads   *loads;
	SvStatus	status = run_block_copy_cached(scan->caches, &scan->run, scan->tail, block, raw, err);

	if (status != SV_NOT_FOUND)
		return status;
	loads = run_loads_create(scan->caches, RUN_LOADS_AHEAD, err);
	if (loads == NULL)
		return err->status;
	switch (run_loads_add(loads, &scan->run, scan->tail, block))
	{
		case CACHE_LOAD:
			add_windows(scan, block, loads);
			status = read_window(scan, loads, raw, err);
			break;
		case CACHE_NO_ROOM:
			status = read_window(scan, loads, raw, err);
			break;
		case CACHE_PRESENT:
		case CACHE_LOADING:
			status = run_block_copy(scan->caches, &scan->run, scan->tail, block, raw, err);
			break;
	}
	run_loads_destroy(loads);
	if (status == SV_OK || status == SV_CANCELLED || sharers(scan) == 1)
		return status;
	scan->alone = true;
	return run_fetch_ahead(scan, block, raw, err);
}
