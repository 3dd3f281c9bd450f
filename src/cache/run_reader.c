/*
 * run_reader.c
 *		Lookups in a run: the fast half, over what is cached.
 */
#include "cache/run_reader.h"

#include "base/sv_hash.h"
#include "cache/run_access.h"
#include "cache/run_ahead.h"
#include "cache/run_lookup.h"
#include "cache/run_stream.h"

/* So many lookups have their memory misses in flight together. */
#define BATCH_WIDTH 64

/* So far from where its search begins a key is mostly found in its block's table. */
#define SLOTS_AHEAD 4

/* Adds an entry's value to the values, from contiguous memory. */
static RunLookup
take_entry(const SstEntry *entry, SvBuffer *values, RunAnswer *answer, SvError *err)
{
	answer->kind = (int) entry->kind;
	answer->expires_at = entry->expires_at;
	answer->value_at = values->len;
	answer->value_len = entry->value.len;
	if (sv_buffer_append(values, entry->value.data, entry->value.len, err) != SV_OK)
		return LOOKUP_FAILED;
	return LOOKUP_FOUND;
}

/* Whatever bytes they are, the block index has been checked to leave room for the trailer. */
static SstBlock
known_block(const uint8_t *settled, const RunProbe *probe)
{
	return sst_block_known(settled, probe->info.raw_bytes, probe->info.entries);
}

/*
 * In a settled block, of which `first` is the entry to look at first.
 * *problem is set to what is wrong with the block, which in shared memory may
 * mean only that it is no longer that block.
 */
static inline RunLookup
find_in_block(const SstBlock *block, const RunProbe *probe, uint32_t first, SvBuffer *values,
			  RunAnswer *answer, const char **problem, SvError *err)
{
	SstEntry	entry;
	bool		found;

	*problem = sst_block_find_first(block, probe->key, probe->hash, first, &found, &entry);
	if (*problem != NULL || !found)
		return LOOKUP_ABSENT;
	return take_entry(&entry, values, answer, err);
}

/* The one entry of a large block, of which only the first frame is contiguous. */
static RunLookup
find_in_large_block(const BlockCache *cache, const RunProbe *probe, SvBuffer *values, RunAnswer *answer,
					const char **problem, SvError *err)
{
	size_t		entry_bytes = probe->info.raw_bytes - sst_block_trailer_bytes(1);
	SstEntry	entry;
	size_t		value_at;

	*problem = sst_entry_decode_head(sv_slice(probe->view.data, SST_FRAME_BYTES), &entry, &value_at);
	if (*problem == NULL && value_at + entry.value.len != entry_bytes)
		*problem = "entry does not fill its block";
	if (*problem != NULL || !sv_slice_equal(entry.key, probe->key))
		return LOOKUP_ABSENT;
	if (sv_buffer_reserve(values, entry.value.len, err) != SV_OK)
		return LOOKUP_FAILED;
	block_cache_copy(cache, &probe->view, value_at, entry.value.len, values->data + values->len);
	answer->kind = (int) entry.kind;
	answer->expires_at = entry.expires_at;
	answer->value_at = values->len;
	answer->value_len = entry.value.len;
	values->len += entry.value.len;
	return LOOKUP_FOUND;
}

static SvStatus
damaged(const RunReader *run, const SstTail *tail, const RunProbe *probe, const char *problem, SvError *err)
{
	return sst_block_damaged(tail, run->source.name, probe->block, problem, err);
}

/* In a block that block_cache_begin has found.  What is read counts only if the block was left alone. */
static RunLookup
find_in_view(RunCaches *caches, const RunReader *run, const SstTail *tail, const RunProbe *probe,
			 SvBuffer *values, RunAnswer *answer, SvError *err)
{
	size_t		values_before = values->len;
	const char *problem = NULL;
	RunLookup		result = LOOKUP_ABSENT;

	if (probe->view.raw_bytes != probe->info.raw_bytes)
		problem = "the cached block has another size";
	else if ((probe->info.flags & SST_BLOCK_LARGE) != 0)
		result = find_in_large_block(caches->blocks, probe, values, answer, &problem, err);
	else
	{
		SstBlock	block = known_block(probe->view.data, probe);

		result = find_in_block(&block, probe, probe->first, values, answer, &problem, err);
	}
	if (!block_cache_end(caches->blocks, &probe->view))
	{
		values->len = values_before;
		answer->kind = RUN_ABSENT;
		return result == LOOKUP_FAILED ? LOOKUP_FAILED : LOOKUP_UNCACHED;
	}
	if (problem != NULL)
	{
		(void) damaged(run, tail, probe, problem, err);
		return LOOKUP_FAILED;
	}
	return result;
}

