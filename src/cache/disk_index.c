/*
 * disk_index.c
 *		Shards, chains, the list of dropped slots, the clock.
 *
 * A slot is on one of: its shard's free list (state FREE), a chain (LOADING,
 * READY).  Beside that it may be on the list of the dropped, which it leaves
 * only at the list's head: whether it still is dropped is looked at then.
 */
#include "cache/disk_index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHARDS 16
#define SLOTS_FOR_SHARDS 1024	/* fewer are one shard: a small one evicts what a large one would keep */
#define MAX_USES 3
#define CLOCK_STEPS 64			/* in one eviction; then the least used of those seen goes */

typedef enum SlotState
{
	SLOT_FREE, SLOT_LOADING, SLOT_READY
} SlotState;

typedef struct DiskSlot
{
	CacheRunId	object;
	uint32_t	number;
	uint32_t	bytes;
	uint32_t	version;
	uint32_t	next;			/* in the chain, or of the free ones */
	uint32_t	next_dropped;
	uint8_t		state;
	uint8_t		uses;
	bool		dropped;
	bool		listed;			/* on the list of the dropped */
} DiskSlot;

typedef struct DiskShard
{
	_Alignas(64) CacheLock lock;
	uint32_t	free;			/* first of the free slots */
	uint32_t	first_dropped;
	uint32_t	last_dropped;
	uint32_t	hand;			/* of the clock: the how manieth slot of the shard */
	uint32_t	slots;
	uint64_t	ranges;
	uint64_t	bytes;
	uint64_t	evictions;
} DiskShard;

struct DiskIndex
{
	uint32_t	slots;
	uint32_t	shards;
	DiskShard	shard[MAX_SHARDS];
	/* here follow slots of DiskSlot, and as many heads of chains */
};

static inline DiskSlot *
slot_array(DiskIndex *index)
{
	return (DiskSlot *) (index + 1);
}

static inline uint32_t *
heads(DiskIndex *index)
{
	return (uint32_t *) (slot_array(index) + index->slots);
}

size_t
disk_index_bytes(uint32_t slots)
{
	return sizeof(DiskIndex) + (size_t) slots * (sizeof(DiskSlot) + sizeof(uint32_t));
}

/* Objects are named by a hash already. */
static inline uint64_t
range_hash(const DiskRange *range)
{
	uint64_t	x = range->object.hi ^ (range->object.lo + (uint64_t) range->number * UINT64_C(0x9E3779B97F4A7C15));

	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	return x ^ (x >> 31);
}

static inline uint32_t
shard_of(const DiskIndex *index, const DiskRange *range)
{
	return (uint32_t) (range_hash(range) >> 40) % index->shards;
}

/* A shard's chains are its own: their heads lie as its slots do. */
static inline uint32_t *
head_of(DiskIndex *index, const DiskRange *range)
{
	uint32_t	shard = shard_of(index, range);
	uint32_t	bucket = (uint32_t) range_hash(range) % index->shard[shard].slots;

	return &heads(index)[bucket * index->shards + shard];
}

static inline DiskShard *
shard_of_slot(DiskIndex *index, uint32_t slot)
{
	return &index->shard[slot % index->shards];
}

DiskIndex *
disk_index_init(void *memory, uint32_t slots)
{
	DiskIndex  *index = memory;

	memset(memory, 0, disk_index_bytes(slots));
	index->slots = slots;
	index->shards = slots < SLOTS_FOR_SHARDS ? 1 : MAX_SHARDS;
	for (uint32_t i = 0; i < index->shards; i++)
	{
		DiskShard  *shard = &index->shard[i];

		shard->free = shard->first_dropped = shard->last_dropped = DISK_INDEX_NONE;
		shard->slots = (slots - i + index->shards - 1) / index->shards;
	}
	for (uint32_t i = 0; i < slots; i++)
		heads(index)[i] = DISK_INDEX_NONE;
	return index;
}

static inline DiskRange
range_of(const DiskSlot *slot)
{
	return (DiskRange) {.object = slot->object,.number = slot->number};
}

static uint32_t
search(DiskIndex *index, const DiskRange *range)
{
	uint32_t	at = *head_of(index, range);

	while (at != DISK_INDEX_NONE)
	{
		const DiskSlot *slot = &slot_array(index)[at];

		if (slot->number == range->number && cache_run_id_equal(slot->object, range->object))
			break;
		at = slot->next;
	}
	return at;
}

static void
link_slot(DiskIndex *index, uint32_t at)
{
	DiskSlot   *slot = &slot_array(index)[at];
	DiskRange	range = range_of(slot);
	uint32_t   *head = head_of(index, &range);

	slot->next = *head;
	*head = at;
}

static void
unlink_slot(DiskIndex *index, uint32_t at)
{
	DiskRange	range = range_of(&slot_array(index)[at]);
	uint32_t   *link = head_of(index, &range);

	while (*link != at)
		link = &slot_array(index)[*link].next;
	*link = slot_array(index)[at].next;
}

