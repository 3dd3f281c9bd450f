/*
 * disk_tier.c
 *		Reading, filling, and what happens when the disk does not play along.
 *
 * Why a read needs no pin.  A slot that was found may be given to another range
 * while it is read.  Then the pages read are of the other range, or half of
 * each, and do not verify, since a page's check has its object and place in it.
 * If the slot's version is still the one that was found, though, nobody has
 * taken it, and the file is damaged: the slot is forgotten.
 */
#include "cache/disk_tier.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct DiskTierShared
{
	_Atomic uint32_t state;		/* a DiskTierState */
	_Atomic uint32_t unread;	/* a warning that nobody has asked for */
	CacheLock	lock;			/* of the warning */
	SvError		warning;
	_Alignas(64) _Atomic uint64_t hits;
	_Atomic uint64_t misses;
	_Atomic uint64_t fills;
	_Atomic uint64_t written_through;
	_Atomic uint64_t damaged;
	_Atomic uint64_t write_errors;
};

static inline void
count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* That a budget of disk space buys; 0 if none. */
static uint32_t
slots_of(uint64_t budget_bytes)
{
	uint64_t	slots = budget_bytes / DISK_SLOT_BYTES;

	return slots >= DISK_INDEX_NONE ? DISK_INDEX_NONE - 1 : (uint32_t) slots;
}

static size_t
shared_bytes(void)
{
	return (sizeof(DiskTierShared) + 63) & ~(size_t) 63;
}

size_t
disk_tier_region_bytes(uint64_t budget_bytes)
{
	return shared_bytes() + disk_index_bytes(slots_of(budget_bytes));
}

/* The state only ever gets worse, until the next start. */
static void
give_up(DiskTier *tier, DiskTierState state, const SvError *why)
{
	DiskTierShared *shared = tier->shared;

	cache_lock_acquire(&shared->lock);
	if (atomic_load(&shared->state) > (uint32_t) state)
	{
		atomic_store(&shared->state, state);
		shared->warning = *why;
		atomic_store(&shared->unread, 1);
	}
	cache_lock_release(&shared->lock);
}

void
disk_tier_start(DiskTier *tier, void *region, uint64_t budget_bytes, const char *directory)
{
	uint32_t	slots = slots_of(budget_bytes);
	SvError		err = {0};
	SvStatus	status;

	memset(region, 0, shared_bytes());
	*tier = (DiskTier) {.shared = region,.files = {.lock = -1,.slots = -1,.ranges = -1}};
	tier->index = disk_index_init((uint8_t *) region + shared_bytes(), slots);
	if (slots == 0)
		return;
	atomic_store(&tier->shared->state, DISK_TIER_ON);
	status = disk_files_open(&tier->files, directory, tier->index, slots, &err);
	disk_index_restored(tier->index);
	if (status != SV_OK)
		give_up(tier, DISK_TIER_OFF, &err);
	else if (!tier->files.writable)
		give_up(tier, DISK_TIER_READ_ONLY, &err);
}

void
disk_tier_stop(DiskTier *tier)
{
	disk_files_close(&tier->files);
	free(tier->pages);
	tier->pages = NULL;
}

DiskTierState
disk_tier_state(const DiskTier *tier)
{
	return (DiskTierState) atomic_load_explicit(&tier->shared->state, memory_order_relaxed);
}

bool
disk_tier_warning(DiskTier *tier, SvError *err)
{
	DiskTierShared *shared = tier->shared;

	if (atomic_load_explicit(&shared->unread, memory_order_relaxed) == 0 ||
		atomic_exchange(&shared->unread, 0) == 0)
		return false;
	cache_lock_acquire(&shared->lock);
	*err = shared->warning;
	cache_lock_release(&shared->lock);
	return true;
}

static bool
have_pages(DiskTier *tier)
{
	if (tier->pages == NULL)
		tier->pages = aligned_alloc(DISK_PAGE_BYTES, DISK_SLOT_BYTES);
	return tier->pages != NULL;
}

