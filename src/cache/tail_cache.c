/*
 * tail_cache.c
 *		Tails of runs in shared memory: finding, loading, letting go.
 *
 * An entry goes from free to loading, to ready, to going, and to free again.
 * From loading on it is in the chain of its bucket, where lookups pass it; when
 * it begins to go it is taken out, but stays as it is, because lookups may be
 * standing on it: until all of them have left the guard and all pins are gone.
 * Only then its pages and itself are used again.  Which of the unpinned ones go
 * is found by a clock hand that moves over the pages, so that those that go
 * together leave one hole.
 *
 * Chains, pages and lists are changed under the lock.  An entry's state and
 * its pins are one atomic word, so that pinning and letting go exclude each
 * other without it.
 */
#include "cache/tail_cache.h"

#include <sched.h>
#include <string.h>

#include "cache/cache_lock.h"
#include "cache/tail_arena.h"

#define PAGE_BYTES 4096

/* Entries are made for tails of four pages on average. */
#define PAGES_PER_ENTRY 4
#define MAX_ENTRIES 65536

#define NO_ENTRY UINT32_MAX

/* Accesses are counted up to this; the clock hand counts them down. */
#define USED_MAX 3

/* How often a claim looks whether those have left the guard whom it waits for. */
#define PATIENCE 20
#define PAUSES 50

/* The word: the state in the upper half, pins in the lower. */
#define STATE_FREE ((uint64_t) 0 << 32)
#define STATE_LOADING ((uint64_t) 1 << 32)
#define STATE_READY ((uint64_t) 2 << 32)
#define STATE_GOING ((uint64_t) 3 << 32)
#define STATE_OF(word) ((word) >> 32 << 32)
#define PINS_OF(word) ((uint32_t) (word))

typedef struct TailEntry
{
	_Alignas(64) CacheRunId run;	/* fixed while a lookup may get here */
	_Atomic uint32_t next;		/* of the bucket's chain */
	_Atomic uint8_t used;
	_Atomic uint64_t word;
	uint64_t	retired;		/* going: the epoch that must have passed */
	uint32_t	link;			/* of the list of free or of going ones */
	size_t		bytes;
	SstTail		tail;			/* from ready on */
} TailEntry;

struct TailCache
{
	CacheGuard *guard;
	CachePages *memory;			/* may be NULL */
	uint32_t	entry_count;
	uint32_t	bucket_mask;
	_Atomic uint32_t *buckets;
	TailEntry  *entries;
	uint8_t    *pages;

	/* the rest under the lock, but for reading the counters */
	_Alignas(128) CacheLock lock;
	TailArena	arena;			/* extents have the numbers of entries */
	uint32_t	free;
	uint32_t	going;
	uint32_t	hand;			/* the extent that the clock hand looks at next */
	_Atomic uint64_t bytes_used;
	_Atomic uint64_t evictions;
};

typedef struct RegionLayout
{
	uint32_t	pages;
	uint32_t	entries;
	uint32_t	buckets;
	size_t		buckets_at;
	size_t		entries_at;
	size_t		extents_at;
	size_t		pages_at;
	size_t		bytes;
} RegionLayout;

static size_t
align_to(size_t n, size_t alignment)
{
	return (n + alignment - 1) & ~(alignment - 1);
}

static RegionLayout
region_layout(size_t cache_bytes)
{
	size_t		pages = cache_bytes / PAGE_BYTES;
	RegionLayout layout = {.pages = pages < UINT32_MAX ? (uint32_t) pages : UINT32_MAX - 1};

	layout.entries = layout.pages / PAGES_PER_ENTRY < MAX_ENTRIES ?
		layout.pages / PAGES_PER_ENTRY : MAX_ENTRIES;
	for (layout.buckets = 1; layout.buckets < layout.entries;)
		layout.buckets *= 2;
	layout.buckets_at = align_to(sizeof(TailCache), 64);
	layout.entries_at = align_to(layout.buckets_at + layout.buckets * sizeof(uint32_t), 64);
	layout.extents_at = layout.entries_at + layout.entries * sizeof(TailEntry);
	layout.pages_at = align_to(layout.extents_at + tail_arena_bytes(layout.entries), PAGE_BYTES);
	layout.bytes = layout.pages_at + (size_t) layout.pages * PAGE_BYTES;
	return layout;
}

