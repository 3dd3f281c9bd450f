/*
 * forest_fetch.h
 *		How runs' ranges are asked of their store: many at once, and ahead of a scan.
 *
 * Nothing is under way when the outermost ExecutorRun of a process returns, or is
 * left by an error: a cursor that nobody fetches from holds no connection.  While it
 * runs, what is under way belongs to a scan, and ends with it.
 */
#ifndef FOREST_FETCH_H
#define FOREST_FETCH_H

#include "postgres.h"

#include "cache/run_fetch.h"
#include "store/object_store.h"

/* Where a run is read from: the state of its RunReader's source.  Valid until the handle is. */
typedef struct ForestRunStore
{
	Oid			server_oid;
	ObjectStore *store;
	const char *object;
	uint64		object_bytes;
	uint64		tail_at;		/* before it there are blocks */
} ForestRunStore;

/* The store of a RunFetcher, for runs whose source says no other: valid until the handle is. */
typedef struct ForestFetch
{
	Oid			server_oid;
	ObjectStore *store;
	const char *object;			/* one that could not be read */
	Oid			object_server;	/* where it is */
} ForestFetch;

/* Of many ranges at once, also of several stores: these are asked side by side. */
extern RunFetcher forest_fetcher(ForestFetch *fetch);

/* Of a scan that reads ahead. */
extern RunFetcher forest_fetcher_ahead(ForestFetch *fetch);

/* Before each block of such a scan: tells the caches whether it may leave something under way. */
extern void forest_fetch_look_around(void);

/* Chains ExecutorRun_hook. */
extern void forest_fetch_install_hook(void);

#endif							/* FOREST_FETCH_H */
