/*
 * forest_run_scan.c
 *		Scans: runs that are held open, and iterators over those of a group.
 *
 * As for lookups, whatever can raise an error is done before the layers below are called.
 */
#include "postgres.h"

#include "forest/forest_run_scan.h"

#include "forest/forest_fetch.h"
#include "forest/forest_meter.h"
#include "forest/forest_run.h"
#include "forest/forest_run_reader.h"
#include "forest/forest_store.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_status.h"
#include "utils/memutils.h"

/* Of the cache's memory, what a scan may read by way of it. */
#define CACHE_SHARE 4

/* A scan and what it reads from, kept until a memory context goes. */
typedef struct OpenScan
{
	RunScan		scan;			/* first: callers see only this */
	ForestRunStore store;
	ForestFetch	fetch;
	RunFetcher	fetcher;
	bool		is_open;
	ForestTogether *together;	/* that it is in; NULL: in none */
} OpenScan;

struct ForestRunIterator
{
	MemoryContext context;
	SvAlloc		alloc;
	Oid			server_oid;
	const LsmGroup *group;
	int			first;			/* sources of the group that are still to be read, both inclusive */
	int			last;
	const SvSlice *low;			/* NULL: open; both copied */
	const SvSlice *high;
	bool		backward;
	int			n_runs;			/* between the bounds */
	uint64		raw_bytes;		/* of all of their entries */
	uint64		whole_bytes;	/* of the scan that it is a part of; 0: of none */
	uint64		went;			/* stored bytes of those that were read */
	ForestTogether *together;	/* NULL: reads alone */
	OpenScan	open;
	SstIterator *it;			/* NULL: no run is open */
	bool		is_wal;			/* its keys carry the table id in front */
	int32		table_id;
};

static void
open_scan(OpenScan *open, Oid server_oid, const LsmRun *run)
{
	RunReader	reader = forest_run_reader(run, &open->store, server_oid);
	SvError		err;

	if (run_scan_open(&open->scan, pg_caches(), &reader, &err) != SV_OK)
		forest_run_fail(server_oid, run->object, &err);
	open->is_open = true;
}

/* ---- what is read together ---- */

static void
join(OpenScan *open, ForestTogether *together)
{
	if (together->n == together->room)
	{
		int			room = Max(together->room * 2, 8);
		RunScan   **scans = MemoryContextAlloc(together->context, room * sizeof(RunScan *));
		Oid		   *servers = MemoryContextAlloc(together->context, room * sizeof(Oid));

		if (together->n > 0)
		{
			memcpy(scans, together->scans, together->n * sizeof(RunScan *));
			memcpy(servers, together->servers, together->n * sizeof(Oid));
			pfree(together->scans);
			pfree(together->servers);
		}
		together->scans = scans;
		together->servers = servers;
		together->room = room;
	}
	together->servers[together->n] = open->store.server_oid;
	together->scans[together->n++] = &open->scan;
	open->together = together;
}

static void
leave(OpenScan *open)
{
	ForestTogether *together = open->together;

	for (int i = 0; together != NULL && i < together->n; i++)
		if (together->scans[i] == &open->scan)
		{
			together->scans[i] = together->scans[--together->n];
			together->servers[i] = together->servers[together->n];
			break;
		}
	open->together = NULL;
}

/* No scan's handle of its store lives longer than a call. */
static void
renew_stores(const ForestTogether *together)
{
	forest_stores_open(together->servers, together->n);
	for (int i = 0; i < together->n; i++)
	{
		OpenScan   *open = (OpenScan *) together->scans[i];

		open->store.store = open->fetch.store = forest_store_open(open->store.server_oid);
	}
}

/* ---- opening and closing ---- */

static void
close_scan(void *arg)
{
	OpenScan   *open = arg;

	leave(open);
	if (open->is_open)
		run_scan_close(&open->scan);
	open->is_open = false;
}

RunScan *
forest_run_open(Oid server_oid, const LsmRun *run)
{
	OpenScan   *open = palloc0(sizeof(OpenScan));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = close_scan;
	callback->arg = open;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	open_scan(open, server_oid, run);
	return &open->scan;
}