/* A slot that was in a chain is free. */
static void
release_slot(DiskIndex *index, uint32_t at)
{
	DiskShard  *shard = shard_of_slot(index, at);
	DiskSlot   *slot = &slot_array(index)[at];

	unlink_slot(index, at);
	if (slot->state == SLOT_READY)
	{
		shard->ranges--;
		shard->bytes -= slot->bytes;
	}
	slot->state = SLOT_FREE;
	slot->version++;
	slot->next = shard->free;
	shard->free = at;
}

static void
make_ready(DiskIndex *index, uint32_t at, uint32_t bytes)
{
	DiskShard  *shard = shard_of_slot(index, at);
	DiskSlot   *slot = &slot_array(index)[at];

	slot->state = SLOT_READY;
	slot->bytes = bytes;
	slot->version++;
	shard->ranges++;
	shard->bytes += bytes;
}

bool
disk_index_restore(DiskIndex *index, uint32_t at, const DiskRange *range, uint32_t bytes)
{
	DiskSlot   *slot = &slot_array(index)[at];

	if (at >= index->slots || slot->state != SLOT_FREE || bytes == 0 ||
		shard_of(index, range) != at % index->shards || search(index, range) != DISK_INDEX_NONE)
		return false;
	slot->object = range->object;
	slot->number = range->number;
	link_slot(index, at);
	make_ready(index, at, bytes);
	return true;
}

void
disk_index_restored(DiskIndex *index)
{
	for (uint32_t at = index->slots; at-- > 0;)
	{
		DiskSlot   *slot = &slot_array(index)[at];

		if (slot->state != SLOT_FREE)
			continue;
		slot->next = shard_of_slot(index, at)->free;
		shard_of_slot(index, at)->free = at;
	}
}

bool
disk_index_find(DiskIndex *index, const DiskRange *range, DiskPlace *place)
{
	DiskShard  *shard = &index->shard[shard_of(index, range)];
	uint32_t	at;
	bool		found = false;

	cache_lock_acquire(&shard->lock);
	at = search(index, range);
	if (at != DISK_INDEX_NONE && slot_array(index)[at].state == SLOT_READY)
	{
		DiskSlot   *slot = &slot_array(index)[at];

		if (slot->uses < MAX_USES)
			slot->uses++;
		*place = (DiskPlace) {.slot = at,.version = slot->version,.bytes = slot->bytes};
		found = true;
	}
	cache_lock_release(&shard->lock);
	return found;
}

bool
disk_index_has(DiskIndex *index, const DiskRange *range)
{
	DiskShard  *shard = &index->shard[shard_of(index, range)];
	uint32_t	at;
	bool		found;

	cache_lock_acquire(&shard->lock);
	at = search(index, range);
	found = at != DISK_INDEX_NONE && slot_array(index)[at].state == SLOT_READY;
	cache_lock_release(&shard->lock);
	return found;
}

static uint32_t
take_free(DiskIndex *index, DiskShard *shard)
{
	uint32_t	at = shard->free;

	if (at != DISK_INDEX_NONE)
		shard->free = slot_array(index)[at].next;
	return at;
}

static void
evict(DiskIndex *index, DiskShard *shard, uint32_t at)
{
	release_slot(index, at);
	shard->evictions++;
	(void) take_free(index, shard);
}

static uint32_t
take_dropped(DiskIndex *index, DiskShard *shard)
{
	while (shard->first_dropped != DISK_INDEX_NONE)
	{
		uint32_t	at = shard->first_dropped;
		DiskSlot   *slot = &slot_array(index)[at];

		shard->first_dropped = slot->next_dropped;
		if (shard->first_dropped == DISK_INDEX_NONE)
			shard->last_dropped = DISK_INDEX_NONE;
		slot->listed = false;
		if (slot->state != SLOT_READY || !slot->dropped)
			continue;
		evict(index, shard, at);
		return at;
	}
	return DISK_INDEX_NONE;
}

static uint32_t
take_by_clock(DiskIndex *index, DiskShard *shard)
{
	uint32_t	steps = shard->slots < CLOCK_STEPS ? shard->slots * (MAX_USES + 1) : CLOCK_STEPS;
	uint32_t	best = DISK_INDEX_NONE;
	uint8_t		best_uses = MAX_USES + 1;

	for (uint32_t i = 0; i < steps && best_uses > 0; i++)
	{
		uint32_t	at = shard->hand * index->shards + (uint32_t) (shard - index->shard);
		DiskSlot   *slot = &slot_array(index)[at];

		shard->hand = (shard->hand + 1) % shard->slots;
		if (slot->state != SLOT_READY)
			continue;
		if (slot->uses < best_uses)
		{
			best = at;
			best_uses = slot->uses;
		}
		if (slot->uses > 0)
			slot->uses--;
	}
	if (best != DISK_INDEX_NONE)
		evict(index, shard, best);
	return best;
}

static uint32_t
take_slot(DiskIndex *index, DiskShard *shard)
{
	uint32_t	at = take_free(index, shard);

	if (at == DISK_INDEX_NONE)
		at = take_dropped(index, shard);
	if (at == DISK_INDEX_NONE)
		at = take_by_clock(index, shard);
	return at;
}

