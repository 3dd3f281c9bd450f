/*
 * sv_sealed.c
 *		Text in lines with a last line that tells whether all of it is there.
 */
#include "base/sv_sealed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sv_hash.h"

#define SEAL_MAX_BYTES 80

static size_t
make_seal(SvSlice lines, char seal[SEAL_MAX_BYTES])
{
	uint64_t	count = 0;

	for (size_t i = 0; i < lines.len; i++)
		count += lines.data[i] == '\n';
	return (size_t) snprintf(seal, SEAL_MAX_BYTES,
							 "{\"end\":{\"lines\":%" PRIu64 ",\"xxh3\":\"%016" PRIx64 "\"}}\n",
							 count, sv_hash64(lines));
}

SvStatus
sv_sealed_close(SvBuffer *text, SvError *err)
{
	char		seal[SEAL_MAX_BYTES];
	size_t		len = make_seal(sv_buffer_slice(text), seal);

	return sv_buffer_append(text, seal, len, err);
}

/* The length of what comes before the last line. */
static size_t
before_last_line(SvSlice text)
{
	size_t		len = text.len > 0 ? text.len - 1 : 0;

	while (len > 0 && text.data[len - 1] != '\n')
		len--;
	return len;
}

SvStatus
sv_sealed_open(SvSlice sealed, const char *name, SvSlice *lines, SvError *err)
{
	char		seal[SEAL_MAX_BYTES];
	size_t		len;

	*lines = sv_slice(sealed.data, before_last_line(sealed));
	len = make_seal(*lines, seal);
	if (sealed.len - lines->len != len || memcmp(sealed.data + lines->len, seal, len) != 0)
		return sv_fail(err, SV_CORRUPT, "object \"%s\" is cut or damaged: its checksum does not match", name);
	return SV_OK;
}

bool
sv_sealed_next(SvSlice *lines, SvSlice *line)
{
	const uint8_t *end;

	if (lines->len == 0)
		return false;
	end = memchr(lines->data, '\n', lines->len);
	line->data = lines->data;
	line->len = end != NULL ? (size_t) (end - lines->data) : lines->len;
	lines->data += line->len + (end != NULL);
	lines->len -= line->len + (end != NULL);
	return true;
}
