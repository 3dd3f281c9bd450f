/*
 * cache_pages.c
 *		See cache_pages.h.
 */
#include "cache/cache_pages.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

size_t
cache_pages_bytes(size_t region_bytes)
{
	return sizeof(CachePages) + region_bytes / CACHE_PIECE_BYTES;
}

CachePages *
cache_pages_init(void *memory, void *region, size_t region_bytes)
{
	CachePages *pages = memory;

	pages->region = region;
	pages->pieces = region_bytes / CACHE_PIECE_BYTES;
	for (size_t i = 0; i < pages->pieces; i++)
		atomic_init(&pages->asked[i], 0);
	return pages;
}

#ifdef __linux__

/* Of <linux/mman.h> since 6.1; an older system says that it does not know it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/*
 * The system leaves a piece alone that has no page at all, so it gets one.  What
 * fails (no memory in one piece, a system that cannot) leaves small pages.  Others
 * may read and write the piece meanwhile: they fault, and wait.
 */
static void
ask_for_piece(uint8_t *piece)
{
	(void) *(volatile uint8_t *) piece;
	(void) madvise(piece, CACHE_PIECE_BYTES, MADV_COLLAPSE);
}

void
cache_pages_ask(CachePages *pages, const void *at, size_t bytes)
{
	size_t		offset;
	size_t		last;

	if (pages == NULL || bytes == 0)
		return;
	offset = (size_t) ((const uint8_t *) at - pages->region);
	last = (offset + bytes - 1) / CACHE_PIECE_BYTES;
	for (size_t i = offset / CACHE_PIECE_BYTES; i <= last && i < pages->pieces; i++)
		if (atomic_load_explicit(&pages->asked[i], memory_order_relaxed) == 0 &&
			atomic_exchange_explicit(&pages->asked[i], 1, memory_order_relaxed) == 0)
			ask_for_piece(pages->region + i * CACHE_PIECE_BYTES);
}

/* Where in its file the memory lies; false: it is in huge pages, or nobody knows. */
static bool
find_offset(const void *memory, size_t bytes, uint64_t *offset)
{
	FILE	   *maps = fopen("/proc/self/maps", "r");
	char		line[4096 + 256];
	uintptr_t	wanted = (uintptr_t) memory;
	bool		found = false;

	while (maps != NULL && !found && fgets(line, sizeof(line), maps) != NULL)
	{
		uintptr_t	first;
		uintptr_t	end;
		uint64_t	at;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %" SCNx64, &first, &end, &at) != 3 ||
			wanted < first || wanted >= end)
			continue;
		if (end - wanted < bytes || strstr(line, "/anon_hugepage") != NULL)
			break;
		*offset = at + (wanted - first);
		found = true;
	}
	if (maps != NULL)
		(void) fclose(maps);
	return found;
}

/* Addresses for so many bytes, of which the first is as far in its piece as the offset. */
static uint8_t *
reserve_addresses(size_t bytes, size_t offset_in_piece)
{
	size_t		room = bytes + 2 * CACHE_PIECE_BYTES;
	uint8_t    *reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t		before;

	if (reserved == MAP_FAILED)
		return NULL;
	before = CACHE_PIECE_BYTES - (uintptr_t) reserved % CACHE_PIECE_BYTES + offset_in_piece;
	(void) munmap(reserved, before);
	(void) munmap(reserved + before + bytes, room - before - bytes);
	return reserved + before;
}

/* mremap of no bytes of a shared mapping makes another one of the same pages. */
void *
cache_pages_map(void *memory, size_t bytes)
{
	uintptr_t	page_bytes = (uintptr_t) sysconf(_SC_PAGESIZE);
	size_t		in_page = (uintptr_t) memory % page_bytes;
	uint8_t    *from = (uint8_t *) memory - in_page;
	size_t		room = (in_page + bytes + page_bytes - 1) / page_bytes * page_bytes;
	uint64_t	offset;
	uint8_t    *to;

	if (!find_offset(from, room, &offset) ||
		(to = reserve_addresses(room, (size_t) (offset % CACHE_PIECE_BYTES))) == NULL)
		return NULL;
	if (mremap(from, 0, room, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
	{
		(void) munmap(to, room);
		return NULL;
	}
	/* A core has the first mapping. */
	(void) madvise(to, room, MADV_DONTDUMP);
	return to + in_page;
}

void
cache_pages_unmap(void *mapped, size_t bytes)
{
	uintptr_t	page_bytes = (uintptr_t) sysconf(_SC_PAGESIZE);
	size_t		in_page = (uintptr_t) mapped % page_bytes;

	(void) munmap((uint8_t *) mapped - in_page, (in_page + bytes + page_bytes - 1) / page_bytes * page_bytes);
}

#else

void *
cache_pages_map(void *memory, size_t bytes)
{
	return NULL;
}

void
cache_pages_unmap(void *mapped, size_t bytes)
{
}

void
cache_pages_ask(CachePages *pages, const void *at, size_t bytes)
{
}

#endif							/* __linux__ */
