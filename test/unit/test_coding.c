/*
 * test_coding.c
 *		Fixed-width integers, varints, the cursor, and the hash's frozen results.
 */
#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "unit.h"

static void
test_fixed(void)
{
	uint8_t		bytes[8];

	sv_put_u16(bytes, 0x0102);
	CHECK(memcmp(bytes, "\x02\x01", 2) == 0, "two bytes, low one first");
	CHECK(sv_get_u16(bytes) == 0x0102, "two bytes come back");
	sv_put_u32(bytes, 0xf1020304);
	CHECK(memcmp(bytes, "\x04\x03\x02\xf1", 4) == 0, "four bytes, low one first");
	CHECK(sv_get_u32(bytes) == 0xf1020304, "four bytes come back");
	sv_put_u64(bytes, UINT64_C(0xf102030405060708));
	CHECK(memcmp(bytes, "\x08\x07\x06\x05\x04\x03\x02\xf1", 8) == 0, "eight bytes, low one first");
	CHECK(sv_get_u64(bytes) == UINT64_C(0xf102030405060708), "eight bytes come back");
}

/* v goes out and back, and every shorter piece of it is refused. */
static bool
varint_holds(uint64_t v)
{
	uint8_t		bytes[SV_VARINT64_MAX_BYTES];
	size_t		n = sv_varint_put(bytes, v);
	uint64_t	back = ~v;
	uint32_t	back32 = ~(uint32_t) v;
	SvCursor	c = sv_cursor(sv_slice(bytes, n));

	if (n != sv_varint_bytes(v) || !sv_cursor_varint64(&c, &back) || back != v || c.left != 0)
		return false;
	c = sv_cursor(sv_slice(bytes, n));
	if (sv_cursor_varint32(&c, &back32) != (v <= UINT32_MAX))
		return false;
	if (v <= UINT32_MAX ? back32 != v : (c.left != n || back32 != ~(uint32_t) v))
		return false;
	for (size_t cut = 0; cut < n; cut++)
	{
		c = sv_cursor(sv_slice(bytes, cut));
		back = 1;
		if (sv_cursor_varint64(&c, &back) || back != 1 || c.left != cut)
			return false;
	}
	return true;
}

static void
test_varints(void)
{
	bool		ok = varint_holds(0) && varint_holds(UINT64_MAX);

	for (int bit = 0; bit < 64; bit++)
	{
		uint64_t	v = UINT64_C(1) << bit;

		ok = ok && varint_holds(v) && varint_holds(v - 1) && varint_holds(v + 1);
	}
	CHECK(ok, "varints around every power of two");
	CHECK(sv_varint_bytes(UINT32_MAX) == SV_VARINT32_MAX_BYTES, "longest varint of 32 bits");
	CHECK(sv_varint_bytes(UINT64_MAX) == SV_VARINT64_MAX_BYTES, "longest varint of 64 bits");
}

static bool
varint_refused(const char *bytes, size_t n)
{
	SvCursor	c = sv_cursor(sv_slice(bytes, n));
	uint64_t	v;

	return !sv_cursor_varint64(&c, &v) && c.left == n;
}

static void
test_hostile_varints(void)
{
	CHECK(varint_refused("\x80\x00", 2), "zero in two bytes");
	CHECK(varint_refused("\xff\x80\x00", 3), "127 in three bytes");
	CHECK(varint_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), "a 65th bit");
	CHECK(varint_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11), "eleven bytes");
	CHECK(!varint_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), "the largest is taken");
}

static void
test_cursor(void)
{
	const uint8_t bytes[] = {1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'};
	SvCursor	c = sv_cursor(sv_slice(bytes, sizeof(bytes)));
	uint8_t		u8;
	uint16_t	u16;
	uint32_t	u32;
	uint64_t	u64;
	SvSlice		rest;

	CHECK(sv_cursor_u8(&c, &u8) && u8 == 1, "one byte");
	CHECK(sv_cursor_u16(&c, &u16) && u16 == 2, "two bytes");
	CHECK(sv_cursor_u32(&c, &u32) && u32 == 3, "four bytes");
	CHECK(sv_cursor_u64(&c, &u64) && u64 == 4, "eight bytes");
	CHECK(!sv_cursor_bytes(&c, 3, &rest) && c.left == 2, "three of two bytes are refused");
	CHECK(!sv_cursor_bytes(&c, SIZE_MAX, &rest) && c.left == 2, "so are very many");
	CHECK(!sv_cursor_u32(&c, &u32) && !sv_cursor_u64(&c, &u64) && c.left == 2,
		  "and integers longer than what is left");
	CHECK(sv_cursor_bytes(&c, 2, &rest) && sv_slice_equal(rest, sv_slice("ab", 2)), "the rest");
	CHECK(sv_cursor_bytes(&c, 0, &rest) && rest.len == 0 && rest.data == NULL, "nothing is there");
	CHECK(!sv_cursor_u8(&c, &u8) && !sv_cursor_u16(&c, &u16), "the end");

	c = sv_cursor(sv_slice(NULL, 0));
	CHECK(!sv_cursor_u8(&c, &u8) && sv_cursor_bytes(&c, 0, &rest), "a cursor over nothing");
}

static void
test_hash(void)
{
	CHECK(sv_hash64(sv_slice(NULL, 0)) == UINT64_C(0x2d06800538d394c2), "hash of nothing");
	CHECK(sv_hash64(sv_slice("skyvault", 8)) == UINT64_C(0x4ac415568a4fd772), "hash of a word");
}

int
main(void)
{
	test_fixed();
	test_varints();
	test_hostile_varints();
	test_cursor();
	test_hash();
	return unit_done();
}