/* Reads what of a slot is needed, and verifies it. */
static bool
read_place(DiskTier *tier, const DiskRange *range, const DiskPlace *place, size_t at, size_t len, void *dst)
{
	uint32_t	first = (uint32_t) disk_page_of(at);
	uint32_t	last = (uint32_t) disk_page_of(at + len - 1);

	return disk_files_read(&tier->files, place->slot, first, last - first + 1, tier->pages) &&
		disk_pages_open(range->object, (uint64_t) range->number * DISK_RANGE_PAGES + first, tier->pages,
						at % DISK_PAGE_DATA, len, dst);
}

bool
disk_tier_has(DiskTier *tier, const DiskRange *range)
{
	return disk_tier_state(tier) != DISK_TIER_OFF && disk_index_has(tier->index, range);
}

bool
disk_tier_read(DiskTier *tier, const DiskRange *range, size_t at, size_t len, void *dst)
{
	DiskPlace	place;

	if (disk_tier_state(tier) == DISK_TIER_OFF || len == 0 || !have_pages(tier))
		return false;
	if (disk_index_find(tier->index, range, &place) && at + len <= place.bytes)
	{
		if (read_place(tier, range, &place, at, len, dst))
		{
			count(&tier->shared->hits);
			tier->bytes_answered += len;
			return true;
		}
		if (disk_index_forget(tier->index, &place))
			count(&tier->shared->damaged);
	}
	count(&tier->shared->misses);
	return false;
}

CacheClaim
disk_tier_claim(DiskTier *tier, const DiskRange *range, DiskFill *fill)
{
	if (disk_tier_state(tier) != DISK_TIER_ON || !have_pages(tier))
		return CACHE_NO_ROOM;
	fill->range = *range;
	return disk_index_claim(tier->index, range, &fill->place);
}

/* Writes and publishes, or abandons. */
static bool
write_range(DiskTier *tier, const DiskFill *fill, SvSlice bytes)
{
	SvError		err;

	disk_pages_seal(fill->range.object, (uint64_t) fill->range.number * DISK_RANGE_PAGES, bytes, tier->pages);
	if (disk_files_write(&tier->files, fill->place.slot, &fill->range, (uint32_t) bytes.len, tier->pages,
						 &err) != SV_OK)
	{
		disk_index_abandon(tier->index, &fill->place);
		count(&tier->shared->write_errors);
		give_up(tier, DISK_TIER_READ_ONLY, &err);
		return false;
	}
	disk_index_publish(tier->index, &fill->place, (uint32_t) bytes.len);
	return true;
}

void
disk_tier_fill(DiskTier *tier, const DiskFill *fill, SvSlice bytes)
{
	if (write_range(tier, fill, bytes))
		count(&tier->shared->fills);
}

void
disk_tier_abandon(DiskTier *tier, const DiskFill *fill)
{
	disk_index_abandon(tier->index, &fill->place);
}

void
disk_tier_write_through(DiskTier *tier, const DiskRange *range, SvSlice bytes)
{
	DiskFill	fill;

	if (bytes.len > 0 && disk_tier_claim(tier, range, &fill) == CACHE_LOAD &&
		write_range(tier, &fill, bytes))
		count(&tier->shared->written_through);
}

void
disk_tier_drop(DiskTier *tier, CacheRunId *objects, int n, bool gone)
{
	if (disk_tier_state(tier) != DISK_TIER_OFF)
		disk_index_drop(tier->index, objects, n, gone);
}

void
disk_tier_clear(DiskTier *tier)
{
	if (disk_tier_state(tier) != DISK_TIER_OFF)
		disk_index_clear(tier->index);
}

void
disk_tier_stats(DiskTier *tier, DiskTierStats *stats)
{
	DiskTierShared *shared = tier->shared;

	*stats = (DiskTierStats) {
		.state = disk_tier_state(tier),
		.hits = atomic_load(&shared->hits),
		.misses = atomic_load(&shared->misses),
		.fills = atomic_load(&shared->fills),
		.written_through = atomic_load(&shared->written_through),
		.damaged = atomic_load(&shared->damaged),
		.write_errors = atomic_load(&shared->write_errors)
	};
	disk_index_count(tier->index, &stats->index);
}