/* First step: filter and root model, both of which only ask for memory. */
static inline void
probe_start(RunProbe *probe, const SstTail *tail, SvSlice key)
{
	probe->key = key;
	probe->hash = sv_hash64(key);
	sst_filter_prefetch(&tail->filter, probe->hash);
	probe->rmi = sst_tail_start(tail, key);
}

/* Second step: whether the run can have the key. */
static inline bool
probe_filter(RunProbe *probe, RunCaches *caches, const SstTail *tail)
{
	if (sst_filter_may_have(&tail->filter, probe->hash))
		return true;
	cache_guard_count(caches->guard, caches->slot, CACHE_FILTER_NEGATIVE, 1);
	probe->block = SST_NO_BLOCK;
	return false;
}

/* Third step: the block; asks for its record, and for where it is known if it is cached. */
static inline void
probe_locate(RunProbe *probe, RunCaches *caches, const RunReader *run, const SstTail *tail)
{
	probe->block = sst_tail_finish(tail, &probe->rmi, probe->key);
	if (probe->block == SST_NO_BLOCK)
		return;
	sst_index_prefetch(&tail->index, probe->block);
	probe->block_key = run_block_key(run, probe->block);
	probe->block_hash = block_cache_hash(probe->block_key);
	block_cache_prefetch(caches->blocks, probe->block_hash);
}

/* Fourth step: which frame; asks for where in it the block's table has the key. */
static inline void
probe_frame(RunProbe *probe, RunCaches *caches, const SstTail *tail)
{
	probe->info = sst_index_block(&tail->index, probe->block);
	probe->frame = block_cache_candidate(caches->blocks, probe->block_hash);
	if (probe->frame == BLOCK_CACHE_NONE)
		return;
	if ((probe->info.flags & SST_BLOCK_LARGE) != 0)
		block_cache_prefetch_frame(caches->blocks, probe->frame, 0, 64);
	else
		block_cache_prefetch_frame(caches->blocks, probe->frame,
								   sst_block_home_at(probe->info.raw_bytes, probe->info.entries, probe->hash),
								   SLOTS_AHEAD * SST_SLOT_BYTES);
}

/* Fifth step: begin to read, find where the entry is, and ask for it. */
static inline bool
probe_begin(RunProbe *probe, RunCaches *caches)
{
	SstBlock	block;

	probe->first = 0;
	if (!block_cache_begin(caches->blocks, &probe->block_key, probe->block_hash, probe->frame,
						   &probe->view))
		return false;
	if ((probe->info.flags & SST_BLOCK_LARGE) == 0 && probe->view.raw_bytes == probe->info.raw_bytes)
	{
		block = known_block(probe->view.data, probe);
		probe->first = sst_block_first(&block, probe->hash);
	}
	return true;
}

/* A key that the index has placed, and that was looked for in its block if there is one. */
static inline void
count_placed(RunCaches *caches, const SstTail *tail, const RunProbe *probe)
{
	cache_guard_count(caches->guard, caches->slot, CACHE_MODEL_LOOKUP, 1);
	if (sst_tail_fell_back(tail, &probe->rmi, probe->key))
		cache_guard_count(caches->guard, caches->slot, CACHE_MODEL_FALLBACK, 1);
}

static inline void
count_result(RunCaches *caches, const SstTail *tail, const RunProbe *probe, RunLookup result)
{
	if (result != LOOKUP_FOUND && result != LOOKUP_ABSENT)
		return;
	cache_guard_count(caches->guard, caches->slot, CACHE_BLOCK_HIT, 1);
	count_placed(caches, tail, probe);
	if (result == LOOKUP_ABSENT && tail->filter.line_count > 0)
		cache_guard_count(caches->guard, caches->slot, CACHE_FILTER_FALSE, 1);
}

