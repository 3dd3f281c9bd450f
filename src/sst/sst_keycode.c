/*
 * sst_keycode.c
 *		A key as a number: FORMAT.md, "Learned index".
 */
#include "sst/sst_keycode.h"

/* The header: skip, bytes of the prefix, steps, tables, zero. */
#define HEADER_PREFIX	4
#define HEADER_STEPS	8
#define HEADER_TABLES	10
#define HEADER_ZERO		12

void
sst_keycode_write_header(uint8_t *bytes, uint32_t skip, uint32_t prefix_bytes,
						 uint16_t steps, uint16_t tables)
{
	sv_put_u32(bytes, skip);
	sv_put_u32(bytes + HEADER_PREFIX, prefix_bytes);
	sv_put_u16(bytes + HEADER_STEPS, steps);
	sv_put_u16(bytes + HEADER_TABLES, tables);
	sv_put_u32(bytes + HEADER_ZERO, 0);
}

void
sst_keycode_read(SstKeyCode *code, const uint8_t *bytes)
{
	code->skip = sv_get_u32(bytes);
	code->prefix_bytes = sv_get_u32(bytes + HEADER_PREFIX);
	code->step_count = sv_get_u16(bytes + HEADER_STEPS);
	code->steps = bytes + SST_KEYCODE_HEADER_BYTES;
	code->tables = code->steps + (size_t) code->step_count * SST_KEYCODE_STEP_BYTES;
	code->prefix = code->tables +
		(size_t) sv_get_u16(bytes + HEADER_TABLES) * SST_KEYCODE_TABLE_BYTES;
}

/* The arithmetic of runs is for bytes of seven bits, and needs zeroes to be below them. */
static bool
step_is_good(const uint8_t *step, uint32_t tables)
{
	uint32_t	length = step[SST_KEYCODE_STEP_LENGTH];
	uint32_t	first = step[SST_KEYCODE_STEP_FIRST];
	uint32_t	symbols = step[SST_KEYCODE_STEP_SYMBOLS];

	if (length < 1 || length > 8 || sv_get_u16(step + SST_KEYCODE_STEP_ZERO) != 0)
		return false;
	switch (step[SST_KEYCODE_STEP_KIND])
	{
		case SST_KEYCODE_DIGIT:
			return length == 1 && sv_get_u16(step + SST_KEYCODE_STEP_TABLE) < tables;
		case SST_KEYCODE_LITERAL:
			return true;
		case SST_KEYCODE_RUN:
			return first >= 1 && symbols >= 1 && first + symbols <= 128;
		default:
			return false;
	}
}

static const char *
check_steps(const SstKeyCode *code, uint32_t tables)
{
	for (uint32_t i = 0; i < code->step_count; i++)
	{
		if (!step_is_good(code->steps + (size_t) i * SST_KEYCODE_STEP_BYTES, tables))
			return "key code has a malformed step";
	}
	return NULL;
}

const char *
sst_keycode_parse(SstKeyCode *code, SvSlice bytes, size_t *used)
{
	uint64_t	need;
	uint32_t	tables;

	if (bytes.len < SST_KEYCODE_HEADER_BYTES)
		return "key code is cut off";
	sst_keycode_read(code, bytes.data);
	tables = sv_get_u16(bytes.data + HEADER_TABLES);
	need = (uint64_t) SST_KEYCODE_HEADER_BYTES + code->prefix_bytes +
		(uint64_t) code->step_count * SST_KEYCODE_STEP_BYTES +
		(uint64_t) tables * SST_KEYCODE_TABLE_BYTES;
	need = (need + 15) & ~UINT64_C(15);
	if (need > bytes.len)
		return "key code is cut off";
	if (sv_get_u32(bytes.data + HEADER_ZERO) != 0)
		return "key code is malformed";
	*used = (size_t) need;
	return check_steps(code, tables);
}

/* The eight bytes of key from `at` on, zeroes behind its end. */
static inline uint64_t
window_at(SvSlice key, size_t at)
{
	uint64_t	window = 0;

	if (key.len >= at + 8)
		return sst_keycode_big_endian(key.data + at);
	if (key.len <= at)
		return 0;
	if (key.len >= 8)
		return sst_keycode_big_endian(key.data + key.len - 8) << (8 * (8 - (key.len - at)));
	for (size_t i = at; i < key.len; i++)
		window |= (uint64_t) key.data[i] << (8 * (7 - (i - at)));
	return window;
}

/* Below, within (0) or above the keys that have the prefix, which is not empty. */
static inline int
compare_prefix(const SstKeyCode *code, SvSlice key)
{
	size_t		room = key.len - code->skip;
	int			c = 0;

	/* there is no data in an empty key */
	if (room > 0)
		c = memcmp(key.data + code->skip, code->prefix,
				   room < code->prefix_bytes ? room : code->prefix_bytes);
	return c != 0 ? c : -(room < code->prefix_bytes);
}

