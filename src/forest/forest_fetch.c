/*
 * forest_fetch.c
 *		See forest_fetch.h.
 */
#include "postgres.h"

#include "forest/forest_fetch.h"

#include "cache/run_stream.h"
#include "executor/executor.h"
#include "forest/forest_meter.h"
#include "forest/forest_store.h"
#include "server/pg_cache.h"
#include "server/pg_compat.h"
#include "server/stop_point.h"
#include "store/store_together.h"

/* Of stored blocks, the most that a scan of a remote store reads ahead in a window. */
#define REMOTE_AHEAD_BYTES ((size_t) 8 * 1024 * 1024)

static ExecutorRun_hook_type previous_hook = NULL;
static int	run_depth = 0;		/* of ExecutorRun */
static bool any_begun = false;	/* since the outermost began */

/* ---- many at once ---- */

static StoreRange
store_range(const RunRange *range)
{
	return (StoreRange) {
		.name = range->run->source.name,.offset = range->offset,.len = range->len,.dst = range->dst,
		.object_bytes = range->run->file_bytes,.there = range->there
	};
}

static Oid
server_of(const ForestFetch *fetch, const RunRange *range)
{
	const ForestRunStore *store = range->run->source.state;

	return store != NULL ? store->server_oid : fetch->server_oid;
}

static ObjectStore *
store_of(const ForestFetch *fetch, const RunRange *range)
{
	const ForestRunStore *store = range->run->source.state;

	return store != NULL ? store->store : fetch->store;
}

/* A get of one server's store. */
typedef struct ServerGet
{
	Oid			server_oid;
	StoreCall	call;
} ServerGet;

static void
init_get(StoreGet *get, ServerGet *server, Oid server_oid, ObjectStore *store, const StoreRange *ranges,
		 const RunReading *reading)
{
	server->server_oid = server_oid;
	server->call = *forest_store_call(server_oid, STORE_FOREGROUND);
	if (reading != NULL)
	{
		server->call.passing = reading->passing;
		server->call.progress = reading->progress;
		server->call.progress_state = reading->state;
	}
	*get = (StoreGet) {.store = store,.ranges = ranges,.call = &server->call};
}

/* The ranges in order of their stores; returns how many stores there are.  There is room for n. */
static int
sort_by_store(ForestFetch *fetch, const RunRange *ranges, uint32 n, const RunReading *reading, StoreRange *sorted,
			  StoreGet *gets, ServerGet *servers)
{
	uint32		done = 0;
	int			ngets = 0;

	for (uint32 i = 0; i < n && done < n; i++)
	{
		ObjectStore *store = store_of(fetch, &ranges[i]);
		StoreGet   *get = &gets[ngets];
		int			known = 0;

		while (known < ngets && gets[known].store != store)
			known++;
		if (known < ngets)
			continue;
		init_get(get, &servers[ngets++], server_of(fetch, &ranges[i]), store, sorted + done, reading);
		for (uint32 j = i; j < n; j++)
			if (store_of(fetch, &ranges[j]) == store)
			{
				sorted[done++] = store_range(&ranges[j]);
				get->nranges++;
			}
	}
	return ngets;
}

static SvStatus
get_from_stores(ForestFetch *fetch, const StoreGet *gets, const ServerGet *servers, int n, SvError *err)
{
	int			which = 0;
	int			failed = -1;
	SvStatus	status;

	STOP_POINT_IN_LOAD("run-read");
	if (n == 1)
		status = store_get(gets[0].store, gets[0].ranges, gets[0].nranges, &failed, gets[0].call, err);
	else
		status = store_get_together(gets, n, &which, &failed, err);
	if (status == SV_OK)
		return SV_OK;
	fetch->object = gets[which].ranges[Max(failed, 0)].name;
	fetch->object_server = servers[which].server_oid;
	/* Below, not found would mean that a key is absent. */
	if (status == SV_NOT_FOUND)
		status = sv_fail(err, SV_CORRUPT, "object \"%s\" is missing from the store", fetch->object);
	return status;
}

/* How many of the ranges are blocks: not tails, nor pieces of many blocks of a scan that goes by the cache. */
static uint32
count_blocks(const RunRange *ranges, uint32 n, const RunReading *reading)
{
	uint32		blocks = 0;

	for (uint32 i = 0; i < n; i++)
		blocks += ranges[i].offset < ranges[i].run->file_bytes - ranges[i].run->tail_bytes &&
			(reading == NULL || !reading->passing || ranges[i].there != NULL);
	return blocks;
}