/* For a store where a request takes time: from now on blocks are asked for with some of those behind. */
static void
give_fetcher(OpenScan *open)
{
	open->fetch = (ForestFetch) {.server_oid = open->store.server_oid,.store = open->store.store};
	open->fetcher = forest_fetcher_ahead(&open->fetch);
}

void
forest_run_warm_from(RunScan *scan, uint32 first, uint32 last)
{
	OpenScan   *open = (OpenScan *) scan;

	if ((store_capabilities(open->store.store) & STORE_IS_REMOTE) == 0)
		return;
	give_fetcher(open);
	run_scan_read_ahead(scan, &open->fetcher, first, last, false, 0, false);
}

uint32
forest_run_warm(RunScan *scan, uint32 block)
{
	OpenScan   *open = (OpenScan *) scan;
	uint32		loaded;
	SvError		err;

	open->store.store = open->fetch.store = forest_store_open(open->store.server_oid);
	if (run_scan_warm_ahead(scan, block, &loaded, &err) != SV_OK)
		forest_run_fail(open->store.server_oid, open->store.object, &err);
	return loaded;
}

static void
close_run(ForestRunIterator *iterator)
{
	sst_iterator_close(iterator->it);
	iterator->it = NULL;
	if (iterator->open.is_open)
		iterator->went = iterator->open.scan.went;
	close_scan(&iterator->open);
}

static void
release_iterator(void *arg)
{
	close_run(arg);
}

/* The store's handle does not live as long as a scan. */
static SvStatus
fetch_block(void *state, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err)
{
	OpenScan   *open = state;
	SstBlockSource source = run_scan_source(&open->scan);

	if (open->together != NULL)
		renew_stores(open->together);
	else
		open->store.store = open->fetch.store = forest_store_open(open->store.server_oid);
	open->scan.together = open->together != NULL ? open->together->scans : NULL;
	open->scan.n_together = open->together != NULL ? open->together->n : 0;
	forest_fetch_look_around();
	return source.fetch(source.state, block, raw, parsed, err);
}

/*
 * Whether what the iterator is about would push out of the cache what others need:
 * more than a quarter of it, as for the buffers of Postgres itself.
 */
static bool
is_passing(const ForestRunIterator *iterator, uint32 blocks)
{
	uint64		share = pg_cache_block_bytes() / CACHE_SHARE;

	if (iterator->whole_bytes > 0)
		return iterator->whole_bytes > share;
	return iterator->raw_bytes > share && (iterator->n_runs > 1 || (uint64) blocks * SST_FRAME_BYTES > share);
}

/* Which blocks the bounds leave, and how far to read ahead in them. */
static void
read_ahead(ForestRunIterator *iterator, const SvSlice *low, const SvSlice *high)
{
	OpenScan   *open = &iterator->open;
	const SstTail *tail = open->scan.tail;
	uint32		blocks = high != NULL ? sst_tail_blocks_below(tail, *high) : tail->index.count;
	uint32		skipped = low != NULL ? sst_tail_blocks_up_to(tail, *low) : 0;

	if ((store_capabilities(open->store.store) & STORE_IS_REMOTE) == 0 || blocks == 0)
		return;
	give_fetcher(open);
	run_scan_read_ahead(&open->scan, &open->fetcher, skipped > 0 ? skipped - 1 : 0, blocks - 1,
						iterator->backward, iterator->went, is_passing(iterator, blocks - skipped));
}

/* A bound of the table becomes a bound of the run; an open one stops at the table's end. */
static SvSlice
wal_bound(int32 table_id, const SvSlice *bound, bool is_high)
{
	size_t		key_bytes = bound != NULL ? bound->len : 0;
	uint8_t    *data = palloc(LSM_WALKEY_PREFIX_BYTES + key_bytes);

	lsm_walkey_prefix(data, bound == NULL && is_high ? table_id + 1 : table_id);
	if (key_bytes > 0)
		memcpy(data + LSM_WALKEY_PREFIX_BYTES, bound->data, key_bytes);
	return sv_slice(data, LSM_WALKEY_PREFIX_BYTES + key_bytes);
}

