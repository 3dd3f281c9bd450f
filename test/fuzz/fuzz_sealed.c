/*
 * fuzz_sealed.c
 *		Any bytes as a sealed text, as of changelog objects, snapshots and owners:
 *		what opens is what a seal was made for, and its lines are all of it.
 *
 * The input is opened as it is; then it is sealed, opened, and damaged at a byte
 * that its first bytes say, after which it opens no more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sv_sealed.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* Lines and their newlines, one after the other, are the text. */
static void
require_lines(SvSlice text)
{
	const uint8_t *at = text.data;
	const uint8_t *end = text.data + text.len;
	SvSlice		line;

	while (sv_sealed_next(&text, &line))
	{
		require(line.data == at && line.len <= (size_t) (end - at));
		require(line.len == 0 || memchr(line.data, '\n', line.len) == NULL);
		at += line.len;
		if (at < end)
			require(*at++ == '\n');
	}
	require(at == end && text.len == 0);
}

/* What opens is its lines with the seal of these lines, byte by byte. */
static bool
open_it(SvSlice sealed)
{
	SvBuffer	again;
	SvSlice		lines;
	SvError		err;
	SvStatus	status = sv_sealed_open(sealed, "fuzz", &lines, &err);

	require(status == SV_OK || status == SV_CORRUPT);
	if (status != SV_OK)
		return false;
	require(lines.data == sealed.data && lines.len < sealed.len);
	require_lines(lines);
	sv_buffer_init(&again, &sv_malloc_alloc);
	require(sv_buffer_append(&again, lines.data, lines.len, &err) == SV_OK);
	require(sv_sealed_close(&again, &err) == SV_OK);
	require(sv_slice_equal(sv_buffer_slice(&again), sealed));
	sv_buffer_free(&again);
	return true;
}

static void
seal_and_damage(const uint8_t *data, size_t size)
{
	SvBuffer	text;
	SvError		err;
	size_t		at;

	sv_buffer_init(&text, &sv_malloc_alloc);
	require(sv_buffer_append(&text, data, size, &err) == SV_OK);
	if (size > 0 && data[size - 1] != '\n')
		require(sv_buffer_append(&text, "\n", 1, &err) == SV_OK);
	require(sv_sealed_close(&text, &err) == SV_OK);
	require(open_it(sv_buffer_slice(&text)));
	at = (size > 1 ? (size_t) data[0] << 8 | data[1] : size) % text.len;
	require(!open_it(sv_slice(text.data, at)));
	((uint8_t *) text.data)[at] ^= 1;
	require(!open_it(sv_buffer_slice(&text)));
	sv_buffer_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A pointer that is never NULL, as buffers give it. */
	(void) open_it(sv_slice(size > 0 ? data : (const uint8_t *) "", size));
	seal_and_damage(data, size);
	return 0;
}
