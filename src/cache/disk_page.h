/*
 * disk_page.h
 *		Pages of a local copy that verify themselves: the disk tier's and the
 *		mirror's.
 *
 * A page is 4,088 bytes of an object and a check of 8: XXH3 of the bytes, mixed
 * with which object and which page of it they are.  So a page that is damaged,
 * half written, of another object, from another place or of zeros is told
 * apart by itself, whatever became of its neighbours, of the file's length or of
 * its name, and nothing needs to be fsynced: after a crash a page either is what
 * it should be, or it is fetched again.
 */
#ifndef DISK_PAGE_H
#define DISK_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/sv_slice.h"
#include "cache/cache_wait.h"

#define DISK_PAGE_BYTES 4096
#define DISK_PAGE_DATA (DISK_PAGE_BYTES - 8)

static inline uint64_t
disk_page_of(uint64_t offset)
{
	return offset / DISK_PAGE_DATA;
}

/* How many pages hold so many bytes. */
static inline uint64_t
disk_pages(uint64_t bytes)
{
	return (bytes + DISK_PAGE_DATA - 1) / DISK_PAGE_DATA;
}

/* Writes bytes of an object, of which the first is the first of page first_page, as pages; zeros behind them. */
extern void disk_pages_seal(CacheRunId object, uint64_t first_page, SvSlice bytes, uint8_t *pages);

/*
 * Copies len bytes out of pages, of which the first is first_page, from `at`
 * bytes of the object behind its beginning.  False if one of the pages they lie
 * in is not what was sealed: dst may be half written then.
 */
extern bool disk_pages_open(CacheRunId object, uint64_t first_page, const uint8_t *pages,
							size_t at, size_t len, uint8_t *dst);

#endif							/* DISK_PAGE_H */
