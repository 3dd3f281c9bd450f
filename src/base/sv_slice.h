/*
 * sv_slice.h
 *		A borrowed run of bytes, and the order of keys.
 *
 * A slice owns nothing; whoever hands one out says how long it stays valid.
 * data may be NULL if and only if len is 0.
 */
#ifndef SV_SLICE_H
#define SV_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct SvSlice
{
	const uint8_t *data;
	size_t		len;
} SvSlice;

static inline SvSlice
sv_slice(const void *data, size_t len)
{
	SvSlice		s = {(const uint8_t *) data, len};

	return s;
}

/* The first eight bytes as a number that has their order. */
static inline uint64_t
sv_slice_head(SvSlice s)
{
	uint64_t	head;

	memcpy(&head, s.data, sizeof(head));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	head = __builtin_bswap64(head);
#endif
	return head;
}

/*
 * Bytewise, a prefix before its extensions: the order of keys everywhere.
 * Mostly the first eight bytes tell, and a call of memcmp is as long again.
 */
static inline int
sv_slice_compare(SvSlice a, SvSlice b)
{
	size_t		shared = a.len < b.len ? a.len : b.len;
	int			c;

	if (shared >= 8)
	{
		uint64_t	head_a = sv_slice_head(a);
		uint64_t	head_b = sv_slice_head(b);

		if (head_a != head_b)
			return head_a < head_b ? -1 : 1;
	}
	c = shared == 0 || shared == 8 ? 0 : memcmp(a.data, b.data, shared);
	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

static inline bool
sv_slice_equal(SvSlice a, SvSlice b)
{
	if (a.len != b.len)
		return false;
	/* Of a constant length, this is no call. */
	if (a.len == 8)
		return memcmp(a.data, b.data, 8) == 0;
	return a.len == 0 || memcmp(a.data, b.data, a.len) == 0;
}

#endif							/* SV_SLICE_H */