/* Takes a slot for a range that has none, under the shard's lock. */
static CacheClaim
claim_slot(DiskIndex *index, DiskShard *shard, const DiskRange *range, DiskPlace *place)
{
	uint32_t	at = take_slot(index, shard);
	DiskSlot   *slot = &slot_array(index)[at];

	if (at == DISK_INDEX_NONE)
		return CACHE_NO_ROOM;
	slot->object = range->object;
	slot->number = range->number;
	slot->bytes = 0;
	slot->state = SLOT_LOADING;
	slot->uses = 0;
	slot->dropped = false;
	slot->version++;
	link_slot(index, at);
	*place = (DiskPlace) {.slot = at,.version = slot->version};
	return CACHE_LOAD;
}

CacheClaim
disk_index_claim(DiskIndex *index, const DiskRange *range, DiskPlace *place)
{
	DiskShard  *shard = &index->shard[shard_of(index, range)];
	CacheClaim	claim;
	uint32_t	at;

	cache_lock_acquire(&shard->lock);
	at = search(index, range);
	if (at == DISK_INDEX_NONE)
		claim = claim_slot(index, shard, range, place);
	else
		claim = slot_array(index)[at].state == SLOT_READY ? CACHE_PRESENT : CACHE_LOADING;
	cache_lock_release(&shard->lock);
	return claim;
}

static void
list_dropped(DiskIndex *index, DiskShard *shard, uint32_t at)
{
	DiskSlot   *slot = &slot_array(index)[at];

	slot->dropped = true;
	if (slot->listed)
		return;
	slot->listed = true;
	slot->next_dropped = DISK_INDEX_NONE;
	if (shard->last_dropped != DISK_INDEX_NONE)
		slot_array(index)[shard->last_dropped].next_dropped = at;
	else
		shard->first_dropped = at;
	shard->last_dropped = at;
}

void
disk_index_publish(DiskIndex *index, const DiskPlace *place, uint32_t bytes)
{
	DiskShard  *shard = shard_of_slot(index, place->slot);

	cache_lock_acquire(&shard->lock);
	make_ready(index, place->slot, bytes);
	if (slot_array(index)[place->slot].dropped)
		list_dropped(index, shard, place->slot);
	cache_lock_release(&shard->lock);
}

void
disk_index_abandon(DiskIndex *index, const DiskPlace *place)
{
	DiskShard  *shard = shard_of_slot(index, place->slot);

	cache_lock_acquire(&shard->lock);
	release_slot(index, place->slot);
	cache_lock_release(&shard->lock);
}

bool
disk_index_forget(DiskIndex *index, const DiskPlace *place)
{
	DiskShard  *shard = shard_of_slot(index, place->slot);
	bool		is_there;

	cache_lock_acquire(&shard->lock);
	is_there = slot_array(index)[place->slot].version == place->version;
	if (is_there)
		release_slot(index, place->slot);
	cache_lock_release(&shard->lock);
	return is_there;
}

static int
compare_objects(const void *a, const void *b)
{
	return cache_run_id_compare(*(const CacheRunId *) a, *(const CacheRunId *) b);
}

/* One slot at a time under the lock: nobody waits for the whole walk. */
static void
drop_slot(DiskIndex *index, uint32_t at, const CacheRunId *objects, int n, bool gone)
{
	DiskShard  *shard = shard_of_slot(index, at);
	DiskSlot   *slot = &slot_array(index)[at];

	cache_lock_acquire(&shard->lock);
	if (slot->state != SLOT_FREE &&
		bsearch(&slot->object, objects, n, sizeof(CacheRunId), compare_objects) != NULL)
	{
		if (slot->state == SLOT_LOADING)
			slot->dropped = true;
		else if (gone)
			release_slot(index, at);
		else
			list_dropped(index, shard, at);
	}
	cache_lock_release(&shard->lock);
}

void
disk_index_drop(DiskIndex *index, CacheRunId *objects, int n, bool gone)
{
	if (n > 0)
		qsort(objects, n, sizeof(CacheRunId), compare_objects);
	for (uint32_t at = 0; at < index->slots && n > 0; at++)
		drop_slot(index, at, objects, n, gone);
}

void
disk_index_clear(DiskIndex *index)
{
	for (uint32_t at = 0; at < index->slots; at++)
	{
		DiskShard  *shard = shard_of_slot(index, at);

		cache_lock_acquire(&shard->lock);
		if (slot_array(index)[at].state == SLOT_READY)
			release_slot(index, at);
		cache_lock_release(&shard->lock);
	}
}

void
disk_index_count(DiskIndex *index, DiskIndexCounts *counts)
{
	*counts = (DiskIndexCounts) {.slots = index->slots};
	for (uint32_t i = 0; i < index->shards; i++)
	{
		DiskShard  *shard = &index->shard[i];

		cache_lock_acquire(&shard->lock);
		counts->ranges += shard->ranges;
		counts->bytes += shard->bytes;
		counts->evictions += shard->evictions;
		cache_lock_release(&shard->lock);
	}
}
