/*
 * fuzz_coding.c
 *		Any bytes through a cursor: what it reads is inside them and encodes to
 *		the same bytes again, and what it refuses leaves it where it was.
 *
 * The first byte of each step says what is read next.  So an input is a
 * program, and an input that is only data ends at once.
 */
#include <stdlib.h>

#include "base/sv_coding.h"
#include "lsm/lsm_walkey.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 7

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* Little-endian, byte by byte. */
static uint64_t
number_of(const uint8_t *at, size_t bytes)
{
	uint64_t	v = 0;

	for (size_t i = bytes; i > 0; i--)
		v = v << 8 | at[i - 1];
	return v;
}

/* The cursor has moved over exactly so many bytes. */
static void
require_moved(const SvCursor *before, const SvCursor *after, size_t bytes)
{
	require(bytes <= before->left);
	require(after->at == before->at + bytes && after->left == before->left - bytes);
}

static void
read_fixed(SvCursor *c, size_t bytes)
{
	SvCursor	before = *c;
	uint64_t	v = 0;
	uint8_t		v8 = 0;
	uint16_t	v16 = 0;
	uint32_t	v32 = 0;
	bool		ok;

	switch (bytes)
	{
		case 1:
			ok = sv_cursor_u8(c, &v8);
			v = v8;
			break;
		case 2:
			ok = sv_cursor_u16(c, &v16);
			v = v16;
			break;
		case 4:
			ok = sv_cursor_u32(c, &v32);
			v = v32;
			break;
		default:
			ok = sv_cursor_u64(c, &v);
			break;
	}
	require(ok == (before.left >= bytes));
	require_moved(&before, c, ok ? bytes : 0);
	require(v == (ok ? number_of(before.at, bytes) : 0));
}

/* A varint has one encoding only, so writing the number again gives the same bytes. */
static void
require_encodes(const SvCursor *before, const SvCursor *after, uint64_t v)
{
	uint8_t		again[SV_VARINT64_MAX_BYTES];
	size_t		bytes = sv_varint_put(again, v);

	require(bytes == sv_varint_bytes(v));
	require_moved(before, after, bytes);
	require(memcmp(again, before->at, bytes) == 0);
}

static void
read_varint(SvCursor *c, bool narrow)
{
	const uint64_t untouched = UINT64_C(0x5ca1ab1e5ca1ab1e);
	SvCursor	before = *c;
	SvCursor	as_wide = *c;
	uint32_t	v32 = (uint32_t) untouched;
	uint64_t	v64 = untouched;
	bool		ok = sv_cursor_varint64(&as_wide, &v64);

	if (ok)
		require_encodes(&before, &as_wide, v64);
	else
		require(v64 == untouched && as_wide.at == before.at && as_wide.left == before.left);
	if (!narrow)
	{
		*c = as_wide;
		return;
	}
	require(sv_cursor_varint32(c, &v32) == (ok && v64 <= UINT32_MAX));
	if (ok && v64 <= UINT32_MAX)
	{
		require(v32 == v64);
		require_encodes(&before, c, v32);
	}
	else
		require(v32 == (uint32_t) untouched && c->at == before.at && c->left == before.left);
}

/* Bytes of a length that the input gives, and what they are as the key of a WAL run. */
static void
read_bytes(SvCursor *c)
{
	uint8_t		len;
	SvCursor	before;
	SvSlice		bytes = {0};

	if (!sv_cursor_u8(c, &len))
		return;
	before = *c;
	if (!sv_cursor_bytes(c, len, &bytes))
	{
		require(before.left < len && bytes.data == NULL && bytes.len == 0);
		require_moved(&before, c, 0);
		return;
	}
	require_moved(&before, c, len);
	require(bytes.len == len && (len == 0 || bytes.data == before.at));
	if (len >= LSM_WALKEY_PREFIX_BYTES)
	{
		uint8_t		prefix[LSM_WALKEY_PREFIX_BYTES];

		lsm_walkey_prefix(prefix, lsm_walkey_table(bytes));
		require(memcmp(prefix, bytes.data, sizeof(prefix)) == 0);
		require(lsm_walkey_key(bytes).len == len - sizeof(prefix));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SvCursor	c = sv_cursor(sv_slice(data, size));
	uint8_t		step;

	while (sv_cursor_u8(&c, &step))
	{
		switch (step % STEPS)
		{
			case 0:
				read_varint(&c, false);
				break;
			case 1:
				read_varint(&c, true);
				break;
			case 2:
				read_bytes(&c);
				break;
			default:
				read_fixed(&c, (size_t) 1 << (step % STEPS - 3));
				break;
		}
	}
	return 0;
}