bool
forest_run_blocks(const RunScan *scan, const LsmRun *run, const LsmPart *part, uint32 *first, uint32 *last)
{
	uint32		begin = 0;
	uint32		end = scan->tail->index.count;

	if (run->tier == LSM_WAL)
	{
		SvSlice		low = wal_bound(part->table_id, NULL, false);
		SvSlice		high = wal_bound(part->table_id, NULL, true);

		/* The block before the first low key of the table may hold its first keys. */
		begin = sst_tail_blocks_up_to(scan->tail, low);
		begin = begin > 0 ? begin - 1 : 0;
		end = sst_tail_blocks_below(scan->tail, high);
		pfree(unconstify(uint8 *, low.data));
		pfree(unconstify(uint8 *, high.data));
	}
	*first = begin;
	*last = end - 1;
	return begin < end;
}

uint32
forest_run_pick(RunScan *scan, const uint32 *blocks, uint32 n, SvBuffer *raw, RunPicked *picked)
{
	OpenScan   *open = (OpenScan *) scan;
	ForestFetch fetch = {.server_oid = open->store.server_oid};
	RunFetcher	fetcher;
	uint32		done;
	SvError		err;

	CHECK_FOR_INTERRUPTS();
	fetch.store = open->store.store = forest_store_open(open->store.server_oid);
	fetcher = forest_fetcher(&fetch);
	if (run_scan_pick(scan, &fetcher, blocks, n, raw, picked, &done, &err) != SV_OK)
		forest_run_fail(open->store.server_oid, open->store.object, &err);
	return done;
}

static void
open_run(ForestRunIterator *iterator, const LsmSourceRun *source)
{
	MemoryContext old = MemoryContextSwitchTo(iterator->context);
	const SvSlice *low = iterator->low;
	const SvSlice *high = iterator->high;
	SstBlockSource blocks;
	SvSlice		wal_low;
	SvSlice		wal_high;
	SvError		err;

	open_scan(&iterator->open, iterator->server_oid, source->run);
	iterator->is_wal = source->run->tier == LSM_WAL;
	iterator->table_id = source->part->table_id;
	if (iterator->is_wal)
	{
		wal_low = wal_bound(source->part->table_id, low, false);
		wal_high = wal_bound(source->part->table_id, high, true);
		low = &wal_low;
		high = &wal_high;
	}
	read_ahead(iterator, low, high);
	if (iterator->together != NULL && iterator->open.scan.fetcher != NULL)
		join(&iterator->open, iterator->together);
	blocks = run_scan_source(&iterator->open.scan);
	blocks.fetch = fetch_block;
	blocks.state = &iterator->open;
	if (sst_iterator_open(&iterator->it, &blocks, low, high, iterator->backward, &iterator->alloc,
						  &err) != SV_OK)
		forest_run_fail(iterator->server_oid, source->run->object, &err);
	if (iterator->is_wal)
	{
		pfree(unconstify(uint8 *, wal_low.data));
		pfree(unconstify(uint8 *, wal_high.data));
	}
	MemoryContextSwitchTo(old);
}

/* The next run of the group that has keys between the bounds; NULL if there is none. */
static const LsmSourceRun *
next_run(ForestRunIterator *iterator)
{
	if (iterator->first > iterator->last)
		return NULL;
	return &iterator->group->sources[iterator->backward ? iterator->last-- : iterator->first++];
}

/* Index of the group's last source that has keys below high, or -1. */
static int
last_below(const LsmGroup *group, const SvSlice *high)
{
	int			i;

	if (high == NULL)
		return group->count - 1;
	i = lsm_group_seek(group, *high);
	if (i < group->count && lsm_part_overlaps(group->sources[i].part, NULL, high))
		return i;
	return i - 1;
}

static const SvSlice *
copy_bound(const SvSlice *bound)
{
	SvSlice    *copy;
	uint8	   *data;

	if (bound == NULL)
		return NULL;
	copy = palloc(sizeof(SvSlice));
	data = palloc(bound->len + 1);
	if (bound->len > 0)
		memcpy(data, bound->data, bound->len);
	*copy = sv_slice(data, bound->len);
	return copy;
}

