/*
 * forest_run.c
 *		From a run of the registry to the caches, and to its store.
 *
 * The layers below must not be left by longjmp while they load something.  So
 * whatever can raise an error, as opening the store, is done before they are
 * called, and they are first asked for what is cached, which needs no store.
 */
#include "postgres.h"

#include "forest/forest_run.h"

#include "access/xlog.h"
#include "forest/forest_fetch.h"
#include "forest/forest_meter.h"
#include "forest/forest_sql.h"
#include "forest/forest_store.h"
#include "forest/forest_store_local.h"
#include "forest/forest_vault.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
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
	OpenScan	open;
	SstIterator *it;			/* NULL: no run is open */
	bool		is_wal;			/* its keys carry the table id in front */
};

static SvStatus
read_range(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	ForestRunStore *store = state;
	StoreRange	range = {
		.name = store->object,.offset = offset,.len = len,.dst = dst,.object_bytes = store->object_bytes
	};
	ForestMeterCall meter;
	SvStatus	status;

	STOP_POINT_IN_LOAD("run-read");
	forest_meter_call_begin(&meter);
	status = store_get(store->store, &range, 1, NULL,
					   forest_store_call(store->server_oid, STORE_FOREGROUND), err);
	forest_meter_call_end(&meter, offset < store->tail_at);
	/* Below, not found would mean that a key is absent. */
	if (status == SV_NOT_FOUND)
		status = sv_fail(err, SV_CORRUPT, "object \"%s\" is missing from the store", store->object);
	return status;
}

static bool
object_is_missing(Oid server_oid, const char *object)
{
	SvError		err;
	StoreObject found;

	return store_head(forest_store_open(server_oid), object, &found,
					  forest_store_call(server_oid, STORE_FOREGROUND), &err) == SV_NOT_FOUND;
}

pg_noreturn static void report_missing(Oid server_oid, const char *object);
pg_noreturn static void run_fail(Oid server_oid, const char *object, const SvError *err);

/* 'owner', 'fenced', 'attached', ...: skyvault.owner's state of the server's vault; NULL: none. */
static const char *
owner_state(Oid server_oid)
{
	ForestVault vault;
	ForestRows	rows;

	if (!forest_vault_find(server_oid, &vault))
		return NULL;
	rows = forest_sql_fixed("SELECT state FROM skyvault.owner WHERE vault_id = $1::integer", 1, forest_arg(vault.id));
	return forest_cell(&rows, 0, 0);
}

static void
report_missing(Oid server_oid, const char *object)
{
	const char *state;

	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("object \"%s\" is no longer in the store", object),
				 errdetail("The primary server deleted it while this snapshot still needed it."),
				 errhint("Try again. Turn on hot_standby_feedback, or raise skyvault.retention on the primary.")));
	state = owner_state(server_oid);
	if (state != NULL && (strcmp(state, "attached") == 0 || strcmp(state, "fenced") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("object \"%s\" is no longer in the store", object),
				 errdetail("This database does not own the vault. The one that does has merged or removed what is in"
						   " the object, and deleted it after its skyvault.retention."),
				 errhint("The vault as it is now can be restored into a database that has no table of it yet, with"
						 " skyvault_restore().")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object \"%s\" is missing from the store", object),
			 errhint("Restore it from a copy of the store; other objects are not affected.")));
}

static void
run_fail(Oid server_oid, const char *object, const SvError *err)
{
	if (err->status == SV_CORRUPT)
		forest_store_forget(forest_store_open(server_oid), &object, 1);
	if (err->status == SV_CORRUPT && object_is_missing(server_oid, object))
		report_missing(server_oid, object);
	pg_status_report(ERROR, err);
	pg_unreachable();
}

static RunReader
reader_with_source(const LsmRun *run, ForestRunStore *store, Oid server_oid)
{
	RunReader	reader = forest_run_cached(run);

	store->server_oid = server_oid;
	store->store = forest_store_open(server_oid);
	store->object = run->object;
	store->object_bytes = run->file_bytes;
	store->tail_at = run->file_bytes - run->tail_bytes;
	reader.source.read = read_range;
	reader.source.state = store;
	return reader;
}

