/*
 * cache_guard.c
 *		Who is looking at shared memory that somebody wants to use for
 *		something else?
 *
 * Why it holds.  A reader does: E load epoch (acquire); S store entered
 * (release); FR fence; then loads of what may be taken away.  Who takes away
 * does: U make unfindable; I increment epoch, whose old value is `retired`; FW
 * fence; and later, perhaps in another process that got `retired` by way of a
 * lock, P: fence and loads of all slots.
 *
 * Let P find nothing in 0 < entered <= retired in the reader's slot.  Either P
 * read something older than S.  Then FR comes after P's fence and so after FW
 * in the one order of all sequentially consistent fences, and the reader's
 * loads see U: it did not find what was taken away.  Or P read S itself, with
 * an epoch above retired.  Then E has read I or a later increment and so
 * synchronizes with it, and again the reader's loads see U.  Or P read what
 * the same process stored after S: its exit, or a later entering.  These are
 * releases, and P's load acquires: all that the reader read, it read before.
 *
 * So an entered epoch that is too old (the epoch may grow between E and S) only
 * makes P wait for somebody who would have done no harm.
 */
#include "cache/cache_guard.h"

size_t
cache_guard_bytes(uint32_t slots)
{
	return sizeof(CacheGuard) + slots * sizeof(CacheGuardSlot);
}

CacheGuard *
cache_guard_init(void *memory, uint32_t slots)
{
	CacheGuard *guard = memory;

	atomic_init(&guard->epoch, 1);
	guard->slot_count = slots;
	for (uint32_t i = 0; i < slots; i++)
	{
		atomic_init(&guard->slots[i].entered, 0);
		for (int c = 0; c < CACHE_COUNTERS; c++)
			atomic_init(&guard->slots[i].counters[c], 0);
	}
	return guard;
}

uint64_t
cache_guard_retire(CacheGuard *guard)
{
	uint64_t	retired = atomic_fetch_add_explicit(&guard->epoch, 1, memory_order_seq_cst);

	atomic_thread_fence(memory_order_seq_cst);
	return retired;
}

bool
cache_guard_passed(const CacheGuard *guard, uint64_t retired)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < guard->slot_count; i++)
	{
		uint64_t	entered = atomic_load_explicit(&guard->slots[i].entered, memory_order_acquire);

		if (entered != 0 && entered <= retired)
			return false;
	}
	return true;
}

uint64_t
cache_guard_counter(const CacheGuard *guard, CacheCounter counter)
{
	uint64_t	sum = 0;

	for (uint32_t i = 0; i < guard->slot_count; i++)
		sum += atomic_load_explicit(&guard->slots[i].counters[counter], memory_order_relaxed);
	return sum;
}