ForestRunIterator *
forest_run_iterate(Oid server_oid, const LsmGroup *group, const SvSlice *low, const SvSlice *high,
				   bool backward)
{
	ForestRunIterator *iterator = palloc0(sizeof(ForestRunIterator));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	iterator->context = CurrentMemoryContext;
	iterator->alloc = pg_status_alloc(CurrentMemoryContext);
	iterator->server_oid = server_oid;
	iterator->group = group;
	iterator->first = low == NULL ? 0 : lsm_group_seek(group, *low);
	iterator->last = last_below(group, high);
	iterator->low = copy_bound(low);
	iterator->high = copy_bound(high);
	iterator->backward = backward;
	for (int i = iterator->first; i <= iterator->last; i++)
	{
		iterator->n_runs++;
		iterator->raw_bytes += group->sources[i].part->raw_bytes;
	}
	forest_meter_runs(group->count, iterator->n_runs);
	callback->func = release_iterator;
	callback->arg = iterator;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return iterator;
}

void
forest_run_iterate_part(ForestRunIterator *iterator, uint64 bytes, uint64 went)
{
	iterator->whole_bytes = bytes;
	iterator->went = went;
}

void
forest_run_join(ForestRunIterator *iterator, ForestTogether *together)
{
	iterator->together = together;
}

void
forest_runs_open(ForestRunIterator *const *iterators, int n)
{
	/* It outlives an error, and its memory is used again. */
	static SvScratch scratch = {0};
	const LsmSourceRun **sources = palloc(Max(n, 1) * sizeof(LsmSourceRun *));
	const LsmRun **runs = palloc(Max(n, 1) * sizeof(LsmRun *));
	Oid		   *servers = palloc(Max(n, 1) * sizeof(Oid));
	int			nruns = 0;

	for (int i = 0; i < n; i++)
	{
		sources[i] = iterators[i]->it == NULL ? next_run(iterators[i]) : NULL;
		if (sources[i] == NULL)
			continue;
		servers[nruns] = iterators[i]->server_oid;
		runs[nruns++] = sources[i]->run;
	}
	sv_scratch_reset(&scratch, 0);
	if (nruns > 0)
		(void) forest_run_fetch_tails_of(servers, runs, nruns, &scratch);
	sv_scratch_reset(&scratch, 0);
	for (int i = 0; i < n; i++)
		if (sources[i] != NULL)
			open_run(iterators[i], sources[i]);
	pfree(sources);
	pfree(runs);
	pfree(servers);
}

static SvStatus
iterator_next(void *state, SstEntry *entry, SvError *err)
{
	ForestRunIterator *iterator = state;

	for (;;)
	{
		const LsmSourceRun *source;

		if (iterator->it != NULL)
		{
			SvStatus	status = sst_iterator_next(iterator->it, entry, err);

			if (status == SV_OK && iterator->is_wal)
				entry->key = lsm_walkey_key(entry->key);
			if (status == SV_OK)
				return SV_OK;
			if (status != SV_NOT_FOUND)
				forest_run_fail(iterator->server_oid, iterator->open.store.object, err);
			close_run(iterator);
		}
		source = next_run(iterator);
		if (source == NULL)
			return SV_NOT_FOUND;
		open_run(iterator, source);
	}
}

uint64
forest_run_raw_bytes(const ForestRunIterator *iterator)
{
	return iterator->raw_bytes;
}

bool
forest_run_horizon(ForestRunIterator *iterator, uint32 blocks, SvSlice *key)
{
	if (iterator->it == NULL)
	{
		const LsmSourceRun *source = next_run(iterator);

		if (source == NULL)
			return false;
		open_run(iterator, source);
	}
	if (!sst_iterator_horizon(iterator->it, blocks, key))
		return false;
	if (!iterator->is_wal)
		return true;
	if (key->len < LSM_WALKEY_PREFIX_BYTES || lsm_walkey_table(*key) != iterator->table_id)
		return false;
	*key = lsm_walkey_key(*key);
	return true;
}

LsmSource
forest_run_source(ForestRunIterator *iterator)
{
	return (LsmSource) {.next = iterator_next,.state = iterator};
}
