/*
 * cache_pages.h
 *		Huge pages for shared memory, where none are reserved.
 *
 * A process that meets another's memory for the first time pays a page fault for
 * each 16 pages of 4 kB, microseconds each, and until then its prefetches are in
 * vain; later it pays for the pages' addresses, of which the processor keeps few.
 * Both are nearly gone with pages of 2 MB.  Linux makes them of shared memory when
 * it is asked to for a given piece (MADV_COLLAPSE, since 6.1), whatever the
 * machine's settings for transparent huge pages, if the piece is mapped at an
 * address that is a multiple of 2 MB away from its place in the memory's file.
 *
 * So the region is mapped a second time, at such an address, and pieces are asked
 * for before anything is written to them, which costs less than the faults of the
 * small pages would.  Where that is not to be had, everything works as without.
 */
#ifndef CACHE_PAGES_H
#define CACHE_PAGES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define CACHE_PIECE_BYTES ((size_t) 2 * 1024 * 1024)

/* In memory that all processes share; of whole pieces. */
typedef struct CachePages
{
	uint8_t    *region;
	size_t		pieces;
	_Atomic uint8_t asked[];	/* of each piece, whether it was asked for */
} CachePages;

/*
 * Maps shared memory of this process a second time, and answers where: from each
 * multiple of CACHE_PIECE_BYTES among these addresses a piece may be asked for.
 * Processes that are forked later have it too.  NULL where that is not possible, or
 * the memory is in huge pages as it is.
 */
extern void *cache_pages_map(void *memory, size_t bytes);
extern void cache_pages_unmap(void *mapped, size_t bytes);

/* For a region of so many bytes. */
extern size_t cache_pages_bytes(size_t region_bytes);

/* The region begins at a multiple of CACHE_PIECE_BYTES of a second mapping, and was not written to yet. */
extern CachePages *cache_pages_init(void *memory, void *region, size_t region_bytes);

/* The bytes from `at` on are about to be written, perhaps for the first time.  `pages` may be NULL. */
extern void cache_pages_ask(CachePages *pages, const void *at, size_t bytes);

#endif							/* CACHE_PAGES_H */
