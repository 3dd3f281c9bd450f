/*
 * s3_json.c
 *		A parser of JSON that keeps nothing but one string.
 */
#include "store/s3_json.h"

#define MAX_DEPTH 32

/* A place in the text; at == end is its end.  A function that answers false leaves it anywhere. */
typedef struct Place
{
	const uint8_t *at;
	const uint8_t *end;
} Place;

/* Where the bytes of a string go: room 0 for nowhere. */
typedef struct Output
{
	char	   *to;
	size_t		room;			/* without the final NUL */
	size_t		used;
	bool		misfit;			/* it did not fit, or held a NUL */
} Output;

static bool skip_value(Place *p, int depth);

static void
skip_blanks(Place *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
		p->at++;
}

/* The next character that is no blank, if it is c. */
static bool
take(Place *p, char c)
{
	skip_blanks(p);
	if (p->at == p->end || *p->at != (uint8_t) c)
		return false;
	p->at++;
	return true;
}

static void
put_byte(Output *out, unsigned byte)
{
	if (out->used >= out->room || byte == 0)
		out->misfit = true;
	else
		out->to[out->used++] = (char) byte;
}

static void
put_code(Output *out, uint32_t code)
{
	if (code < 0x80)
		put_byte(out, code);
	else if (code < 0x800)
	{
		put_byte(out, 0xC0 | code >> 6);
		put_byte(out, 0x80 | (code & 0x3F));
	}
	else if (code < 0x10000)
	{
		put_byte(out, 0xE0 | code >> 12);
		put_byte(out, 0x80 | (code >> 6 & 0x3F));
		put_byte(out, 0x80 | (code & 0x3F));
	}
	else
	{
		put_byte(out, 0xF0 | code >> 18);
		put_byte(out, 0x80 | (code >> 12 & 0x3F));
		put_byte(out, 0x80 | (code >> 6 & 0x3F));
		put_byte(out, 0x80 | (code & 0x3F));
	}
}

static bool
take_hex4(Place *p, uint32_t *code)
{
	*code = 0;
	if (p->end - p->at < 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		uint8_t		c = *p->at++;

		if (c >= '0' && c <= '9')
			*code = *code << 4 | (uint32_t) (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*code = *code << 4 | (uint32_t) ((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Behind "\u". */
static bool
take_unicode(Place *p, Output *out)
{
	uint32_t	code;
	uint32_t	low;

	if (!take_hex4(p, &code))
		return false;
	if (code >= 0xDC00 && code <= 0xDFFF)
		return false;
	if (code >= 0xD800 && code <= 0xDBFF)
	{
		if (p->end - p->at < 6 || p->at[0] != '\\' || p->at[1] != 'u')
			return false;
		p->at += 2;
		if (!take_hex4(p, &low) || low < 0xDC00 || low > 0xDFFF)
			return false;
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
	}
	put_code(out, code);
	return true;
}

/* Behind a backslash. */
static bool
take_escape(Place *p, Output *out)
{
	static const char names[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *name;

	if (p->at == p->end)
		return false;
	if (*p->at == 'u')
	{
		p->at++;
		return take_unicode(p, out);
	}
	name = *p->at == '\0' ? NULL : strchr(names, *p->at);
	if (name == NULL)
		return false;
	p->at++;
	put_byte(out, (unsigned char) meant[name - names]);
	return true;
}

static bool
take_string(Place *p, Output *out)
{
	out->used = 0;
	out->misfit = false;
	if (!take(p, '"'))
		return false;
	while (p->at < p->end)
	{
		uint8_t		c = *p->at++;

		if (c == '"')
			return true;
		if (c < 0x20 || (c == '\\' && !take_escape(p, out)))
			return false;
		if (c != '\\')
			put_byte(out, c);
	}
	return false;
}

/* Numbers, true, false, null: loosely, since nobody looks at them. */
static bool
skip_word(Place *p)
{
	const uint8_t *begin = p->at;

	while (p->at < p->end && *p->at != '\0' &&
		   strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *p->at) != NULL)
		p->at++;
	return p->at > begin;
}

/* Behind '[' or '{'. */
static bool
skip_members(Place *p, bool named, int depth)
{
	char		close = named ? '}' : ']';
	Output		nowhere = {0};

	if (take(p, close))
		return true;
	do
	{
		if (named && (!take_string(p, &nowhere) || !take(p, ':')))
			return false;
		if (!skip_value(p, depth + 1))
			return false;
	} while (take(p, ','));
	return take(p, close);
}

static bool
skip_value(Place *p, int depth)
{
	Output		nowhere = {0};

	skip_blanks(p);
	if (p->at == p->end || depth > MAX_DEPTH)
		return false;
	if (*p->at == '"')
		return take_string(p, &nowhere);
	if (*p->at != '{' && *p->at != '[')
		return skip_word(p);
	return skip_members(p, *p->at++ == '{', depth);
}

/* One member of the outermost object. */
static bool
take_member(Place *p, const char *name, Output *value, S3JsonResult *result)
{
	char		key[64] = "";
	Output		read = {.to = key,.room = sizeof(key)};

	if (!take_string(p, &read) || !take(p, ':'))
		return false;
	if (read.misfit || read.used != strlen(name) || memcmp(key, name, read.used) != 0)
		return skip_value(p, 1);
	skip_blanks(p);
	value->used = 0;
	if (p->end - p->at >= 4 && memcmp(p->at, "null", 4) == 0)
	{
		*result = S3_JSON_MISSING;
		return skip_value(p, 1);
	}
	*result = S3_JSON_FOUND;
	return take_string(p, value) && !value->misfit;
}

S3JsonResult
s3_json_string(SvSlice json, const char *name, char *value, size_t size)
{
	Place		p = {json.data, json.data + json.len};
	Output		out = {.to = value,.room = size - 1};
	S3JsonResult result = S3_JSON_MISSING;
	bool		well = take(&p, '{');

	if (well && !take(&p, '}'))
	{
		do
			well = take_member(&p, name, &out, &result);
		while (well && take(&p, ','));
		well = well && take(&p, '}');
	}
	skip_blanks(&p);
	if (!well || p.at != p.end)
		result = S3_JSON_BAD;
	value[result == S3_JSON_FOUND ? out.used : 0] = '\0';
	return result;
}
