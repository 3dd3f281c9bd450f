/*
 * sst_keycode.h
 *		A key as a 64-bit number that keeps the order of keys.
 *
 * A key code belongs to a set of keys that share a prefix.  It compares that
 * prefix and turns what follows into a number, in one of two ways:
 *
 * - bytes: the next eight bytes, big-endian, zeroes for those that lack;
 * - alphabet: a mixed-radix number whose digit at each position is the byte's
 *   rank among those that occur there.  Positions where only one byte occurs
 *   are compared and cost no room in the number.
 *
 * For all byte strings whatsoever with the prefix, a <= b implies code(a) <=
 * code(b).  Equal codes say nothing.  The bytes of a key code are described
 * in FORMAT.md, "Learned index".
 */
#ifndef SST_KEYCODE_H
#define SST_KEYCODE_H

#include "base/sv_coding.h"

#define SST_KEYCODE_HEADER_BYTES	16
#define SST_KEYCODE_STEP_BYTES		24
#define SST_KEYCODE_TABLE_BYTES		512

/*
 * A step: the weight of its last position, a literal, kind, length, table of a
 * digit, first byte and number of the symbols of a run.
 */
#define SST_KEYCODE_STEP_LITERAL	8
#define SST_KEYCODE_STEP_KIND		16
#define SST_KEYCODE_STEP_LENGTH		17
#define SST_KEYCODE_STEP_TABLE		18
#define SST_KEYCODE_STEP_FIRST		20
#define SST_KEYCODE_STEP_SYMBOLS	21
#define SST_KEYCODE_STEP_ZERO		22

#define SST_KEYCODE_DIGIT	0	/* one position, any symbols */
#define SST_KEYCODE_LITERAL	1	/* up to eight, of one symbol each */
#define SST_KEYCODE_RUN		2	/* up to eight, each with the same bytes from one to another */

/* A parsed key code: borrows the bytes. */
typedef struct SstKeyCode
{
	const uint8_t *prefix;
	const uint8_t *steps;
	const uint8_t *tables;
	uint32_t	skip;			/* the prefix begins here: whatever is before has been compared */
	uint32_t	prefix_bytes;
	uint32_t	step_count;		/* 0: the next eight bytes */
} SstKeyCode;

/*
 * Takes any bytes; *used is how many belong to the code, a multiple of 16.
 * NULL, or what is wrong.
 */
extern const char *sst_keycode_parse(SstKeyCode *code, SvSlice bytes, size_t *used);

/* The same for bytes that were checked before. */
extern void sst_keycode_read(SstKeyCode *code, const uint8_t *bytes);

/* Writes SST_KEYCODE_HEADER_BYTES.  Steps, tables, prefix and padding go behind them. */
extern void sst_keycode_write_header(uint8_t *bytes, uint32_t skip, uint32_t prefix_bytes,
									 uint16_t steps, uint16_t tables);

static inline uint64_t
sst_keycode_big_endian(const uint8_t *src)
{
	return (uint64_t) src[0] << 56 | (uint64_t) src[1] << 48 |
		(uint64_t) src[2] << 40 | (uint64_t) src[3] << 32 |
		(uint64_t) src[4] << 24 | (uint64_t) src[5] << 16 |
		(uint64_t) src[6] << 8 | (uint64_t) src[7];
}

/* sst_keycode_of, where there is a prefix or an alphabet or the key is short. */
extern int	sst_keycode_of_any(const SstKeyCode *code, SvSlice key, uint64_t *value);

/*
 * Answers 0 and sets *value; or, for a key without the prefix, on which side
 * of those with it the key is.  The key must have `skip` bytes, and they must
 * be those that all the keys share.
 */
static inline int
sst_keycode_of(const SstKeyCode *code, SvSlice key, uint64_t *value)
{
	if ((code->prefix_bytes | code->step_count) != 0 || key.len < (size_t) code->skip + 8)
		return sst_keycode_of_any(code, key, value);
	*value = sst_keycode_big_endian(key.data + code->skip);
	return 0;
}

#endif							/* SST_KEYCODE_H */
