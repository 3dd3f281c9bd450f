/*
 * cache_lock.h
 *		A lock in shared memory for a few dozen instructions.
 *
 * Free when zero.  Nobody does I/O, sleeps or longjmps under it, and one
 * process holds one at a time, so there is no order among them.
 */
#ifndef CACHE_LOCK_H
#define CACHE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct CacheLock
{
	_Atomic uint32_t held;
} CacheLock;

/* What a process that met a held lock does until it is its own. */
extern void cache_lock_contended(CacheLock *lock);

static inline void
cache_lock_acquire(CacheLock *lock)
{
	if (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire) != 0)
		cache_lock_contended(lock);
}

static inline void
cache_lock_release(CacheLock *lock)
{
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/* Tells the processor that this is a loop that waits. */
static inline void
cache_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#endif
}

#endif							/* CACHE_LOCK_H */
