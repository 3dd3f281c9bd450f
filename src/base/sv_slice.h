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

/* Bytewise, a prefix before its extensions: the order of keys everywhere. */
static inline int
sv_slice_compare(SvSlice a, SvSlice b)
{
	size_t		shared = a.len < b.len ? a.len : b.len;
	int			c = shared == 0 ? 0 : memcmp(a.data, b.data, shared);

	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

static inline bool
sv_slice_equal(SvSlice a, SvSlice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif							/* SV_SLICE_H */
