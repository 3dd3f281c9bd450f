/*
 * run_pick.c
 *		See run_pick.h.
 */
#include "cache/run_pick.h"

#include <stdlib.h>

#include "cache/run_access.h"

/* Those of the blocks that are not cached. */
typedef struct Missing
{
	uint32_t	n;
	uint32_t	index[RUN_PICK_MAX];	/* in the caller's blocks */
	RunRange	ranges[RUN_PICK_MAX];	/* dst is set when all are known */
	size_t		bytes;
} Missing;

static SvStatus
append(SvBuffer *raw, const SvBuffer *block, RunPicked *picked, SvError *err)
{
	*picked = (RunPicked) {.at = raw->len,.bytes = block->len};
	return sv_buffer_append(raw, block->data, block->len, err);
}

/* Appends what is cached, and notes what is not. */
static SvStatus
take_cached(RunScan *scan, const uint32_t *blocks, uint32_t n, SvBuffer *raw, RunPicked *picked,
			Missing *missing, uint32_t *done, SvError *err)
{
	SvBuffer	block;
	SvStatus	status = SV_OK;
	uint32_t	i;

	sv_buffer_init(&block, &sv_malloc_alloc);
	for (i = 0; i < n && i < RUN_PICK_MAX; i++)
	{
		SstBlockInfo info = sst_index_block(&scan->tail->index, blocks[i]);

		if (i > 0 && raw->len + missing->bytes + info.raw_bytes > RUN_PICK_BYTES)
			break;
		status = run_block_copy_cached(scan->caches, &scan->run, scan->tail, blocks[i], &block, err);
		if (status == SV_OK)
			status = append(raw, &block, &picked[i], err);
		else if (status == SV_NOT_FOUND)
		{
			missing->index[missing->n] = i;
			missing->ranges[missing->n++] = (RunRange) {
				.run = &scan->run,.offset = info.offset,.len = info.stored_bytes
			};
			missing->bytes += info.stored_bytes;
			status = SV_OK;
		}
		if (status != SV_OK)
			break;
	}
	sv_buffer_free(&block);
	*done = i;
	return status;
}

static SvStatus
take_missing(RunScan *scan, const RunFetcher *fetcher, const uint32_t *blocks, Missing *missing,
			 SvBuffer *raw, RunPicked *picked, SvError *err)
{
	RunReading	reading = {.passing = true};
	uint8_t    *stored = malloc(missing->bytes);
	size_t		at = 0;
	SvStatus	status;

	if (stored == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for %u blocks of object \"%s\"", missing->n,
					   scan->run.source.name);
	for (uint32_t i = 0; i < missing->n; i++)
	{
		missing->ranges[i].dst = stored + at;
		at += missing->ranges[i].len;
	}
	status = fetcher->read(fetcher->state, missing->ranges, missing->n, &reading, err);
	for (uint32_t i = 0; i < missing->n && status == SV_OK; i++)
	{
		uint32_t	which = missing->index[i];

		status = run_block_settle(scan->caches, &scan->run, scan->tail, blocks[which],
								  sv_slice(missing->ranges[i].dst, missing->ranges[i].len), err);
		if (status == SV_OK)
			status = append(raw, &scan->caches->block, &picked[which], err);
	}
	free(stored);
	return status;
}

SvStatus
run_scan_pick(RunScan *scan, const RunFetcher *fetcher, const uint32_t *blocks, uint32_t n, SvBuffer *raw,
			  RunPicked *picked, uint32_t *done, SvError *err)
{
	Missing		missing;
	SvStatus	status;

	missing.n = 0;
	missing.bytes = 0;
	sv_buffer_reset(raw);
	status = take_cached(scan, blocks, n, raw, picked, &missing, done, err);
	if (status == SV_OK && missing.n > 0)
	{
		cache_guard_count(scan->caches->guard, scan->caches->slot, CACHE_BLOCK_BYPASS, missing.n);
		status = take_missing(scan, fetcher, blocks, &missing, raw, picked, err);
	}
	return status;
}
