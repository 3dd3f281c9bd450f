/*
 * run_loads.c
 *		See run_loads.h.
 */
#include "cache/run_loads.h"

#include <stdlib.h>

#include "cache/run_access.h"

RunLoads *
run_loads_create(RunCaches *caches, uint32_t most, SvError *err)
{
	RunLoads   *loads = malloc(sizeof(RunLoads) + most * (sizeof(RunLoad) + sizeof(RunRange)));

	if (loads == NULL)
	{
		(void) sv_fail(err, SV_NO_MEMORY, "out of memory for reading blocks");
		return NULL;
	}
	loads->caches = caches;
	loads->n = 0;
	loads->most = most;
	loads->rounds = 0;
	loads->bytes = 0;
	loads->list = (RunLoad *) (loads + 1);
	loads->ranges = (RunRange *) (loads->list + most);
	return loads;
}

void
run_loads_destroy(RunLoads *loads)
{
	if (loads == NULL)
		return;
	run_loads_drop(loads);
	if (loads->caches->scans_ahead == 0 || loads->caches->stored.capacity > RUN_LOADS_KEPT_BYTES)
		sv_buffer_free(&loads->caches->stored);
	free(loads);
}

void
run_loads_drop(RunLoads *loads)
{
	RunCaches  *caches = loads->caches;

	for (uint32_t i = 0; i < loads->n; i++)
		if (loads->list[i].claimed && !loads->list[i].taken)
			block_cache_abandon(caches->blocks, &loads->list[i].fill, &caches->waiter);
	loads->n = 0;
	loads->bytes = 0;
}

bool
run_loads_have_room(const RunLoads *loads, size_t stored_bytes, size_t max_bytes)
{
	return loads->n == 0 ||
		(loads->n < loads->most && loads->bytes <= max_bytes && stored_bytes <= max_bytes - loads->bytes);
}

CacheClaim
run_loads_add(RunLoads *loads, const RunReader *run, const SstTail *tail, uint32_t block)
{
	RunCaches  *caches = loads->caches;
	SstBlockInfo info = sst_index_block(&tail->index, block);
	RunLoad    *load = &loads->list[loads->n];
	BlockKey	key = run_block_key(run, block);
	CacheClaim	claim = block_cache_claim(caches->blocks, &key, block_cache_hash(key), info.raw_bytes,
										  &load->fill);

	if (claim != CACHE_LOAD && claim != CACHE_NO_ROOM)
		return claim;
	load->run = run;
	load->tail = tail;
	load->block = block;
	load->first_key = load->end_key = 0;
	load->claimed = claim == CACHE_LOAD;
	load->at = loads->bytes;
	load->stored_bytes = info.stored_bytes;
	load->there = load->taken = false;
	loads->bytes += info.stored_bytes;
	loads->n++;
	cache_guard_count(caches->guard, caches->slot, load->claimed ? CACHE_BLOCK_MISS : CACHE_BLOCK_BYPASS, 1);
	return claim;
}

void
run_loads_undo(RunLoads *loads)
{
	loads->bytes -= loads->list[--loads->n].stored_bytes;
}

/*
 * Room for all that were added.  While it is kept it is as large as it ever
 * will be: pages that nobody has written to cost nothing.
 */
static SvStatus
make_room(RunLoads *loads, const RunFetcher *fetcher, SvError *err)
{
	RunCaches  *caches = loads->caches;
	size_t		bytes = loads->bytes;

	if (caches->stored.capacity >= bytes)
		return SV_OK;
	if (caches->scans_ahead > 0 && bytes < fetcher->ahead_bytes)
		bytes = fetcher->ahead_bytes;
	/* A second round: many follow, and none is larger. */
	if (loads->rounds++ > 0 && bytes < RUN_LOADS_MAX_BYTES)
		bytes = RUN_LOADS_MAX_BYTES;
	sv_buffer_free(&caches->stored);
	return sv_buffer_reserve(&caches->stored, bytes, err);
}

SvStatus
run_loads_read(RunLoads *loads, const RunFetcher *fetcher, const RunReading *reading, SvError *err)
{
	SvStatus	status;

	if (loads->n == 0)
		return SV_OK;
	status = make_room(loads, fetcher, err);
	for (uint32_t i = 0; i < loads->n && status == SV_OK; i++)
	{
		RunLoad    *load = &loads->list[i];

		loads->ranges[i] = (RunRange) {
			.run = load->run,
			.offset = sst_index_block(&load->tail->index, load->block).offset,
			.len = load->stored_bytes,
			.dst = loads->caches->stored.data + load->at,
			.there = &load->there
		};
	}
	if (status == SV_OK)
		status = fetcher->read(fetcher->state, loads->ranges, loads->n, reading, err);
	if (status != SV_OK)
		run_loads_drop(loads);
	return status;
}

SvStatus
run_loads_take(RunLoads *loads, uint32_t i, SvError *err)
{
	RunCaches  *caches = loads->caches;
	RunLoad    *load = &loads->list[i];
	SvStatus	status = run_block_settle(caches, load->run, load->tail, load->block,
										  sv_slice(caches->stored.data + load->at, load->stored_bytes), err);

	if (status != SV_OK)
		return status;
	load->taken = true;
	if (load->claimed)
		run_block_publish(caches, &load->fill);
	return SV_OK;
}
