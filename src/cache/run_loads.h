/*
 * run_loads.h
 *		Blocks that are claimed, asked for together and published: for
 *		run_fetch.c and run_ahead.c.
 *
 * Every load that was added is ended: by run_loads_take, or by run_loads_drop
 * for all that were not taken.  Between adding the first and ending the last
 * nothing waits for other processes.
 *
 * The stored bytes of a round lie in the RunCaches' buffer, since a process has
 * one round at a time.  It is kept from round to round, and while a scan that reads
 * ahead is open, so that its windows need no fresh memory each: at most
 * RUN_LOADS_KEPT_BYTES of a process, however many scans and idle cursors it has,
 * and nothing once they are closed.
 */
#ifndef RUN_LOADS_H
#define RUN_LOADS_H

#include "cache/run_fetch.h"

/*
 * So many blocks, or stored bytes, are asked for in one round, but at least one
 * block: of a scan that reads ahead, and of many lookups, whose blocks lie apart, so
 * that fewer of them make one request.
 */
#define RUN_LOADS_AHEAD 512
#define RUN_LOADS_MANY	4096
#define RUN_LOADS_MAX_BYTES ((size_t) 16 * 1024 * 1024)
#define RUN_LOADS_KEPT_BYTES ((size_t) 8 * 1024 * 1024)

typedef struct RunLoad
{
	const RunReader *run;
	const SstTail *tail;
	uint32_t	block;
	uint32_t	first_key;		/* the caller's: of those that it is for */
	uint32_t	end_key;
	bool		claimed;		/* and so to be published; else the cache has no room */
	BlockFill	fill;
	size_t		at;				/* of the stored bytes */
	size_t		stored_bytes;
	bool		there;			/* told by the fetcher, perhaps while it reads others */
	bool		taken;
} RunLoad;

typedef struct RunLoads
{
	RunCaches  *caches;
	uint32_t	n;
	uint32_t	most;			/* that there is room for */
	uint32_t	rounds;			/* that needed more room than there was */
	size_t		bytes;			/* of all stored blocks */
	RunLoad    *list;
	RunRange   *ranges;
} RunLoads;

/* Room for so many.  NULL: there is no memory.  Freed by run_loads_destroy, which drops what is left. */
extern RunLoads *run_loads_create(RunCaches *caches, uint32_t most, SvError *err);
extern void run_loads_destroy(RunLoads *loads);

/* Whether there is room for one more of so many stored bytes. */
extern bool run_loads_have_room(const RunLoads *loads, size_t stored_bytes, size_t max_bytes);

/*
 * Claims a block that was not found in the cache.  CACHE_LOAD and CACHE_NO_ROOM:
 * it was added, and is the last of the list.
 */
extern CacheClaim run_loads_add(RunLoads *loads, const RunReader *run, const SstTail *tail, uint32_t block);

/* The last one, which the cache has no room for (CACHE_NO_ROOM), is none after all. */
extern void run_loads_undo(RunLoads *loads);

/*
 * Reads all that were added; reading (may be NULL) goes to the fetcher, and its
 * progress callback may take loads that are there.  If the read fails, all that
 * were not taken are dropped.
 */
extern SvStatus run_loads_read(RunLoads *loads, const RunFetcher *fetcher, const RunReading *reading, SvError *err);

/*
 * Settles one that was read into caches->block, and publishes it; once, in any
 * order.  If it is damaged, it and all that are left are still to be dropped: not
 * here, since others may be under way into their buffer.
 */
extern SvStatus run_loads_take(RunLoads *loads, uint32_t i, SvError *err);

/* Ends whatever was not taken, and begins anew. */
extern void run_loads_drop(RunLoads *loads);

#endif							/* RUN_LOADS_H */
