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
#include "forest/forest_store.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/memutils.h"

/* Where a load reads from: valid for one call of the layers below. */
typedef struct RunStore
{
	Oid			server_oid;
	ObjectStore *store;
	const char *object;
	uint64		object_bytes;
} RunStore;

/* A scan and what it reads from, kept until a memory context goes. */
typedef struct OpenScan
{
	RunScan		scan;			/* first: callers see only this */
	RunStore	store;
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
	OpenScan	open;
	SstIterator *it;			/* NULL: no run is open */
	bool		is_wal;			/* its keys carry the table id in front */
};

static SvStatus
read_range(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	RunStore   *store = state;
	StoreRange	range = {
		.name = store->object,.offset = offset,.len = len,.dst = dst,.object_bytes = store->object_bytes
	};
	SvStatus	status;

	STOP_POINT_IN_LOAD("run-read");
	status = store_get(store->store, &range, 1, NULL,
					   forest_store_call(store->server_oid, STORE_FOREGROUND), err);
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

pg_noreturn static void report_missing(const char *object);
pg_noreturn static void run_fail(Oid server_oid, const char *object, const SvError *err);

static void
report_missing(const char *object)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("object \"%s\" is no longer in the store", object),
				 errdetail("The primary server deleted it while this snapshot still needed it."),
				 errhint("Try again, and turn on hot_standby_feedback.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object \"%s\" is missing from the store", object),
			 errhint("Restore it from a copy of the store; other objects are not affected.")));
}

static void
run_fail(Oid server_oid, const char *object, const SvError *err)
{
	if (err->status == SV_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (err->status == SV_CORRUPT && object_is_missing(server_oid, object))
		report_missing(object);
	pg_status_report(ERROR, err);
	pg_unreachable();
}

static RunReader
reader_with_source(const LsmRun *run, RunStore *store, Oid server_oid)
{
	RunReader	reader = forest_run_cached(run);

	store->server_oid = server_oid;
	store->store = forest_store_open(server_oid);
	store->object = run->object;
	store->object_bytes = run->file_bytes;
	reader.source.read = read_range;
	reader.source.state = store;
	return reader;
}

void
forest_run_get(Oid server_oid, const LsmRun *run, SvSlice run_key, SvBuffer *values, RunAnswer *answer)
{
	RunReader	reader = forest_run_cached(run);
	RunStore	store;
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

/* Loads what is missing of one run's keys. */
static void
load_many(Oid server_oid, const LsmRun *run, const SvSlice *run_keys, uint32 n, SvBuffer *values,
		  RunAnswer *answers)
{
	RunStore	store;
	RunReader	reader = reader_with_source(run, &store, server_oid);
	SvError		err;

	CHECK_FOR_INTERRUPTS();
	if (run_reader_load_many(pg_caches(), &reader, run_keys, n, values, answers, &err) != SV_OK)
		run_fail(server_oid, run->object, &err);
}

/* How many of the runs from the first on are the first one. */
static uint32
same_run(const LsmRun *const *runs, uint32 n)
{
	uint32		count = 1;

	while (count < n && runs[count] == runs[0])
		count++;
	return count;
}

static bool
any_uncached(const RunAnswer *answers, uint32 n)
{
	for (uint32 i = 0; i < n; i++)
		if (answers[i].kind == RUN_UNCACHED)
			return true;
	return false;
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

/* One RunReader for each stretch of keys of a run, and a pointer to it for each key. */
static const RunReader *const *
make_readers(const LsmRun *const *runs, uint32 n, SvScratch *scratch)
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
		*reader = forest_run_cached(runs[i]);
		of_keys[i] = reader;
	}
	return of_keys;
}

void
forest_run_get_many(Oid server_oid, const LsmRun *const *runs, const SvSlice *run_keys, uint32 n,
					SvScratch *scratch, SvBuffer *values, RunAnswer *answers)
{
	uint32		uncached;
	uint32		count;
	SvError		err;

	/* What fails here is a damaged block, and names its object. */
	if (run_reader_get_many(pg_caches(), make_readers(runs, n, scratch), run_keys, n, values, answers,
							&uncached, &err) != SV_OK)
		pg_status_report(ERROR, &err);
	for (uint32 i = 0; i < n && uncached > 0; i += count)
	{
		count = same_run(runs + i, n - i);
		if (any_uncached(answers + i, count))
			load_many(server_oid, runs[i], run_keys + i, count, values, answers + i);
	}
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

bool
forest_run_warm(RunScan *scan, uint32 block)
{
	RunStore   *store = scan->run.source.state;
	bool		loaded;
	SvError		err;

	store->store = forest_store_open(store->server_oid);
	if (run_scan_warm(scan, block, &loaded, &err) != SV_OK)
		run_fail(store->server_oid, store->object, &err);
	return loaded;
}

static void
close_run(ForestRunIterator *iterator)
{
	sst_iterator_close(iterator->it);
	iterator->it = NULL;
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

	open->store.store = forest_store_open(open->store.server_oid);
	return source.fetch(source.state, block, raw, parsed, err);
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
	callback->func = release_iterator;
	callback->arg = iterator;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return iterator;
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
