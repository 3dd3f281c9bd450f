/*
 * cache_lock.c
 *		Waiting for a lock that is held for a few dozen instructions.
 *
 * First by spinning, which is all it takes while the holder runs; then by
 * giving the processor away, since the holder must have lost its own; and then
 * by sleeping, in case the holder has a lower priority.
 */
#include "cache/cache_lock.h"

#include <sched.h>
#include <time.h>

#define SPINS 200
#define YIELDS 50
#define SLEEP_NS 100000

void
cache_lock_contended(CacheLock *lock)
{
	static const struct timespec pause = {0, SLEEP_NS};

	for (uint32_t round = 0;; round++)
	{
		for (int spin = 0; spin < SPINS; spin++)
		{
			if (atomic_load_explicit(&lock->held, memory_order_relaxed) == 0 &&
				atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) == 0)
				return;
			cache_pause();
		}
		if (round < YIELDS)
			sched_yield();
		else
			nanosleep(&pause, NULL);
	}
}
