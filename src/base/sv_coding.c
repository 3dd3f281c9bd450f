/*
 * sv_coding.c
 *		Varints, and the bounds-checked cursor.
 */
#include "base/sv_coding.h"

size_t
sv_varint_bytes(uint64_t v)
{
	size_t		n = 1;

	while (v >= 0x80)
	{
		v >>= 7;
		n++;
	}
	return n;
}

size_t
sv_varint_put_any(uint8_t *dst, uint64_t v)
{
	size_t		n = 0;

	while (v >= 0x80)
	{
		dst[n++] = (uint8_t) (v | 0x80);
		v >>= 7;
	}
	dst[n++] = (uint8_t) v;
	return n;
}

/* The next len bytes, or NULL; moves on only in the first case. */
static const uint8_t *
take(SvCursor *c, size_t len)
{
	const uint8_t *at = c->at;

	if (c->left < len)
		return NULL;
	c->at += len;
	c->left -= len;
	return at;
}

bool
sv_cursor_u16(SvCursor *c, uint16_t *v)
{
	const uint8_t *at = take(c, sizeof(*v));

	if (at == NULL)
		return false;
	*v = sv_get_u16(at);
	return true;
}

bool
sv_cursor_u32(SvCursor *c, uint32_t *v)
{
	const uint8_t *at = take(c, sizeof(*v));

	if (at == NULL)
		return false;
	*v = sv_get_u32(at);
	return true;
}

bool
sv_cursor_u64(SvCursor *c, uint64_t *v)
{
	const uint8_t *at = take(c, sizeof(*v));

	if (at == NULL)
		return false;
	*v = sv_get_u64(at);
	return true;
}

bool
sv_cursor_varint64(SvCursor *c, uint64_t *v)
{
	uint64_t	result = 0;

	for (size_t n = 0; n < c->left && n < SV_VARINT64_MAX_BYTES; n++)
	{
		uint8_t		byte = c->at[n];

		/* The tenth byte has room for the 64th bit only. */
		if (n == SV_VARINT64_MAX_BYTES - 1 && byte > 1)
			return false;
		result |= (uint64_t) (byte & 0x7f) << (7 * n);
		if (byte & 0x80)
			continue;
		if (byte == 0 && n > 0)
			return false;		/* a shorter encoding exists */
		(void) take(c, n + 1);
		*v = result;
		return true;
	}
	return false;
}

bool
sv_cursor_long_varint32(SvCursor *c, uint32_t *v)
{
	SvCursor	ahead = *c;
	uint64_t	wide;

	if (!sv_cursor_varint64(&ahead, &wide) || wide > UINT32_MAX)
		return false;
	*c = ahead;
	*v = (uint32_t) wide;
	return true;
}