size_t
tail_cache_region_bytes(size_t cache_bytes)
{
	return region_layout(cache_bytes).bytes;
}

TailCache *
tail_cache_init(void *region, size_t cache_bytes, CacheGuard *guard, CachePages *pages)
{
	RegionLayout layout = region_layout(cache_bytes);
	uint8_t    *base = region;
	TailCache  *cache = region;

	cache_pages_ask(pages, region, layout.pages_at);
	memset(base, 0, layout.extents_at);
	cache->guard = guard;
	cache->memory = pages;
	cache->entry_count = layout.entries;
	cache->bucket_mask = layout.buckets - 1;
	cache->buckets = (_Atomic uint32_t *) (base + layout.buckets_at);
	cache->entries = (TailEntry *) (base + layout.entries_at);
	cache->pages = base + layout.pages_at;
	tail_arena_init(&cache->arena, base + layout.extents_at, layout.entries, layout.pages);
	cache->going = NO_ENTRY;
	cache->hand = layout.entries;
	for (uint32_t i = 0; i < layout.buckets; i++)
		atomic_init(&cache->buckets[i], NO_ENTRY);
	for (uint32_t i = 0; i < layout.entries; i++)
		cache->entries[i].link = i + 1 < layout.entries ? i + 1 : NO_ENTRY;
	return cache;
}

static _Atomic uint32_t *
bucket_of(const TailCache *cache, CacheRunId run)
{
	return &cache->buckets[run.lo & cache->bucket_mask];
}

/* Inside the guard or under the lock.  Loading or ready; or going, if it was when looked at. */
static TailEntry *
find_entry(const TailCache *cache, CacheRunId run)
{
	uint32_t	at = atomic_load_explicit(bucket_of(cache, run), memory_order_acquire);

	while (at != NO_ENTRY)
	{
		TailEntry  *entry = &cache->entries[at];

		if (cache_run_id_equal(entry->run, run))
			return entry;
		at = atomic_load_explicit(&entry->next, memory_order_acquire);
	}
	return NULL;
}

static void
mark_used(TailEntry *entry)
{
	uint8_t		used = atomic_load_explicit(&entry->used, memory_order_relaxed);

	if (used < USED_MAX)
		atomic_store_explicit(&entry->used, used + 1, memory_order_relaxed);
}

const SstTail *
tail_cache_find(TailCache *cache, CacheRunId run)
{
	TailEntry  *entry = find_entry(cache, run);

	if (entry == NULL ||
		STATE_OF(atomic_load_explicit(&entry->word, memory_order_acquire)) != STATE_READY)
		return NULL;
	mark_used(entry);
	return &entry->tail;
}

static bool
pin_entry(TailEntry *entry)
{
	uint64_t	word = atomic_load_explicit(&entry->word, memory_order_relaxed);

	do
	{
		if (STATE_OF(word) != STATE_READY)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&entry->word, &word, word + 1,
													memory_order_acq_rel, memory_order_relaxed));
	return true;
}

const SstTail *
tail_cache_pin(TailCache *cache, uint32_t guard_slot, CacheRunId run)
{
	const SstTail *tail = NULL;
	TailEntry  *entry;

	cache_guard_enter(cache->guard, guard_slot);
	entry = find_entry(cache, run);
	if (entry != NULL && pin_entry(entry))
	{
		mark_used(entry);
		tail = &entry->tail;
	}
	cache_guard_exit(cache->guard, guard_slot);
	return tail;
}