static inline RunLookup
look_up(RunCaches *caches, const RunReader *run, const SstTail *tail, RunProbe *probe, SvSlice key,
		SvBuffer *values, RunAnswer *answer, SvError *err)
{
	RunLookup		result;

	probe_start(probe, tail, key);
	if (!probe_filter(probe, caches, tail))
		return LOOKUP_ABSENT;
	probe_locate(probe, caches, run, tail);
	if (probe->block == SST_NO_BLOCK)
	{
		count_placed(caches, tail, probe);
		return LOOKUP_ABSENT;
	}
	probe_frame(probe, caches, tail);
	if (!probe_begin(probe, caches))
		return LOOKUP_UNCACHED;
	result = find_in_view(caches, run, tail, probe, values, answer, err);
	count_result(caches, tail, probe, result);
	return result;
}

RunLookup
run_look_up(RunCaches *caches, const RunReader *run, const SstTail *tail, RunProbe *probe, SvSlice key,
			SvBuffer *values, RunAnswer *answer, SvError *err)
{
	return look_up(caches, run, tail, probe, key, values, answer, err);
}

SvStatus
run_find_in_loaded(RunCaches *caches, const RunReader *run, const SstTail *tail, const RunProbe *probe,
				   const uint8_t *settled, SvBuffer *values, RunAnswer *answer, SvError *err)
{
	SstBlock	block = known_block(settled, probe);
	uint32_t	first = sst_block_first(&block, probe->hash);
	const char *problem;
	RunLookup	result = find_in_block(&block, probe, first, values, answer, &problem, err);

	if (problem != NULL)
		return damaged(run, tail, probe, problem, err);
	count_placed(caches, tail, probe);
	if (result == LOOKUP_ABSENT && tail->filter.line_count > 0)
		cache_guard_count(caches->guard, caches->slot, CACHE_FILTER_FALSE, 1);
	return result == LOOKUP_FAILED ? err->status : SV_OK;
}

SvStatus
run_look_up_loading(RunCaches *caches, const RunReader *run, const SstTail *tail, SvSlice key,
					SvBuffer *values, RunAnswer *answer, SvError *err)
{
	RunProbe	probe;
	RunLookup	result;

	while ((result = look_up(caches, run, tail, &probe, key, values, answer, err)) == LOOKUP_UNCACHED)
	{
		bool		present;
		SvStatus	status = run_block_load(caches, run, tail, probe.block, &present, err);

		if (status != SV_OK)
			return status;
		if (!present)
			return run_find_in_loaded(caches, run, tail, &probe, caches->block.data, values, answer, err);
	}
	return result == LOOKUP_FAILED ? err->status : SV_OK;
}

/* With the tail loaded if need be. */
static SvStatus
get_loading(RunCaches *caches, const RunReader *run, SvSlice key, SvBuffer *values,
			RunAnswer *answer, SvError *err)
{
	RunPrivateTail *private_tail;
	const SstTail *tail;
	SvStatus	status = run_tail_acquire(caches, run, &tail, &private_tail, err);

	if (status != SV_OK)
		return status;
	status = run_look_up_loading(caches, run, tail, key, values, answer, err);
	run_tail_release(caches, tail, private_tail);
	return status;
}

SvStatus
run_reader_get(RunCaches *caches, const RunReader *run, SvSlice key, SvBuffer *values,
			   RunAnswer *answer, SvError *err)
{
	RunLookup		result = LOOKUP_UNCACHED;
	const SstTail *tail;
	RunProbe		probe;

	answer->kind = RUN_ABSENT;
	cache_guard_enter(caches->guard, caches->slot);
	tail = tail_cache_find(caches->tails, run->id);
	if (tail != NULL)
		result = look_up(caches, run, tail, &probe, key, values, answer, err);
	cache_guard_exit(caches->guard, caches->slot);

	if (result == LOOKUP_UNCACHED && run->source.read != NULL)
		return get_loading(caches, run, key, values, answer, err);
	if (result == LOOKUP_UNCACHED)
		answer->kind = RUN_UNCACHED;
	return result == LOOKUP_FAILED ? err->status : SV_OK;
}