static SvStatus
read_ranges(void *state, const RunRange *ranges, uint32_t n, const RunReading *reading, SvError *err)
{
	ForestFetch *fetch = state;
	StoreRange *sorted = malloc(n * sizeof(StoreRange));
	StoreGet   *gets = malloc(n * sizeof(StoreGet));
	ServerGet  *servers = malloc(n * sizeof(ServerGet));
	ForestMeterCall meter;
	SvStatus	status;

	fetch->object = ranges[0].run->source.name;
	fetch->object_server = server_of(fetch, &ranges[0]);
	if (sorted == NULL || gets == NULL || servers == NULL)
		status = sv_fail(err, SV_NO_MEMORY, "out of memory for reading %u ranges", n);
	else
	{
		int			ngets = sort_by_store(fetch, ranges, n, reading, sorted, gets, servers);

		forest_meter_call_begin(&meter);
		status = get_from_stores(fetch, gets, servers, ngets, err);
		forest_meter_call_end(&meter, count_blocks(ranges, n, reading));
	}
	free(sorted);
	free(gets);
	free(servers);
	return status;
}

RunFetcher
forest_fetcher(ForestFetch *fetch)
{
	return (RunFetcher) {.read = read_ranges,.state = fetch};
}

/* ---- ahead of a scan ---- */

static SvStatus
begin_range(void *state, const RunRange *range, void **begun, SvError *err)
{
	ForestFetch *fetch = state;
	StoreRange	asked = store_range(range);
	StoreFetch *store_fetch;
	SvStatus	status;

	STOP_POINT_IN_LOAD("run-begin");
	status = store_fetch_begin(fetch->store, &asked, &store_fetch,
							   forest_store_call(fetch->server_oid, STORE_FOREGROUND), err);
	any_begun = any_begun || store_fetch != NULL;
	*begun = store_fetch;
	return status;
}

static void
drive_range(void *state, void *begun)
{
	store_fetch_drive(begun);
}

static SvStatus
finish_range(void *state, void *begun, SvError *err)
{
	ForestFetch *fetch = state;
	ForestMeterCall meter;
	SvStatus	status;

	STOP_POINT_IN_LOAD("run-finish");
	forest_meter_call_begin(&meter);
	status = store_fetch_finish(begun, forest_store_call(fetch->server_oid, STORE_FOREGROUND), err);
	forest_meter_call_end(&meter, 0);
	return status;
}

static void
drop_range(void *state, void *begun)
{
	store_fetch_drop(begun);
}

RunFetcher
forest_fetcher_ahead(ForestFetch *fetch)
{
	/* Where nothing begins, windows of several ranges side by side are better. */
	if ((store_capabilities(fetch->store) & STORE_CAN_FETCH_AHEAD) == 0)
		return (RunFetcher) {.read = read_ranges,.state = fetch,.ahead_bytes = REMOTE_AHEAD_BYTES};
	return (RunFetcher) {
		.read = read_ranges,.state = fetch,.ahead_bytes = REMOTE_AHEAD_BYTES,
		.begin = begin_range,.drive = drive_range,.finish = finish_range,.drop = drop_range
	};
}

/* ---- when nothing may be under way ---- */

void
forest_fetch_look_around(void)
{
	pg_caches()->may_leave_under_way = run_depth > 0;
}

/* No I/O but closing sockets, and nothing that may fail. */
static void
leave_executor(void)
{
	if (--run_depth > 0 || !any_begun)
		return;
	run_streams_pause(pg_caches());
	any_begun = false;
}

static void
run_executor(QueryDesc *query, ScanDirection direction, uint64 count COMPAT_EXECUTE_ONCE_PARAMETER)
{
	run_depth++;
	PG_TRY();
	{
		if (previous_hook != NULL)
			previous_hook(query, direction, count COMPAT_EXECUTE_ONCE);
		else
			standard_ExecutorRun(query, direction, count COMPAT_EXECUTE_ONCE);
	}
	PG_CATCH();
	{
		leave_executor();
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave_executor();
}

void
forest_fetch_install_hook(void)
{
	previous_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_executor;
}
