/*
 * run_reader.h
 *		Looks up keys in a run by way of the shared caches.
 *
 * A lookup of which tail and block are cached takes no lock, no pin and no
 * allocation (but for the answer's value): guard, filter, learned index, bucket, frame,
 * copy, version.  What is missing is loaded by one process, while others that
 * want it wait, and nothing is held over I/O but a pin on the tail.
 *
 * All memory of its own comes from malloc; nothing longjmps.  One thread (or
 * process) at a time uses a RunCaches.
 */
#ifndef RUN_READER_H
#define RUN_READER_H

#include "base/sv_buffer.h"
#include "cache/block_cache.h"
#include "cache/tail_cache.h"
#include "sst/sst_iterator.h"
#include "sst/sst_load.h"

/* Tails for which the tail cache has no room; so many are kept by a process. */
#define RUN_PRIVATE_TAILS 2

/* Scans of a process that may go by the cache at once (run_stream.h). */
#define RUN_STREAMS 2

typedef struct RunPrivateTail
{
	CacheRunId	run;
	uint8_t    *memory;			/* NULL: nothing here */
	SstTail		tail;
	uint32_t	users;
} RunPrivateTail;

/* A process's way to the caches. */
typedef struct RunCaches
{
	CacheGuard *guard;
	uint32_t	slot;			/* of this process, in the guard */
	BlockCache *blocks;
	TailCache  *tails;
	CacheWaiter waiter;

	/* for run_reader.c and run_access.c */
	SstLoader  *loader;
	SvBuffer	block;			/* a block that was loaded just now */
	SvBuffer	stored;			/* stored blocks of a round of loads: see run_loads.h */
	uint32_t	scans_ahead;	/* open scans that read ahead */
	struct RunStream *streams[RUN_STREAMS]; /* NULL: not needed yet */
	bool		may_leave_under_way;	/* a scan's requests, when a call returns; the process sets it */
	RunPrivateTail private_tails[RUN_PRIVATE_TAILS];
	uint32_t	next_private;
} RunCaches;

/* Sets the fields of its own; the caller has set the others. */
extern void run_caches_init(RunCaches *caches);
extern void run_caches_release(RunCaches *caches);

/*
 * A run to be read.  May be made for one call; source.name is its object's
 * name.  source.read may be NULL: then only what is cached is looked at.
 */
typedef struct RunReader
{
	CacheRunId	id;
	uint64_t	file_bytes;
	uint64_t	tail_bytes;
	SstSource	source;
} RunReader;

#define RUN_ABSENT 0
#define RUN_UNCACHED (-1)

typedef struct RunAnswer
{
	int			kind;			/* an SstKind, RUN_ABSENT or RUN_UNCACHED; the rest is for SstKinds */
	int64_t		expires_at;
	size_t		value_at;		/* in the buffer of values, to which it was appended */
	size_t		value_len;
} RunAnswer;

/*
 * Looks up one key.  SV_OK whether it is there or not, with RUN_UNCACHED only
 * if something had to be loaded and there is no source; else SV_CORRUPT,
 * SV_CANCELLED and what the source answers.
 */
extern SvStatus run_reader_get(RunCaches *caches, const RunReader *run, SvSlice key,
							   SvBuffer *values, RunAnswer *answer, SvError *err);

/*
 * Asks for the memory that looking up the key begins with, as far as it is
 * cached: for callers that have something else to do first.
 */
extern void run_reader_expect(RunCaches *caches, const RunReader *run, SvSlice key);

/*
 * Looks up n keys, keys[i] in runs[i], in what is cached, with many memory
 * misses in flight; answers[i] is that of keys[i].  Equal runs should be
 * neighbours.  Answers how many are RUN_UNCACHED in *uncached.  Needs no source.
 */
extern SvStatus run_reader_get_many(RunCaches *caches, const RunReader *const *runs,
									const SvSlice *keys, uint32_t n, SvBuffer *values,
									RunAnswer *answers, uint32_t *uncached, SvError *err);

/* How far a scan has read ahead: for run_fetch.c. */
typedef struct RunAhead
{
	uint32_t	first;			/* blocks that the scan is about, both inclusive */
	uint32_t	last;
	uint32_t	at;				/* the one that the scan has come to; SST_NO_BLOCK: it has not begun */
	uint32_t	next;			/* the one behind those asked for last; SST_NO_BLOCK: none was */
	uint32_t	window;			/* how many those were */
	bool		backward;
} RunAhead;

struct RunFetcher;

/*
 * A pinned tail and the blocks behind it, for an iterator: run_scan_source
 * stays good until run_scan_close, which must follow a successful open.  Holds
 * a pointer to its RunReader's source, which must outlive it.
 */
typedef struct RunScan
{
	RunCaches  *caches;
	RunReader	run;
	const SstTail *tail;
	RunPrivateTail *private_tail;
	const struct RunFetcher *fetcher;	/* NULL: does not read ahead */
	RunAhead	ahead;
	bool		passing;		/* reads more than its share of the cache, and may go by it */
	uint64_t	went;			/* stored bytes of what it has gone through */
	struct RunStream *stream;	/* by which it goes by the cache; NULL: it does not, or not yet */

	/*
	 * Scans, itself among them, whose next windows may be read with one of its own,
	 * by its fetcher.  Set by its caller before each block, and good for that call.
	 */
	struct RunScan *const *together;
	uint32_t	n_together;
	bool		alone;			/* that has failed: for what is wrong with another one */
} RunScan;

extern SvStatus run_scan_open(RunScan *scan, RunCaches *caches, const RunReader *run, SvError *err);
extern SstBlockSource run_scan_source(RunScan *scan);
extern void run_scan_close(RunScan *scan);

/*
 * From now on blocks are asked for by the fetcher (run_fetch.h), which must
 * outlive the scan, with some of those that follow up to the first or last one
 * that the scan is about.  went: what it has gone through already, in runs before
 * this one; passing: it is one of more than its share of the cache.
 */
extern void run_scan_read_ahead(RunScan *scan, const struct RunFetcher *fetcher, uint32_t first,
								uint32_t last, bool backward, uint64_t went, bool passing);

/*
 * Brings one block of an open scan's run into the cache, unless it is one that is
 * not kept there; *loaded says whether it was not there.
 */
extern SvStatus run_scan_warm(RunScan *scan, uint32_t block, bool *loaded, SvError *err);

/*
 * The same, with some of those that follow if the scan reads ahead: for who goes
 * over them in its order.  *loaded: how many were not there.
 */
extern SvStatus run_scan_warm_ahead(RunScan *scan, uint32_t block, uint32_t *loaded, SvError *err);

#endif							/* RUN_READER_H */