void
tail_cache_unpin(TailCache *cache, const SstTail *tail)
{
	size_t		at = (size_t) ((const uint8_t *) tail - (const uint8_t *) cache->entries);

	atomic_fetch_sub_explicit(&cache->entries[at / sizeof(TailEntry)].word, 1,
							  memory_order_release);
}

static void
count(_Atomic uint64_t *counter, uint64_t change)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + change,
						  memory_order_relaxed);
}

/* Makes an entry unfindable that is in state GOING by now.  cache_guard_retire must follow. */
static void
unlink_entry(TailCache *cache, TailEntry *entry)
{
	uint32_t	number = (uint32_t) (entry - cache->entries);
	_Atomic uint32_t *at = bucket_of(cache, entry->run);

	while (atomic_load_explicit(at, memory_order_relaxed) != number)
		at = &cache->entries[atomic_load_explicit(at, memory_order_relaxed)].next;
	/* Release, for those who get from here to an entry that they have not met on their way. */
	atomic_store_explicit(at, atomic_load_explicit(&entry->next, memory_order_relaxed),
						  memory_order_release);
	entry->retired = UINT64_MAX;
	entry->link = cache->going;
	cache->going = number;
}

/* Ends the epoch for the entries that were unlinked under this holding of the lock. */
static void
retire_unlinked(TailCache *cache)
{
	uint64_t	retired = cache_guard_retire(cache->guard);

	for (uint32_t at = cache->going;
		 at != NO_ENTRY && cache->entries[at].retired == UINT64_MAX;
		 at = cache->entries[at].link)
		cache->entries[at].retired = retired;
}

/* From ready to going; pins stay, but none is added any more. */
static bool
begin_going(TailEntry *entry)
{
	uint64_t	word = atomic_load_explicit(&entry->word, memory_order_relaxed);

	do
	{
		if (STATE_OF(word) != STATE_READY)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(&entry->word, &word,
													STATE_GOING | PINS_OF(word),
													memory_order_acq_rel, memory_order_relaxed));
	return true;
}

/* Frees those that are going and that nobody looks at any more. */
static void
reap(TailCache *cache)
{
	uint64_t	passed = 0;
	uint64_t	not_passed = UINT64_MAX;
	uint32_t   *at = &cache->going;

	while (*at != NO_ENTRY)
	{
		uint32_t	number = *at;
		TailEntry  *entry = &cache->entries[number];

		if (entry->retired > passed && entry->retired < not_passed)
		{
			if (cache_guard_passed(cache->guard, entry->retired))
				passed = entry->retired;
			else
				not_passed = entry->retired;
		}
		if (entry->retired > passed ||
			PINS_OF(atomic_load_explicit(&entry->word, memory_order_acquire)) > 0)
		{
			at = &entry->link;
			continue;
		}
		*at = entry->link;
		if (cache->hand == number)
			cache->hand = cache->arena.extents[number].after;
		count(&cache->bytes_used, -(uint64_t) cache->arena.extents[number].pages * PAGE_BYTES);
		tail_arena_remove(&cache->arena, number);
		atomic_store_explicit(&entry->word, STATE_FREE, memory_order_relaxed);
		entry->link = cache->free;
		cache->free = number;
	}
}

/* Whether the clock hand may take what is in its way; if not, its accesses count for one less. */
static bool
hand_may_take(TailEntry *entry)
{
	uint64_t	word = atomic_load_explicit(&entry->word, memory_order_relaxed);
	uint8_t		used = atomic_load_explicit(&entry->used, memory_order_relaxed);

	if (PINS_OF(word) > 0 || STATE_OF(word) == STATE_LOADING)
		return false;
	if (STATE_OF(word) == STATE_GOING || used == 0)
		return true;
	atomic_store_explicit(&entry->used, used - 1, memory_order_relaxed);
	return false;
}

/* A row of extents, with the gaps around them, from first to the one before end. */
typedef struct HandWindow
{
	uint32_t	first;
	uint32_t	end;
} HandWindow;

