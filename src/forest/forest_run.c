/*
 * forest_run.c
 *		Lookups: from a run of the registry to the caches, and to its store.
 *
 * The layers below must not be left by longjmp while they load something.  So
 * whatever can raise an error, as opening the store, is done before they are
 * called, and they are first asked for what is cached, which needs no store.
 */
#include "postgres.h"

#include "forest/forest_run.h"

#include "forest/forest_fetch.h"
#include "forest/forest_run_reader.h"
#include "forest/forest_store.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_status.h"

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
		reader = forest_run_reader(run, &store, server_oid);
		status = run_reader_get(pg_caches(), &reader, run_key, values, answer, &err);
	}
	if (status != SV_OK)
		forest_run_fail(server_oid, run->object, &err);
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
			forest_run_reader(runs[i], take_room(scratch, sizeof(ForestRunStore)), server_at(servers, i)) :
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
	forest_run_fail(server_oid, object, err);
}

/* So that no handle is closed while it is in a reader. */
static void
open_stores(const Servers *servers, uint32 n)
{
	if (servers->each != NULL)
		forest_stores_open(servers->each, n);
	else
		forest_stores_open(&servers->one, 1);
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
