/*
 * run_fetch.h
 *		Loading what many lookups miss, of many runs, with few requests that run
 *		side by side; and reading ahead of a scan.
 *
 * Claims what nobody else is loading, asks for all of it at once, and ends all
 * claims before it waits for what others load: so two processes never wait for
 * each other, and each tail and block is still read by one of them.
 *
 * Memory is malloc's; nothing longjmps.
 */
#ifndef RUN_FETCH_H
#define RUN_FETCH_H

#include "cache/run_reader.h"

/* Bytes of a run's object, and where to put them. */
typedef struct RunRange
{
	const RunReader *run;
	uint64_t	offset;
	size_t		len;
	uint8_t    *dst;
	bool	   *there;			/* may be set once it is there, before the others are; NULL: nobody asks */
} RunRange;

/* How ranges are read.  NULL stands for all zero. */
typedef struct RunReading
{
	bool		passing;		/* by a scan that reads much, once */
	/* May be called while the read is under way, when ranges may be there; NULL: nobody asks. */
	void		(*progress) (void *state);
	void	   *state;
} RunReading;

/*
 * Reads all of the ranges, of one store or several, or fails; must not longjmp.
 * Ranges of a run that lie near each other may be read as one.
 */
typedef struct RunFetcher
{
	SvStatus	(*read) (void *state, const RunRange *ranges, uint32_t n, const RunReading *reading, SvError *err);
	void	   *state;
	size_t		ahead_bytes;	/* of stored blocks, the most that a scan reads ahead; 0: it does not */

	/*
	 * A range that is asked for and not waited for: as store_fetch_begin and so on
	 * (store/object_store.h).  begin NULL: there is no such thing.
	 */
	SvStatus	(*begin) (void *state, const RunRange *range, void **fetch, SvError *err);
	void		(*drive) (void *state, void *fetch);
	SvStatus	(*finish) (void *state, void *fetch, SvError *err);
	void		(*drop) (void *state, void *fetch);
} RunFetcher;

/* For sources that gain nothing by being asked for several ranges: reads each run's source. */
extern const RunFetcher run_fetch_singly;

/*
 * Answers those of n keys whose answers are RUN_UNCACHED: keys[i] in runs[i].
 * The keys of a run are neighbours and ascend.  What is missing of tails is
 * asked for at once, and then what is missing of blocks, in rounds (RUN_LOADS_MANY,
 * and a quarter of the cache).
 */
extern SvStatus run_fetch_many(RunCaches *caches, const RunFetcher *fetcher, const RunReader *const *runs,
							   const SvSlice *keys, uint32_t n, SvBuffer *values, RunAnswer *answers,
							   SvError *err);

/*
 * Brings those tails of n runs into the cache for which it has room and which
 * nobody else is loading.  *fetched: how many.
 */
extern SvStatus run_fetch_tails(RunCaches *caches, const RunFetcher *fetcher, const RunReader *const *runs,
								uint32_t n, uint32_t *fetched, SvError *err);

#endif							/* RUN_FETCH_H */