static uint32_t
window_pages(const TailArena *arena, const HandWindow *window)
{
	return arena->extents[window->end].first - tail_arena_gap_start(arena, window->first);
}

/*
 * Moves the hand until what lies behind it without a break is large enough, and
 * has an entry in it.  False if four rounds, after which no access is left, did
 * not bring it about.
 */
static bool
move_hand(TailCache *cache, uint32_t pages, HandWindow *window)
{
	const TailArena *arena = &cache->arena;
	uint32_t	at = cache->hand;

	window->first = at;
	for (int rounds = 0; rounds < USED_MAX + 2;)
	{
		window->end = at;
		if (window->first != at && window_pages(arena, window) >= pages)
		{
			cache->hand = at;
			return true;
		}
		if (at == arena->limit)
			rounds++;
		if (at == arena->limit || !hand_may_take(&cache->entries[at]))
			window->first = arena->extents[at].after;
		at = arena->extents[at].after;
	}
	return false;
}

/*
 * Evicts entries that lie side by side, so that with the gaps between there
 * will be room.  False if there are none, however little they are used.
 */
static bool
evict(TailCache *cache, uint32_t pages)
{
	const TailArena *arena = &cache->arena;
	HandWindow	window;
	uint32_t	second;

	if (!move_hand(cache, pages, &window))
		return false;
	/* Not more than needed: what the window began with may stay. */
	while ((second = arena->extents[window.first].after) != window.end)
	{
		HandWindow	shorter = {.first = second,.end = window.end};

		if (window_pages(arena, &shorter) < pages)
			break;
		window = shorter;
	}
	for (uint32_t at = window.first; at != window.end; at = arena->extents[at].after)
		if (begin_going(&cache->entries[at]))
		{
			unlink_entry(cache, &cache->entries[at]);
			count(&cache->evictions, 1);
		}
	retire_unlinked(cache);
	return true;
}

static bool
place(TailCache *cache, uint32_t pages)
{
	return cache->free != NO_ENTRY && tail_arena_place(&cache->arena, cache->free, pages);
}

/* Makes the entry known for which there is room at the head of the free ones. */
static void
begin_load(TailCache *cache, CacheRunId run, size_t bytes, TailFill *fill)
{
	uint32_t	number = cache->free;
	TailEntry  *entry = &cache->entries[number];
	const TailExtent *extent = &cache->arena.extents[number];
	_Atomic uint32_t *bucket = bucket_of(cache, run);

	cache->free = entry->link;
	entry->run = run;
	entry->bytes = bytes;
	atomic_store_explicit(&entry->word, STATE_LOADING, memory_order_relaxed);
	atomic_store_explicit(&entry->used, 1, memory_order_relaxed);
	atomic_store_explicit(&entry->next, atomic_load_explicit(bucket, memory_order_relaxed),
						  memory_order_relaxed);
	atomic_store_explicit(bucket, number, memory_order_release);
	count(&cache->bytes_used, (uint64_t) extent->pages * PAGE_BYTES);
	fill->entry = number;
	fill->bytes = cache->pages + (size_t) extent->first * PAGE_BYTES;
}

/*
 * Under the lock.  Room is made once, at the first try: *again says that it
 * was, but that somebody is still looking at what was there.
 */
static CacheClaim
try_claim(TailCache *cache, CacheRunId run, size_t bytes, TailFill *fill, bool *again)
{
	const TailEntry *entry = find_entry(cache, run);
	uint32_t	pages = bytes == 0 ? 1 : (uint32_t) ((bytes - 1) / PAGE_BYTES + 1);

	if (entry != NULL)
		return STATE_OF(atomic_load_explicit(&entry->word, memory_order_acquire)) == STATE_LOADING ?
			CACHE_LOADING : CACHE_PRESENT;
	reap(cache);
	if (!place(cache, pages))
	{
		if (*again || !evict(cache, pages))
			return CACHE_NO_ROOM;
		*again = true;
		reap(cache);
		if (!place(cache, pages))
			return CACHE_NO_ROOM;
	}
	begin_load(cache, run, bytes, fill);
	return CACHE_LOAD;
}

