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

static const char *
check_steps(const SstKeyCode *code, uint32_t tables)
{
	for (uint32_t i = 0; i < code->step_count; i++)
	{
		const uint8_t *step = code->steps + (size_t) i * SST_KEYCODE_STEP_BYTES;
		uint32_t	length = sv_get_u32(step + SST_KEYCODE_STEP_LENGTH);

		if (length > 8)
			return "literal of a key code is too long";
		if (length == 0 && sv_get_u32(step + SST_KEYCODE_STEP_TABLE) >= tables)
			return "key code names no table";
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
 * A byte that occurs at its position adds its rank times the weight, and the
 * next position decides further.  One that does not occur adds the number of
 * those below it and ends the number: it gets the lowest code of the next byte
 * that does occur, or, where there is none, carries into the position before.
 * The key's end ends the number, too.
 */
static uint64_t
alphabet_code(const SstKeyCode *code, SvSlice key)
{
	const uint8_t *step = code->steps;
	const uint8_t *end = step + (size_t) code->step_count * SST_KEYCODE_STEP_BYTES;
	size_t		at = (size_t) code->skip + code->prefix_bytes;
	uint64_t	value = 0;

	for (; step < end && at < key.len; step += SST_KEYCODE_STEP_BYTES)
	{
		uint32_t	length = sv_get_u32(step + SST_KEYCODE_STEP_LENGTH);

		if (length == 0)
		{
			const uint8_t *table = code->tables +
				(size_t) sv_get_u32(step + SST_KEYCODE_STEP_TABLE) * SST_KEYCODE_TABLE_BYTES;
			uint32_t	digit = sv_get_u16(table + 2 * (size_t) key.data[at]);

			value += (digit >> 1) * sv_get_u64(step);
			if ((digit & 1) == 0)
				break;
			at++;
		}
		else
		{
			uint64_t	literal = sv_get_u64(step + SST_KEYCODE_STEP_LITERAL);
			uint64_t	window = window_at(key, at) >> (64 - 8 * length);

			if (window != literal)
				return window < literal ? value : value + sv_get_u64(step);
			at += length;
		}
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
