/*
 * cache_guard.h
 *		Who is looking at shared memory that somebody wants to use for
 *		something else?
 *
 * Readers take no lock and no pin.  Before a process looks at something that
 * can be taken away (a tail), it enters the guard: one store into a line of
 * its own.  Who takes something away first makes it unfindable, then retires
 * it, and gives its memory to others only once every process that was inside
 * at that moment has left.
 *
 * Between enter and exit a process does no I/O, does not wait, and does not
 * longjmp.  A process that is killed in between leaves the guard entered for
 * ever: under Postgres shared memory is then made anew.
 *
 * The same lines hold each process's counters, so that counting is free.
 * Everything lives in memory that all processes share; C11 atomics, no locks.
 */
#ifndef CACHE_GUARD_H
#define CACHE_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What lookups of one process have met, since the start. */
typedef enum CacheCounter
{
	CACHE_BLOCK_HIT,
	CACHE_BLOCK_MISS,			/* loaded by this process */
	CACHE_BLOCK_WAIT,			/* loaded by another, waited for */
	CACHE_BLOCK_BYPASS,			/* too large, or no frame to be had */
	CACHE_TAIL_MISS,
	CACHE_TAIL_PRIVATE,			/* no room in the tail cache: read into private memory */
	CACHE_FILTER_NEGATIVE,		/* the filter saved a lookup */
	CACHE_FILTER_FALSE,			/* the filter let a key pass that is not in the run */
	CACHE_BLOCK_STREAMED,		/* read past the cache, with its neighbours, by a large scan */
	CACHE_MODEL_LOOKUP,			/* a key found its block, or that there is none, by the run's index */
	CACHE_MODEL_FALLBACK,		/* without a model: it came to a leaf that is searched, or there is no learned index */
	CACHE_COUNTERS
} CacheCounter;

/* A process's line: written by it alone. */
typedef struct CacheGuardSlot
{
	_Alignas(128) _Atomic uint64_t entered;	/* the epoch at entering; 0: outside */
	_Atomic uint64_t counters[CACHE_COUNTERS];
} CacheGuardSlot;

typedef struct CacheGuard
{
	_Alignas(128) _Atomic uint64_t epoch;	/* begins at 1 */
	uint32_t	slot_count;
	CacheGuardSlot slots[];
} CacheGuard;

extern size_t cache_guard_bytes(uint32_t slots);

/* memory: cache_guard_bytes(slots) bytes, aligned to 128. */
extern CacheGuard *cache_guard_init(void *memory, uint32_t slots);

/*
 * Not nested.  What the process reads afterwards was not reused before it
 * leaves.  The store must be seen before any load that follows happens, which
 * takes a full fence; cache_guard.c has the whole argument.
 */
static inline void
cache_guard_enter(CacheGuard *guard, uint32_t slot)
{
	uint64_t	epoch = atomic_load_explicit(&guard->epoch, memory_order_acquire);

	atomic_store_explicit(&guard->slots[slot].entered, epoch, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void
cache_guard_exit(CacheGuard *guard, uint32_t slot)
{
	atomic_store_explicit(&guard->slots[slot].entered, 0, memory_order_release);
}

/* Ends the epoch: what was made unfindable before this call is free once the result has passed. */
extern uint64_t cache_guard_retire(CacheGuard *guard);

/* Whether every process that may have seen what was retired has left since. */
extern bool cache_guard_passed(const CacheGuard *guard, uint64_t retired);

static inline void
cache_guard_count(CacheGuard *guard, uint32_t slot, CacheCounter counter, uint64_t n)
{
	_Atomic uint64_t *c = &guard->slots[slot].counters[counter];

	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
						  memory_order_relaxed);
}

/* Of one process, and those that had its slot before. */
static inline uint64_t
cache_guard_own_counter(const CacheGuard *guard, uint32_t slot, CacheCounter counter)
{
	return atomic_load_explicit(&guard->slots[slot].counters[counter], memory_order_relaxed);
}

/* Over all slots. */
extern uint64_t cache_guard_counter(const CacheGuard *guard, CacheCounter counter);

#endif							/* CACHE_GUARD_H */
