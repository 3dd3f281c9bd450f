/*
 * sv_coding.h
 *		Integers as bytes: the only place that knows their order.
 *
 * Everything stored is little-endian.  A varint holds seven bits a byte, low
 * ones first, the high bit saying that more follow; a number has one encoding
 * only, the shortest.
 *
 * sv_get_* and sv_put_* trust their caller about the room.  An SvCursor does
 * not: it is how bytes that came from outside are read.
 */
#ifndef SV_CODING_H
#define SV_CODING_H

#include "base/sv_slice.h"

#define SV_VARINT32_MAX_BYTES 5
#define SV_VARINT64_MAX_BYTES 10

static inline void
sv_put_u16(uint8_t *dst, uint16_t v)
{
	dst[0] = (uint8_t) v;
	dst[1] = (uint8_t) (v >> 8);
}

static inline void
sv_put_u32(uint8_t *dst, uint32_t v)
{
	sv_put_u16(dst, (uint16_t) v);
	sv_put_u16(dst + 2, (uint16_t) (v >> 16));
}

static inline void
sv_put_u64(uint8_t *dst, uint64_t v)
{
	sv_put_u32(dst, (uint32_t) v);
	sv_put_u32(dst + 4, (uint32_t) (v >> 32));
}

static inline uint16_t
sv_get_u16(const uint8_t *src)
{
	return (uint16_t) (src[0] | src[1] << 8);
}

static inline uint32_t
sv_get_u32(const uint8_t *src)
{
	return (uint32_t) sv_get_u16(src) | (uint32_t) sv_get_u16(src + 2) << 16;
}

static inline uint64_t
sv_get_u64(const uint8_t *src)
{
	return (uint64_t) sv_get_u32(src) | (uint64_t) sv_get_u32(src + 4) << 32;
}

/* How many bytes sv_varint_put writes for v. */
extern size_t sv_varint_bytes(uint64_t v);

/* Writes v, be it of 32 or 64 bits, and returns the number of bytes. */
extern size_t sv_varint_put_any(uint8_t *dst, uint64_t v);

/* Mostly it is one byte. */
static inline size_t
sv_varint_put(uint8_t *dst, uint64_t v)
{
	if (v >= 0x80)
		return sv_varint_put_any(dst, v);
	*dst = (uint8_t) v;
	return 1;
}

/*
 * A place in bytes that may be anything.  Every function below answers false,
 * and leaves cursor and result alone, when the bytes left are too few or do
 * not encode such a number.
 */
typedef struct SvCursor
{
	const uint8_t *at;
	size_t		left;
} SvCursor;

static inline SvCursor
sv_cursor(SvSlice bytes)
{
	SvCursor	c = {bytes.data, bytes.len};

	return c;
}

static inline bool
sv_cursor_u8(SvCursor *c, uint8_t *v)
{
	if (c->left == 0)
		return false;
	*v = *c->at++;
	c->left--;
	return true;
}

extern bool sv_cursor_u16(SvCursor *c, uint16_t *v);
extern bool sv_cursor_u32(SvCursor *c, uint32_t *v);
extern bool sv_cursor_u64(SvCursor *c, uint64_t *v);
extern bool sv_cursor_varint64(SvCursor *c, uint64_t *v);

/* Of more than one byte, or of one. */
extern bool sv_cursor_long_varint32(SvCursor *c, uint32_t *v);

/* Most are of one byte, and many are read for each row. */
static inline bool
sv_cursor_varint32(SvCursor *c, uint32_t *v)
{
	if (c->left == 0 || *c->at >= 0x80)
		return sv_cursor_long_varint32(c, v);
	*v = *c->at++;
	c->left--;
	return true;
}

/* The next len bytes, borrowed from where the cursor reads. */
static inline bool
sv_cursor_bytes(SvCursor *c, size_t len, SvSlice *bytes)
{
	if (c->left < len)
		return false;
	*bytes = sv_slice(len > 0 ? c->at : NULL, len);
	if (len > 0)
		c->at += len;
	c->left -= len;
	return true;
}

#endif							/* SV_CODING_H */
