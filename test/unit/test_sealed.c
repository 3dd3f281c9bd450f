/*
 * test_sealed.c
 *		Sealed text: every bit and every length of it counts.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/sv_sealed.h"

#define TEXT "{\"skyvault\":\"log\"}\n{\"change\":{\"id\":7}}\n"

static bool
opens(const uint8_t *data, size_t len)
{
	uint8_t    *exact = malloc(len > 0 ? len : 1);	/* so that a byte too many is noticed */
	SvSlice		lines;
	SvError		err;
	bool		ok;

	memcpy(exact, data, len);
	ok = sv_sealed_open(sv_slice(exact, len), "x", &lines, &err) == SV_OK;
	if (!ok && err.status != SV_CORRUPT)
		abort();
	free(exact);
	return ok;
}

static void
test_round_trip(SvBuffer *text)
{
	SvSlice		lines;
	SvSlice		line;
	SvError		err;

	CHECK(sv_buffer_append(text, TEXT, strlen(TEXT), &err) == SV_OK &&
		  sv_sealed_close(text, &err) == SV_OK, "text is sealed");
	CHECK(sv_sealed_open(sv_buffer_slice(text), "x", &lines, &err) == SV_OK &&
		  lines.len == strlen(TEXT) && memcmp(lines.data, TEXT, lines.len) == 0, "and opened again");
	CHECK(sv_sealed_next(&lines, &line) && line.len == 18 && sv_sealed_next(&lines, &line) &&
		  line.len == 19 && memcmp(line.data, "{\"change\":{\"id\":7}}", 19) == 0 &&
		  !sv_sealed_next(&lines, &line), "line by line");
}

static void
test_damage(const SvBuffer *text)
{
	uint8_t    *copy = malloc(text->len + 1);
	int			opened = 0;

	for (size_t i = 0; i < text->len; i++)
		for (int bit = 0; bit < 8; bit++)
		{
			memcpy(copy, text->data, text->len);
			copy[i] ^= (uint8_t) (1 << bit);
			opened += opens(copy, text->len);
		}
	CHECK(opened == 0, "no bit can be flipped");

	opened = 0;
	for (size_t len = 0; len < text->len; len++)
		opened += opens(text->data, len);
	CHECK(opened == 0, "nothing can be cut off");
	memcpy(copy, text->data, text->len);
	copy[text->len] = '\n';
	CHECK(!opens(copy, text->len + 1), "nothing can be added");
	free(copy);
}

int
main(void)
{
	SvBuffer	text;
	SvBuffer	empty;
	SvError		err;

	sv_buffer_init(&text, &sv_malloc_alloc);
	sv_buffer_init(&empty, &sv_malloc_alloc);
	test_round_trip(&text);
	test_damage(&text);
	CHECK(sv_sealed_close(&empty, &err) == SV_OK && opens(empty.data, empty.len), "no line at all can be sealed");
	CHECK(!opens((const uint8_t *) "", 0), "nothing is not sealed");
	sv_buffer_free(&text);
	sv_buffer_free(&empty);
	return unit_done();
}