CacheClaim
tail_cache_claim(TailCache *cache, CacheRunId run, size_t bytes, TailFill *fill)
{
	CacheClaim	claim;
	bool		again = false;

	*fill = (TailFill) {
		.channel = (uint32_t) (run.lo >> 32) % CACHE_WAIT_CHANNELS,
		.entry = NO_ENTRY
	};
	if (bytes > (size_t) cache->arena.pages * PAGE_BYTES)
		return CACHE_NO_ROOM;
	for (int tries = 0;; tries++)
	{
		cache_lock_acquire(&cache->lock);
		claim = try_claim(cache, run, bytes, fill, &again);
		cache_lock_release(&cache->lock);
		if (claim == CACHE_LOAD)
			cache_pages_ask(cache->memory, fill->bytes, bytes);
		if (claim != CACHE_NO_ROOM || !again || tries == PATIENCE)
			return claim;
		for (int i = 0; i < PAUSES; i++)
			cache_pause();
		if (tries >= PATIENCE / 2)
			sched_yield();
	}
}

const SstTail *
tail_cache_publish(TailCache *cache, const TailFill *fill, const SstTail *tail,
				   const CacheWaiter *waiter)
{
	TailEntry  *entry = &cache->entries[fill->entry];

	entry->tail = *tail;
	atomic_store_explicit(&entry->word, STATE_READY | 1, memory_order_release);
	waiter->wake(waiter->state, fill->channel);
	return &entry->tail;
}

/* Lookups may be passing it, so that it goes the way of the others. */
void
tail_cache_abandon(TailCache *cache, const TailFill *fill, const CacheWaiter *waiter)
{
	TailEntry  *entry = &cache->entries[fill->entry];

	cache_lock_acquire(&cache->lock);
	atomic_store_explicit(&entry->word, STATE_GOING, memory_order_relaxed);
	unlink_entry(cache, entry);
	retire_unlinked(cache);
	cache_lock_release(&cache->lock);
	waiter->wake(waiter->state, fill->channel);
}

void
tail_cache_drop_run(TailCache *cache, CacheRunId run)
{
	TailEntry  *entry;

	cache_lock_acquire(&cache->lock);
	entry = find_entry(cache, run);
	if (entry != NULL && begin_going(entry))
	{
		unlink_entry(cache, entry);
		retire_unlinked(cache);
	}
	reap(cache);
	cache_lock_release(&cache->lock);
}

/* The lock is a part of the cache that even readers change. */
void
tail_cache_walk(const TailCache *cache, void (*visit) (void *state, const TailCacheItem *item),
				void *state)
{
	CacheLock  *lock = (CacheLock *) &cache->lock;

	for (uint32_t i = 0; i < cache->entry_count; i++)
	{
		const TailEntry *entry = &cache->entries[i];
		TailCacheItem item;
		uint64_t	word;

		cache_lock_acquire(lock);
		word = atomic_load_explicit(&entry->word, memory_order_relaxed);
		item = (TailCacheItem) {.run = entry->run,.bytes = entry->bytes,.pins = PINS_OF(word)};
		cache_lock_release(lock);
		if (STATE_OF(word) == STATE_READY)
			visit(state, &item);
	}
}

void
tail_cache_stats(const TailCache *cache, TailCacheStats *stats)
{
	*stats = (TailCacheStats) {
		.bytes = (uint64_t) cache->arena.pages * PAGE_BYTES,
		.bytes_used = atomic_load_explicit(&cache->bytes_used, memory_order_relaxed),
		.evictions = atomic_load_explicit(&cache->evictions, memory_order_relaxed)
	};
}
