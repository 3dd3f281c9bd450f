/*
 * fuzz_disk_page.c
 *		Any bytes as pages of a local copy: nothing opens but what was sealed, as
 *		that page of that object.
 *
 * The input says where to read and what to damage in 6 bytes, and what is in an
 * object.  Its bytes are tried as pages as they are, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sv_coding.h"
#include "cache/disk_page.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES 6
#define MAX_PAGES 4

static const CacheRunId object = {UINT64_C(0x0123456789abcdef), 42};
static const CacheRunId other = {UINT64_C(0x0123456789abcdef), 43};

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* Pages that nobody sealed: a check of 64 bits is not met by chance. */
static void
open_raw(const uint8_t *data, size_t size)
{
	uint8_t		page[DISK_PAGE_BYTES] = {0};
	uint8_t		dst[DISK_PAGE_DATA];

	memcpy(page, data, size < sizeof(page) ? size : sizeof(page));
	require(!disk_pages_open(object, 0, page, 0, DISK_PAGE_DATA, dst));
	require(!disk_pages_open(object, size, page, 1, 1, dst));
}

/* An object that repeats the input until it is so long. */
static uint8_t *
build_object(const uint8_t *data, size_t size, size_t bytes)
{
	uint8_t    *made = malloc(bytes);

	require(made != NULL);
	for (size_t at = 0; at < bytes; at++)
		made[at] = (uint8_t) (data[at % size] + at / size);
	return made;
}

static void
seal_and_damage(SvSlice bytes, uint64_t first_page, size_t at, size_t len, size_t damaged)
{
	size_t		pages_bytes = (size_t) disk_pages(bytes.len) * DISK_PAGE_BYTES;
	uint8_t    *pages = malloc(pages_bytes);
	uint8_t    *dst = malloc(len);
	size_t		page = damaged / DISK_PAGE_BYTES;
	bool		is_read = page >= at / DISK_PAGE_DATA && page <= (at + len - 1) / DISK_PAGE_DATA;

	require(pages != NULL && dst != NULL);
	disk_pages_seal(object, first_page, bytes, pages);
	require(disk_pages_open(object, first_page, pages, at, len, dst));
	require(memcmp(dst, bytes.data + at, len) == 0);
	require(!disk_pages_open(other, first_page, pages, at, len, dst));
	require(!disk_pages_open(object, first_page + 1, pages, at, len, dst));
	pages[damaged] ^= 0x10;
	require(disk_pages_open(object, first_page, pages, at, len, dst) == !is_read);
	require(is_read || memcmp(dst, bytes.data + at, len) == 0);
	free(dst);
	free(pages);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *made;
	size_t		bytes;
	size_t		at;
	size_t		len;

	open_raw(data, size);
	if (size <= HEAD_BYTES)
		return 0;
	bytes = 1 + sv_get_u16(data) % (MAX_PAGES * DISK_PAGE_DATA);
	at = sv_get_u16(data + 2) % bytes;
	len = 1 + sv_get_u16(data + 4) % (bytes - at);
	made = build_object(data + HEAD_BYTES, size - HEAD_BYTES, bytes);
	seal_and_damage(sv_slice(made, bytes), data[6], at, len,
					((size_t) sv_get_u16(data + 4) * 7 + sv_get_u16(data)) % (disk_pages(bytes) * DISK_PAGE_BYTES));
	free(made);
	return 0;
}