/*
 * Alphabets.  A byte that occurs at its position adds its rank times the
 * weight, and the next position decides further.  One that does not occur adds
 * the number of those below it and ends the number: it gets the lowest code of
 * the next byte that does occur, or, where there is none, carries into the
 * position before.  The key's end ends the number, too.
 *
 * Each step adds to *value and answers whether the next one counts.
 */
static bool
add_digit(const SstKeyCode *code, const uint8_t *step, SvSlice key, size_t at, uint64_t *value)
{
	const uint8_t *table = code->tables +
		(size_t) sv_get_u16(step + SST_KEYCODE_STEP_TABLE) * SST_KEYCODE_TABLE_BYTES;
	uint32_t	digit = sv_get_u16(table + 2 * (size_t) key.data[at]);

	*value += (digit >> 1) * sv_get_u64(step);
	return (digit & 1) != 0;
}

static bool
add_literal(const uint8_t *step, SvSlice key, size_t at, uint64_t *value)
{
	uint64_t	literal = sv_get_u64(step + SST_KEYCODE_STEP_LITERAL);
	uint64_t	window = window_at(key, at) >> (64 - 8 * step[SST_KEYCODE_STEP_LENGTH]);

	if (window > literal)
		*value += sv_get_u64(step);
	return window == literal;
}

/* A run in which the key ends or some byte is not a symbol. */
static void
add_broken_run(const uint8_t *step, SvSlice key, size_t at, uint64_t *value)
{
	uint32_t	first = step[SST_KEYCODE_STEP_FIRST];
	uint32_t	symbols = step[SST_KEYCODE_STEP_SYMBOLS];
	uint64_t	number = 0;
	bool		broken = false;

	for (uint32_t i = 0; i < step[SST_KEYCODE_STEP_LENGTH]; i++, at++)
	{
		number *= symbols;
		if (!broken && at < key.len && key.data[at] >= first)
		{
			uint32_t	digit = key.data[at] - first;

			broken = digit >= symbols;
			number += broken ? symbols : digit;
		}
		else
			broken = true;
	}
	*value += number * sv_get_u64(step);
}

/*
 * All bytes at once: first whether each is a symbol, by what the additions
 * carry into their high bits; then neighbours are joined to digits of twice as
 * many bytes, three times.
 */
static bool
add_run(const uint8_t *step, SvSlice key, size_t at, uint64_t *value)
{
	uint32_t	shift = 64 - 8 * (uint32_t) step[SST_KEYCODE_STEP_LENGTH];
	uint64_t	ones = UINT64_C(0x0101010101010101) >> shift;
	uint64_t	highs = ones << 7;
	uint64_t	first = step[SST_KEYCODE_STEP_FIRST];
	uint64_t	symbols = step[SST_KEYCODE_STEP_SYMBOLS];
	uint64_t	window = window_at(key, at) >> shift;
	uint64_t	above = window | (window + (128 - first - symbols) * ones);
	uint64_t	number = (window | highs) - first * ones;

	if (((above | ~number) & highs) != 0)
	{
		add_broken_run(step, key, at, value);
		return false;
	}
	number ^= highs;
	number = (number >> 8 & UINT64_C(0x00ff00ff00ff00ff)) * symbols +
		(number & UINT64_C(0x00ff00ff00ff00ff));
	symbols *= symbols;
	number = (number >> 16 & UINT64_C(0x0000ffff0000ffff)) * symbols +
		(number & UINT64_C(0x0000ffff0000ffff));
	symbols *= symbols;
	number = (number >> 32) * symbols + (number & UINT32_MAX);
	*value += number * sv_get_u64(step);
	return true;
}

static uint64_t
alphabet_code(const SstKeyCode *code, SvSlice key)
{
	const uint8_t *step = code->steps;
	const uint8_t *end = step + (size_t) code->step_count * SST_KEYCODE_STEP_BYTES;
	size_t		at = (size_t) code->skip + code->prefix_bytes;
	uint64_t	value = 0;
	bool		more = true;

	for (; more && step < end && at < key.len; step += SST_KEYCODE_STEP_BYTES)
	{
		uint8_t		kind = step[SST_KEYCODE_STEP_KIND];

		if (kind == SST_KEYCODE_RUN)
			more = add_run(step, key, at, &value);
		else if (kind == SST_KEYCODE_LITERAL)
			more = add_literal(step, key, at, &value);
		else
			more = add_digit(code, step, key, at, &value);
		at += step[SST_KEYCODE_STEP_LENGTH];
	}
	return value;
}

int
sst_keycode_of_any(const SstKeyCode *code, SvSlice key, uint64_t *value)
{
	if (code->prefix_bytes > 0)
	{
		int			side = compare_prefix(code, key);

		if (side != 0)
			return side;
	}
	if (code->step_count == 0)
		*value = window_at(key, (size_t) code->skip + code->prefix_bytes);
	else
		*value = alphabet_code(code, key);
	return 0;
}