void
forest_run_get_one_cached(const LsmRun *run, SvSlice run_key, SvBuffer *values, RunAnswer *answer)
{
	RunReader	reader = forest_run_cached(run);
	SvError		err;

	if (run_reader_get(pg_caches(), &reader, run_key, values, answer, &err) != SV_OK)
		pg_status_report(ERROR, &err);
}

void
forest_run_expect(const LsmRun *run, SvSlice run_key)
{
	RunReader	reader = forest_run_cached(run);

	run_reader_expect(pg_caches(), &reader, run_key);
}

void
forest_run_get(Oid server_oid, const LsmRun *run, SvSlice run_key, SvBuffer *values, RunAnswer *answer)
{
	RunReader	reader = forest_run_cached(run);
	ForestRunStore store;
	SvStatus	status;
	SvError		err;

	status = run_reader_get(pg_caches(), &reader, run_key, values, answer, &err);
	if (status == SV_OK && answer->kind == RUN_UNCACHED)
	{
		reader = reader_with_source(run, &store, server_oid);
		status = run_reader_get(pg_caches(), &reader, run_key, values, answer, &err);
	}
	if (status != SV_OK)
		run_fail(server_oid, run->object, &err);
}

static void *
take_room(SvScratch *scratch, Size bytes)
{
	void	   *room = sv_scratch_take(scratch, bytes);

	if (room == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Failed on request of size %zu for a batch of keys.", bytes)));
	return room;
}

/* Of which servers some runs are: of each its own, or all of one.  All zero: of none, for what is cached. */
typedef struct Servers
{
	const Oid  *each;			/* NULL: one */
	Oid			one;
} Servers;

static Oid
server_at(const Servers *servers, uint32 i)
{
	return servers->each != NULL ? servers->each[i] : servers->one;
}

/*
 * One RunReader for each stretch of keys of a run, and a pointer to it for each
 * key.  With servers each has a source, for the rare cases in which a tail or
 * block is read by itself: when another process gave up loading it, or there is
 * no room for it.  Without they read what is cached.
 */
static const RunReader *const *
make_readers(const Servers *servers, const LsmRun *const *runs, uint32 n, SvScratch *scratch)
{
	const RunReader **of_keys = take_room(scratch, n * sizeof(RunReader *));

	for (uint32 i = 0; i < n; i++)
	{
		RunReader  *reader;

		if (i > 0 && runs[i] == runs[i - 1])
		{
			of_keys[i] = of_keys[i - 1];
			continue;
		}
		reader = take_room(scratch, sizeof(RunReader));
		*reader = OidIsValid(server_at(servers, i)) ?
			reader_with_source(runs[i], take_room(scratch, sizeof(ForestRunStore)), server_at(servers, i)) :
			forest_run_cached(runs[i]);
		of_keys[i] = reader;
	}
	return of_keys;
}

uint32
forest_run_get_cached(const LsmRun *const *runs, const SvSlice *run_keys, uint32 n, SvScratch *scratch,
					  SvBuffer *values, RunAnswer *answers)
{
	Servers		none = {0};
	uint32		uncached;
	SvError		err;

	/* What fails here is a damaged block, and names its object. */
	if (run_reader_get_many(pg_caches(), make_readers(&none, runs, n, scratch), run_keys, n, values, answers,
							&uncached, &err) != SV_OK)
		pg_status_report(ERROR, &err);
	return uncached;
}

/* Which object it was that failed, an error of a single read says by its own reader. */
static void
fetch_fail(const ForestFetch *fetch, const Servers *servers, const LsmRun *const *runs, uint32 n, const SvError *err)
{
	const char *object = fetch->object != NULL ? fetch->object : runs[0]->object;
	Oid			server_oid = fetch->object != NULL ? fetch->object_server : server_at(servers, 0);

	for (uint32 i = 0; i < n && err->status == SV_CORRUPT; i++)
		if (strstr(err->message, runs[i]->object) != NULL)
		{
			object = runs[i]->object;
			server_oid = server_at(servers, i);
		}
	run_fail(server_oid, object, err);
}

/* So that no handle is closed while it is in a reader. */
static void
open_stores(const Servers *servers, uint32 n)
{
	if (servers->each != NULL)
		forest_stores_open(servers->each, n);
}

static void
fetch(const Servers *servers, const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
	  SvScratch *scratch, SvBuffer *values, RunAnswer *answers)
{
	ForestFetch state = {0};
	RunFetcher	fetcher = forest_fetcher(&state);
	SvError		err;

	CHECK_FOR_INTERRUPTS();
	open_stores(servers, n);
	if (run_fetch_many(pg_caches(), &fetcher, make_readers(servers, runs, n, scratch), run_keys, n, values,
					   answers, &err) != SV_OK)
		fetch_fail(&state, servers, runs, n, &err);
}

static uint32
fetch_tails(const Servers *servers, const LsmRun *const *runs, uint32 n, SvScratch *scratch)
{
	ForestFetch state = {0};
	RunFetcher	fetcher = forest_fetcher(&state);
	uint32		fetched;
	SvStatus	status;
	SvError		err;

	CHECK_FOR_INTERRUPTS();
	open_stores(servers, n);
	status = run_fetch_tails(pg_caches(), &fetcher, make_readers(servers, runs, n, scratch), n, &fetched, &err);

	/*
	 * Not all of these may be needed: what is wrong with one object is for
	 * those to say who need it.  A store that cannot be reached is worth no
	 * second try.
	 */
	if (status == SV_CANCELLED ||
		(status == SV_IO && OidIsValid(state.object_server) &&
		 (store_capabilities(forest_store_open(state.object_server)) & STORE_IS_REMOTE) != 0))
		fetch_fail(&state, servers, runs, n, &err);
	return fetched;
}

void
forest_run_fetch(Oid server_oid, const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
				 SvScratch *scratch, SvBuffer *values, RunAnswer *answers)
{
	fetch(&(Servers) {.one = server_oid}, runs, run_keys, n, scratch, values, answers);
}

uint32
forest_run_fetch_tails(Oid server_oid, const LsmRun *const *runs, uint32 n, SvScratch *scratch)
{
	return fetch_tails(&(Servers) {.one = server_oid}, runs, n, scratch);
}

void
forest_run_fetch_of(const Oid *servers, const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
					SvScratch *scratch, SvBuffer *values, RunAnswer *answers)
{
	fetch(&(Servers) {.each = servers}, runs, run_keys, n, scratch, values, answers);
}

uint32
forest_run_fetch_tails_of(const Oid *servers, const LsmRun *const *runs, uint32 n, SvScratch *scratch)
{
	return fetch_tails(&(Servers) {.each = servers}, runs, n, scratch);
}

static void
open_scan(OpenScan *open, Oid server_oid, const LsmRun *run)
{
	RunReader	reader = reader_with_source(run, &open->store, server_oid);
	SvError		err;

	if (run_scan_open(&open->scan, pg_caches(), &reader, &err) != SV_OK)
		run_fail(server_oid, run->object, &err);
	open->is_open = true;
}

static void
close_scan(void *arg)
{
	OpenScan   *open = arg;

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
		run_fail(open->store.server_oid, open->store.object, &err);
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

	open->store.store = open->fetch.store = forest_store_open(open->store.server_oid);
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
		run_fail(open->store.server_oid, open->store.object, &err);
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
	if (iterator->is_wal)
	{
		wal_low = wal_bound(source->part->table_id, low, false);
		wal_high = wal_bound(source->part->table_id, high, true);
		low = &wal_low;
		high = &wal_high;
	}
	read_ahead(iterator, low, high);
	blocks = run_scan_source(&iterator->open.scan);
	blocks.fetch = fetch_block;
	blocks.state = &iterator->open;
	if (sst_iterator_open(&iterator->it, &blocks, low, high, iterator->backward, &iterator->alloc,
						  &err) != SV_OK)
		run_fail(iterator->server_oid, source->run->object, &err);
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
				run_fail(iterator->server_oid, iterator->open.store.object, err);
			close_run(iterator);
		}
		source = next_run(iterator);
		if (source == NULL)
			return SV_NOT_FOUND;
		open_run(iterator, source);
	}
}

LsmSource
forest_run_source(ForestRunIterator *iterator)
{
	return (LsmSource) {.next = iterator_next,.state = iterator};
}
