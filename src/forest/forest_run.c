/*
 * forest_run.c
 *		Open runs.
 *
 * Behind read_range is where the shared block cache will stand.
 */
#include "postgres.h"

#include "forest/forest_run.h"

#include "access/xlog.h"
#include "forest/forest_vault.h"
#include "lib/ilist.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "sst/sst_iterator.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* Readers kept open although nobody uses them. */
#define OPEN_RUNS 64

/* A lookup's buffer that a large value has blown up is not kept. */
#define SCRATCH_KEPT_BYTES (1024 * 1024)

typedef struct OpenRun
{
	dlist_node	node;			/* in open_runs, most recently used first */
	MemoryContext context;		/* holds this struct and the reader */
	SvAlloc		alloc;
	Oid			server_oid;
	char	   *object;
	SstSource	source;
	SstReader  *reader;
	int			pins;			/* iterators that use it */
} OpenRun;

struct ForestRunIterator
{
	OpenRun    *run;
	SstIterator *it;
	bool		is_wal;			/* keys carry the table id in front */
};

typedef struct OpenRunKey
{
	char		object[256];
} OpenRunKey;

typedef struct OpenRunEntry
{
	OpenRunKey	key;			/* hash key */
	OpenRun    *run;
} OpenRunEntry;

static dlist_head open_runs = DLIST_STATIC_INIT(open_runs);
static HTAB *open_run_table = NULL;

static SvStatus
read_range(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	OpenRun    *run = state;
	StoreRange	range = {.offset = offset,.len = len,.dst = dst};
	SvStatus	status = store_get(forest_vault_store(run->server_oid), run->object, &range, 1,
								   &forest_store_call, err);

	/* For the reader's caller, not found means that a key is absent. */
	if (status == SV_NOT_FOUND)
		status = err->status = SV_CORRUPT;
	return status;
}

static bool
object_is_missing(OpenRun *run)
{
	SvError		err;
	uint64_t	bytes;

	return store_head(forest_vault_store(run->server_oid), run->object, &bytes,
					  &forest_store_call, &err) == SV_NOT_FOUND;
}

static void report_missing(OpenRun *run) pg_attribute_noreturn();
static void run_fail(OpenRun *run, const SvError *err) pg_attribute_noreturn();

static void
report_missing(OpenRun *run)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("object \"%s\" is no longer in the store", run->object),
				 errdetail("The primary server deleted it while this snapshot still needed it."),
				 errhint("Try again, and turn on hot_standby_feedback.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object \"%s\" is missing from the store", run->object),
			 errhint("Restore it from a copy of the store; other objects are not affected.")));
}

static void
run_fail(OpenRun *run, const SvError *err)
{
	if (err->status == SV_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	if (err->status == SV_CORRUPT && object_is_missing(run))
		report_missing(run);
	pg_status_report(ERROR, err);
	pg_unreachable();
}

static void
open_runs_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(OpenRunKey),.entrysize = sizeof(OpenRunEntry)};

	open_run_table = hash_create("skyvault open runs", OPEN_RUNS, &ctl, HASH_ELEM | HASH_STRINGS);
}

static void
close_run(OpenRun *run)
{
	OpenRunKey	key;

	strlcpy(key.object, run->object, sizeof(key.object));
	hash_search(open_run_table, &key, HASH_REMOVE, NULL);
	dlist_delete(&run->node);
	MemoryContextDelete(run->context);
}

static void
evict(void)
{
	dlist_mutable_iter iter;
	int			n = 0;

	dlist_foreach_modify(iter, &open_runs)
	{
		OpenRun    *run = dlist_container(OpenRun, node, iter.cur);

		if (++n > OPEN_RUNS && run->pins == 0)
			close_run(run);
	}
}

