/*
 * cache_wait.h
 *		What the caches share: names of runs, and waiting for another process's
 *		load.
 */
#ifndef CACHE_WAIT_H
#define CACHE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sv_status.h"

/*
 * A run's identity: 128 bits of hash of its object's name and of the store
 * that holds it.  Names are never reused, so nothing is ever invalidated.
 */
typedef struct CacheRunId
{
	uint64_t	hi;
	uint64_t	lo;
} CacheRunId;

static inline bool
cache_run_id_equal(CacheRunId a, CacheRunId b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

static inline int
cache_run_id_compare(CacheRunId a, CacheRunId b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return (a.lo > b.lo) - (a.lo < b.lo);
}

/* Loads in progress are waited for on one of so many channels. */
#define CACHE_WAIT_CHANNELS 128

/*
 * How a process waits and wakes; under Postgres a condition variable a
 * channel.  prepare, then look again, then sleep, in a loop; then cancel.  sleep may
 * return early; SV_CANCELLED means that the process must give up.  wake wakes
 * all who prepared.  None of them longjmps.
 */
typedef struct CacheWaiter
{
	void		(*prepare) (void *state, uint32_t channel);
	SvStatus	(*sleep) (void *state, uint32_t channel, SvError *err);
	void		(*cancel) (void *state, uint32_t channel);
	void		(*wake) (void *state, uint32_t channel);
	void	   *state;
} CacheWaiter;

/* What somebody who wants to load something is told. */
typedef enum CacheClaim
{
	CACHE_PRESENT,				/* it is there by now: look again */
	CACHE_LOADING,				/* another process loads it: wait on the channel, then claim again */
	CACHE_LOAD,					/* the caller loads it: publish or abandon must follow */
	CACHE_NO_ROOM				/* use private memory */
} CacheClaim;

#endif							/* CACHE_WAIT_H */
