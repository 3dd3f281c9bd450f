/*
 * test_cache_pages.c
 *		Shared memory mapped a second time, and huge pages for it.
 */
#include "cache/cache_pages.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PIECES 4
#define PAGE_BYTES ((size_t) 4096)
#define REGION_BYTES (PIECES * CACHE_PIECE_BYTES + 5 * PAGE_BYTES)
#define MEMORY_BYTES (REGION_BYTES + CACHE_PIECE_BYTES)

/* As in a server: the memory begins somewhere in a mapping, at an address that suits nobody. */
#define SEGMENT_BYTES (MEMORY_BYTES + 7 * PAGE_BYTES)

typedef struct Fixture
{
	uint8_t    *segment;
	uint8_t    *memory;
	uint8_t    *again;
	uint8_t    *region;			/* in `again` */
	CachePages *pages;
} Fixture;

static uint8_t *
map_shared(size_t bytes)
{
	uint8_t    *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static bool
fixture_open(Fixture *f)
{
	f->segment = map_shared(SEGMENT_BYTES);
	f->memory = f->segment + 3 * PAGE_BYTES + 128;
	f->again = cache_pages_map(f->memory, MEMORY_BYTES);
	if (f->again == NULL)
		return false;
	f->region = f->again + CACHE_PIECE_BYTES - 1;
	f->region -= (uintptr_t) f->region % CACHE_PIECE_BYTES;
	f->pages = cache_pages_init(malloc(cache_pages_bytes(REGION_BYTES)), f->region, REGION_BYTES);
	return true;
}

static void
fixture_close(Fixture *f)
{
	free(f->pages);
	cache_pages_unmap(f->again, MEMORY_BYTES);
	munmap(f->segment, SEGMENT_BYTES);
}

static uint8_t *
first_mapping(const Fixture *f, const uint8_t *at)
{
	return f->memory + (at - f->again);
}

/* How many of the pages are there. */
static size_t
resident(uint8_t *at, size_t bytes)
{
	unsigned char *there = calloc(bytes / PAGE_BYTES, 1);
	size_t		count = 0;

	if (mincore(at, bytes, there) == 0)
		for (size_t i = 0; i < bytes / PAGE_BYTES; i++)
			count += there[i] & 1;
	free(there);
	return count;
}

/* Kilobytes of the mapping at an address that huge pages map. */
static long
huge_kb(const uint8_t *at)
{
	FILE	   *smaps = fopen("/proc/self/smaps", "r");
	char		line[1024];
	unsigned long first;
	unsigned long end;
	bool		inside = false;
	long		kb = -1;

	while (smaps != NULL && fgets(line, sizeof(line), smaps) != NULL)
	{
		if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
			inside = (uintptr_t) at >= first && (uintptr_t) at < end;
		else if (inside && sscanf(line, "ShmemPmdMapped: %ld kB", &kb) == 1)
			break;
	}
	if (smaps != NULL)
		fclose(smaps);
	return kb;
}

/* Whether this system makes a huge page of shared memory: asked of memory that cache_pages has no part in. */
static bool
system_can(void)
{
	uint8_t    *room = mmap(NULL, 2 * CACHE_PIECE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t    *at = room + CACHE_PIECE_BYTES - (uintptr_t) room % CACHE_PIECE_BYTES;
	bool		can;

	at = mmap(at, CACHE_PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	at[0] = 1;
	can = madvise(at, CACHE_PIECE_BYTES, MADV_COLLAPSE) == 0 && huge_kb(at) > 0;
	munmap(room, 2 * CACHE_PIECE_BYTES);
	return can;
}

static uint8_t
byte_of(size_t i)
{
	return (uint8_t) (i * 31 + i / PAGE_BYTES);
}

static bool
has_content(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (at[i] != byte_of(i))
			return false;
	return true;
}

static void
test_second_mapping(void)
{
	Fixture		f;
	pid_t		child;
	int			status;

	CHECK(fixture_open(&f), "shared memory is mapped a second time");
	CHECK((uintptr_t) f.again % PAGE_BYTES == (uintptr_t) f.memory % PAGE_BYTES, "from the same place of a page");
	for (size_t i = 0; i < REGION_BYTES; i++)
		first_mapping(&f, f.region)[i] = byte_of(i);
	CHECK(has_content(f.region, REGION_BYTES), "what is written by way of the one is read by way of the other");
	f.region[5] = 99;
	CHECK(first_mapping(&f, f.region)[5] == 99, "and the other way round");
	child = fork();
	if (child == 0)
	{
		f.region[6] = 98;
		_exit(0);
	}
	waitpid(child, &status, 0);
	CHECK(status == 0 && f.region[6] == 98, "also by a process that was forked");
	cache_pages_unmap(f.again, MEMORY_BYTES);
	CHECK(first_mapping(&f, f.region)[6] == 98, "the first mapping stays when the second goes");
	free(f.pages);
	munmap(f.segment, SEGMENT_BYTES);
}

static void
test_private_memory(void)
{
	uint8_t    *at = malloc(3 * PAGE_BYTES);

	CHECK(cache_pages_map(at, (size_t) 1 << 40) == NULL, "more than is mapped is not mapped again");
	CHECK(cache_pages_map(at, 1) == NULL, "nor is what only this process has");
	cache_pages_ask(NULL, at, 1);
	free(at);
}

static void
test_asking(void)
{
	Fixture		f;
	uint8_t    *last;

	(void) fixture_open(&f);
	last = f.region + PIECES * CACHE_PIECE_BYTES;
	cache_pages_ask(f.pages, f.region + CACHE_PIECE_BYTES + 100, 200);
	CHECK(resident(f.region, CACHE_PIECE_BYTES) == 0 &&
		  resident(f.region + 2 * CACHE_PIECE_BYTES, CACHE_PIECE_BYTES) == 0,
		  "only the piece is asked for that the bytes are in");
	CHECK(resident(f.region + CACHE_PIECE_BYTES, CACHE_PIECE_BYTES) > 0, "and it is");
	cache_pages_ask(f.pages, last, 5 * PAGE_BYTES);
	CHECK(resident(last, 5 * PAGE_BYTES) == 0, "what is no whole piece is left alone");
	cache_pages_ask(f.pages, f.region, 0);
	CHECK(resident(f.region, CACHE_PIECE_BYTES) == 0, "no bytes are in no piece");
	fixture_close(&f);
}

static void
test_huge_pages(void)
{
	bool		can = system_can();
	long		whole = (long) (CACHE_PIECE_BYTES / 1024);
	Fixture		f;

	(void) fixture_open(&f);
	for (size_t i = 0; i < REGION_BYTES; i++)
		first_mapping(&f, f.region)[i] = byte_of(i);
	cache_pages_ask(f.pages, f.region + CACHE_PIECE_BYTES - 1, 2);
	CHECK(has_content(f.region, REGION_BYTES), "pieces keep what was in them");
	CHECK(!can || huge_kb(f.region) == 2 * whole, "both pieces that the bytes are in became huge pages");
	cache_pages_ask(f.pages, f.region, CACHE_PIECE_BYTES);
	CHECK(!can || huge_kb(f.region) == 2 * whole, "a piece is asked for once");
	cache_pages_ask(f.pages, f.region, REGION_BYTES);
	CHECK(!can || huge_kb(f.region) == PIECES * whole, "all of them at once");
	CHECK(has_content(f.region, REGION_BYTES), "and nothing is lost");
	if (!can)
		printf("# this system has no huge pages for shared memory: only that nothing else changes was tested\n");
	fixture_close(&f);
}

int
main(void)
{
	test_second_mapping();
	test_private_memory();
	test_asking();
	test_huge_pages();
	return unit_done();
}