void
run_reader_expect(RunCaches *caches, const RunReader *run, SvSlice key)
{
	const SstTail *tail;
	RunProbe	probe;

	cache_guard_enter(caches->guard, caches->slot);
	tail = tail_cache_find(caches->tails, run->id);
	if (tail != NULL)
		probe_start(&probe, tail, key);
	cache_guard_exit(caches->guard, caches->slot);
}

/*
 * Some keys at once, each step for all of them before the next; a key without
 * a tail is uncached.
 */
static SvStatus
look_up_cached(RunCaches *caches, const RunReader *const *runs, const SvSlice *keys, uint32_t n,
			   SvBuffer *values, RunAnswer *answers, uint32_t *uncached, SvError *err)
{
	RunProbe		probes[BATCH_WIDTH];
	const SstTail *tails[BATCH_WIDTH];
	bool		goes_on[BATCH_WIDTH];

	for (uint32_t i = 0; i < n; i++)
	{
		tails[i] = i > 0 && runs[i] == runs[i - 1] ? tails[i - 1] :
			tail_cache_find(caches->tails, runs[i]->id);
		probes[i].block = SST_NO_BLOCK;
		if (tails[i] != NULL)
			probe_start(&probes[i], tails[i], keys[i]);
	}
	for (uint32_t i = 0; i < n; i++)
	{
		goes_on[i] = tails[i] != NULL && probe_filter(&probes[i], caches, tails[i]);
		if (goes_on[i])
			sst_tail_aim(tails[i], &probes[i].rmi);
	}
	for (uint32_t i = 0; i < n; i++)
		if (goes_on[i])
		{
			probe_locate(&probes[i], caches, runs[i], tails[i]);
			if (probes[i].block == SST_NO_BLOCK)
				count_placed(caches, tails[i], &probes[i]);
		}
	for (uint32_t i = 0; i < n; i++)
		if (probes[i].block != SST_NO_BLOCK)
			probe_frame(&probes[i], caches, tails[i]);
	for (uint32_t i = 0; i < n; i++)
		goes_on[i] = probes[i].block != SST_NO_BLOCK && probe_begin(&probes[i], caches);
	for (uint32_t i = 0; i < n; i++)
	{
		RunLookup		result = LOOKUP_UNCACHED;

		answers[i].kind = RUN_ABSENT;
		if (tails[i] != NULL && probes[i].block == SST_NO_BLOCK)
			continue;
		if (goes_on[i])
			result = find_in_view(caches, runs[i], tails[i], &probes[i], values, &answers[i], err);
		count_result(caches, tails[i], &probes[i], result);
		if (result == LOOKUP_FAILED)
			return err->status;
		if (result == LOOKUP_UNCACHED)
		{
			answers[i].kind = RUN_UNCACHED;
			(*uncached)++;
		}
	}
	return SV_OK;
}

SvStatus
run_reader_get_many(RunCaches *caches, const RunReader *const *runs, const SvSlice *keys, uint32_t n,
					SvBuffer *values, RunAnswer *answers, uint32_t *uncached, SvError *err)
{
	SvStatus	status = SV_OK;

	*uncached = 0;
	for (uint32_t done = 0; done < n && status == SV_OK; done += BATCH_WIDTH)
	{
		uint32_t	width = n - done < BATCH_WIDTH ? n - done : BATCH_WIDTH;

		cache_guard_enter(caches->guard, caches->slot);
		status = look_up_cached(caches, runs + done, keys + done, width, values, answers + done,
								uncached, err);
		cache_guard_exit(caches->guard, caches->slot);
	}
	return status;
}

SvStatus
run_scan_open(RunScan *scan, RunCaches *caches, const RunReader *run, SvError *err)
{
	scan->caches = caches;
	scan->run = *run;
	scan->fetcher = NULL;
	scan->stream = NULL;
	scan->passing = false;
	scan->went = 0;
	scan->together = NULL;
	scan->n_together = 0;
	scan->alone = false;
	return run_tail_acquire(caches, run, &scan->tail, &scan->private_tail, err);
}

