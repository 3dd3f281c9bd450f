/*
 * disk_page.c
 *		Sealing and opening pages.
 */
#include "cache/disk_page.h"

#include <string.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"

static uint64_t
mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static uint64_t
page_check(CacheRunId object, uint64_t page, const uint8_t *data)
{
	uint64_t	place = mix(object.hi ^ mix(object.lo + (page + 1) * UINT64_C(0x9E3779B97F4A7C15)));

	return sv_hash64(sv_slice(data, DISK_PAGE_DATA)) ^ place;
}

void
disk_pages_seal(CacheRunId object, uint64_t first_page, SvSlice bytes, uint8_t *pages)
{
	for (size_t at = 0; at < bytes.len; at += DISK_PAGE_DATA, pages += DISK_PAGE_BYTES)
	{
		size_t		len = bytes.len - at < DISK_PAGE_DATA ? bytes.len - at : DISK_PAGE_DATA;

		memcpy(pages, bytes.data + at, len);
		memset(pages + len, 0, DISK_PAGE_DATA - len);
		sv_put_u64(pages + DISK_PAGE_DATA, page_check(object, first_page++, pages));
	}
}

bool
disk_pages_open(CacheRunId object, uint64_t first_page, const uint8_t *pages,
				size_t at, size_t len, uint8_t *dst)
{
	pages += at / DISK_PAGE_DATA * DISK_PAGE_BYTES;
	first_page += at / DISK_PAGE_DATA;
	at %= DISK_PAGE_DATA;
	while (len > 0)
	{
		size_t		piece = DISK_PAGE_DATA - at < len ? DISK_PAGE_DATA - at : len;

		if (sv_get_u64(pages + DISK_PAGE_DATA) != page_check(object, first_page, pages))
			return false;
		memcpy(dst, pages + at, piece);
		dst += piece;
		len -= piece;
		at = 0;
		pages += DISK_PAGE_BYTES;
		first_page++;
	}
	return true;
}