static OpenRun *
open_run(Oid server_oid, const LsmRun *lsm_run)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault run",
												  ALLOCSET_DEFAULT_SIZES);
	OpenRun    *run = MemoryContextAllocZero(context, sizeof(OpenRun));
	OpenRunKey	key;
	OpenRunEntry *entry;
	bool		found;
	SvError		err;

	run->context = context;
	run->alloc = pg_status_alloc(context);
	run->server_oid = server_oid;
	run->object = MemoryContextStrdup(context, lsm_run->object);
	run->source = (SstSource) {.read = read_range,.state = run,.name = run->object};
	if (sst_reader_open(&run->reader, &run->source, lsm_run->file_bytes, lsm_run->tail_bytes,
						&run->alloc, &err) != SV_OK)
		run_fail(run, &err);

	strlcpy(key.object, run->object, sizeof(key.object));
	entry = hash_search(open_run_table, &key, HASH_ENTER, &found);
	entry->run = run;

	/* Complete: nothing that fails can leak it any more. */
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_head(&open_runs, &run->node);
	evict();
	return run;
}

static OpenRun *
get_open_run(Oid server_oid, const LsmRun *lsm_run)
{
	OpenRunKey	key;
	OpenRunEntry *entry;

	if (open_run_table == NULL)
		open_runs_init();
	if (strlen(lsm_run->object) >= sizeof(key.object))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("object name \"%s\" in the registry is too long", lsm_run->object)));
	strlcpy(key.object, lsm_run->object, sizeof(key.object));
	entry = hash_search(open_run_table, &key, HASH_FIND, NULL);
	if (entry == NULL)
		return open_run(server_oid, lsm_run);
	dlist_move_head(&open_runs, &entry->run->node);
	return entry->run;
}

bool
forest_run_get(Oid server_oid, const LsmSourceRun *source, SvSlice key, SstEntry *entry)
{
	static SvBuffer scratch = {.alloc = &sv_malloc_alloc};
	uint8_t		walkey[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES];
	SvSlice		run_key = key;
	OpenRun    *run = get_open_run(server_oid, source->run);
	SvStatus	status;
	SvError		err;

	if (source->run->tier == LSM_WAL)
	{
		lsm_walkey_prefix(walkey, source->part->table_id);
		memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
		run_key = sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + key.len);
	}

	if (scratch.capacity > SCRATCH_KEPT_BYTES)
	{
		sv_buffer_free(&scratch);
		sv_buffer_init(&scratch, &sv_malloc_alloc);
	}
	status = sst_reader_get(run->reader, run_key, entry, &scratch, &err);
	if (status == SV_NOT_FOUND)
		return false;
	if (status != SV_OK)
		run_fail(run, &err);
	entry->key = key;
	return true;
}

static void
iterator_release(void *arg)
{
	ForestRunIterator *iterator = arg;

	sst_iterator_close(iterator->it);
	iterator->run->pins--;
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

ForestRunIterator *
forest_run_iterate(Oid server_oid, const LsmSourceRun *source,
				   const SvSlice *low, const SvSlice *high, bool backward)
{
	ForestRunIterator *iterator = palloc(sizeof(ForestRunIterator));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));
	SvSlice		wal_low;
	SvSlice		wal_high;
	SvError		err;

	iterator->run = get_open_run(server_oid, source->run);
	iterator->is_wal = source->run->tier == LSM_WAL;
	if (iterator->is_wal)
	{
		wal_low = wal_bound(source->part->table_id, low, false);
		wal_high = wal_bound(source->part->table_id, high, true);
		low = &wal_low;
		high = &wal_high;
	}
	if (sst_iterator_open(&iterator->it, iterator->run->reader, low, high, backward, &err) != SV_OK)
		run_fail(iterator->run, &err);

	iterator->run->pins++;
	callback->func = iterator_release;
	callback->arg = iterator;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return iterator;
}

static SvStatus
iterator_next(void *state, SstEntry *entry, SvError *err)
{
	ForestRunIterator *iterator = state;
	SvStatus	status = sst_iterator_next(iterator->it, entry, err);

	if (status == SV_OK && iterator->is_wal)
		entry->key = lsm_walkey_key(entry->key);
	else if (status != SV_OK && status != SV_NOT_FOUND)
		run_fail(iterator->run, err);
	return status;
}

LsmSource
forest_run_source(ForestRunIterator *iterator)
{
	return (LsmSource) {.next = iterator_next,.state = iterator};
}