void
run_scan_close(RunScan *scan)
{
	RunCaches  *caches = scan->caches;

	run_stream_end(scan);
	run_tail_release(caches, scan->tail, scan->private_tail);
	scan->tail = NULL;
	if (scan->fetcher != NULL && --caches->scans_ahead == 0)
	{
		sv_buffer_free(&caches->stored);
		run_streams_release(caches);
	}
	scan->fetcher = NULL;
}

static SvStatus
scan_fetch(void *state, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err)
{
	RunScan    *scan = state;
	SvStatus	status;
	const char *problem;

	scan->ahead.at = block;
	if (scan->passing)
	{
		status = run_stream_fetch(scan, block, raw, parsed, err);
		if (status == SV_OK)
			scan->went += sst_index_block(&scan->tail->index, block).stored_bytes;
		if (status != SV_NOT_FOUND)
			return status;
	}
	if (scan->fetcher != NULL && scan->fetcher->ahead_bytes > 0)
		status = run_fetch_ahead(scan, block, raw, err);
	else
		status = run_block_copy(scan->caches, &scan->run, scan->tail, block, raw, err);

	if (status != SV_OK)
		return status;
	scan->went += sst_index_block(&scan->tail->index, block).stored_bytes;
	problem = sst_block_parse(parsed, sv_buffer_slice(raw));
	return problem == NULL ? SV_OK :
		sst_block_damaged(scan->tail, scan->run.source.name, block, problem, err);
}

void
run_scan_read_ahead(RunScan *scan, const struct RunFetcher *fetcher, uint32_t first, uint32_t last,
					bool backward, uint64_t went, bool passing)
{
	if (scan->fetcher == NULL)
		scan->caches->scans_ahead++;
	scan->fetcher = fetcher;
	scan->went = went;
	scan->passing = passing;
	scan->ahead = (RunAhead) {.first = first,.last = last,.backward = backward,.at = SST_NO_BLOCK,.next = SST_NO_BLOCK};
}

SstBlockSource
run_scan_source(RunScan *scan)
{
	return (SstBlockSource) {
		.tail = scan->tail,.fetch = scan_fetch,.state = scan,.name = scan->run.source.name
	};
}

/* How many blocks the process has loaded, ever. */
static uint64_t
loads_so_far(const RunCaches *caches)
{
	return atomic_load_explicit(&caches->guard->slots[caches->slot].counters[CACHE_BLOCK_MISS],
								memory_order_relaxed);
}

/* For the cache alone: nobody wants its bytes. */
static SvStatus
warm(RunScan *scan, uint32_t block, bool ahead, SvError *err)
{
	SvBuffer	raw;
	SvStatus	status;
	bool		present;

	if (!ahead)
		return run_block_load(scan->caches, &scan->run, scan->tail, block, &present, err);
	sv_buffer_init(&raw, &sv_malloc_alloc);
	status = run_fetch_ahead(scan, block, &raw, err);
	sv_buffer_free(&raw);
	return status;
}

/* *loaded: how many blocks were. */
static SvStatus
warm_if_missing(RunScan *scan, uint32_t block, bool ahead, uint32_t *loaded, SvError *err)
{
	RunCaches  *caches = scan->caches;
	BlockKey	key = run_block_key(&scan->run, block);
	uint64_t	before = loads_so_far(caches);
	SvStatus	status = SV_OK;
	BlockView	view;

	if (block_cache_keeps(caches->blocks, sst_index_block(&scan->tail->index, block).raw_bytes) &&
		!block_cache_begin(caches->blocks, &key, block_cache_hash(key), BLOCK_CACHE_NONE, &view))
		status = warm(scan, block, ahead, err);
	*loaded = (uint32_t) (loads_so_far(caches) - before);
	return status;
}

SvStatus
run_scan_warm(RunScan *scan, uint32_t block, bool *loaded, SvError *err)
{
	uint32_t	n;
	SvStatus	status = warm_if_missing(scan, block, false, &n, err);

	*loaded = status == SV_OK && n > 0;
	return status;
}

SvStatus
run_scan_warm_ahead(RunScan *scan, uint32_t block, uint32_t *loaded, SvError *err)
{
	bool		ahead = scan->fetcher != NULL && scan->fetcher->ahead_bytes > 0;

	return warm_if_missing(scan, block, ahead, loaded, err);
}
