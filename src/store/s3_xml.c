/*
 * s3_xml.c
 *		A path of open elements, and the text of the innermost.
 */
#include "store/s3_xml.h"

#include <stdio.h>
#include <string.h>

typedef struct Xml
{
	const uint8_t *at;
	const uint8_t *end;
	char		path[S3_XML_PATH_BYTES];
	size_t		path_len;
	int			depth;
	size_t		starts[S3_XML_MAX_DEPTH];	/* where each open element's name begins in path */
	char		text[S3_XML_TEXT_BYTES];
	size_t		text_len;
	bool		has_elements;	/* the innermost open element has had some */
	bool		had_root;
} Xml;

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_name_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '_' || c == '.' || c == ':';
}

static bool
starts_with(const Xml *xml, const char *s)
{
	size_t		len = strlen(s);

	return (size_t) (xml->end - xml->at) >= len && memcmp(xml->at, s, len) == 0;
}

/* Passes over everything up to and including s; false if it does not come. */
static bool
skip_past(Xml *xml, const char *s)
{
	for (; xml->at < xml->end; xml->at++)
	{
		if (starts_with(xml, s))
		{
			xml->at += strlen(s);
			return true;
		}
	}
	return false;
}

static void
skip_blanks(Xml *xml)
{
	while (xml->at < xml->end && is_blank(*xml->at))
		xml->at++;
}

static SvSlice
take_name(Xml *xml)
{
	const uint8_t *begin = xml->at;

	while (xml->at < xml->end && is_name_char(*xml->at))
		xml->at++;
	return sv_slice(begin, (size_t) (xml->at - begin));
}

/* -------------------------------------------------------------------------
 * Text
 * ------------------------------------------------------------------------- */

static bool
add_text(Xml *xml, const char *bytes, size_t len)
{
	if (xml->text_len + len >= sizeof(xml->text))
		return false;
	memcpy(xml->text + xml->text_len, bytes, len);
	xml->text_len += len;
	return true;
}

static bool
add_code_point(Xml *xml, uint32_t c)
{
	char		utf8[4];

	if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return false;
	if (c < 0x80)
	{
		utf8[0] = (char) c;
		return add_text(xml, utf8, 1);
	}
	if (c < 0x800)
	{
		utf8[0] = (char) (0xC0 | c >> 6);
		utf8[1] = (char) (0x80 | (c & 0x3F));
		return add_text(xml, utf8, 2);
	}
	if (c < 0x10000)
	{
		utf8[0] = (char) (0xE0 | c >> 12);
		utf8[1] = (char) (0x80 | (c >> 6 & 0x3F));
		utf8[2] = (char) (0x80 | (c & 0x3F));
		return add_text(xml, utf8, 3);
	}
	utf8[0] = (char) (0xF0 | c >> 18);
	utf8[1] = (char) (0x80 | (c >> 12 & 0x3F));
	utf8[2] = (char) (0x80 | (c >> 6 & 0x3F));
	utf8[3] = (char) (0x80 | (c & 0x3F));
	return add_text(xml, utf8, 4);
}

static int
digit_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* "&#10;" or "&#xA;", behind "&#". */
static bool
take_numeric_entity(Xml *xml)
{
	uint32_t	base = 10;
	uint32_t	c = 0;
	int			digits = 0;

	if (xml->at < xml->end && *xml->at == 'x')
	{
		base = 16;
		xml->at++;
	}
	while (xml->at < xml->end && (uint32_t) digit_value(*xml->at) < base && digits++ < 8)
		c = c * base + (uint32_t) digit_value(*xml->at++);
	if (digits == 0 || xml->at == xml->end || *xml->at != ';')
		return false;
	xml->at++;
	return add_code_point(xml, c);
}

static bool
take_entity(Xml *xml)
{
	static const struct
	{
		const char *name;
		const char *text;
	}			entities[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}};

	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
	{
		if (starts_with(xml, entities[i].name))
		{
			xml->at += strlen(entities[i].name);
			return add_text(xml, entities[i].text, 1);
		}
	}
	if (!starts_with(xml, "&#"))
		return false;
	xml->at += 2;
	return take_numeric_entity(xml);
}

/* Up to the next '<'. */
static bool
take_text(Xml *xml)
{
	while (xml->at < xml->end && *xml->at != '<')
	{
		if (*xml->at == '&' ? !take_entity(xml) : *xml->at == 0 || !add_text(xml, (const char *) xml->at++, 1))
			return false;
	}
	return true;
}

/* -------------------------------------------------------------------------
 * Elements
 * ------------------------------------------------------------------------- */

static bool
open_element(Xml *xml, SvSlice name)
{
	bool		first = xml->path_len == 0;

	if (name.len == 0 || xml->depth == S3_XML_MAX_DEPTH || (xml->depth == 0 && xml->had_root) ||
		xml->path_len + 1 + name.len >= sizeof(xml->path))
		return false;
	if (!first)
		xml->path[xml->path_len++] = '/';
	xml->starts[xml->depth++] = xml->path_len;
	memcpy(xml->path + xml->path_len, name.data, name.len);
	xml->path_len += name.len;
	xml->text_len = 0;
	xml->has_elements = false;
	xml->had_root = true;
	return true;
}

/* Ends the innermost element; false if the callback wants no more. */
static bool
close_element(Xml *xml, S3XmlCallback callback, void *state)
{
	bool		more;

	xml->path[xml->path_len] = '\0';
	xml->text[xml->has_elements ? 0 : xml->text_len] = '\0';
	more = callback(state, xml->path, xml->text);
	xml->depth--;
	xml->path_len = xml->starts[xml->depth] > 0 ? xml->starts[xml->depth] - 1 : 0;
	xml->text_len = 0;
	xml->has_elements = true;
	return more;
}

/* Attributes up to '>' or "/>"; values are quoted and may hold both. */
static bool
skip_attributes(Xml *xml)
{
	for (;;)
	{
		uint8_t		quote;

		skip_blanks(xml);
		if (xml->at == xml->end)
			return false;
		if (*xml->at == '>' || *xml->at == '/')
			return true;
		if (take_name(xml).len == 0)
			return false;
		skip_blanks(xml);
		if (xml->at == xml->end || *xml->at++ != '=')
			return false;
		skip_blanks(xml);
		if (xml->at == xml->end || ((quote = *xml->at++) != '"' && quote != '\''))
			return false;
		while (xml->at < xml->end && *xml->at != quote && *xml->at != '<')
			xml->at++;
		if (xml->at == xml->end || *xml->at++ != quote)
			return false;
	}
}

static S3XmlResult
take_start(Xml *xml, S3XmlCallback callback, void *state)
{
	if (!open_element(xml, take_name(xml)) || !skip_attributes(xml))
		return S3_XML_BAD;
	if (*xml->at++ == '>')
		return S3_XML_OK;
	if (xml->at == xml->end || *xml->at++ != '>')
		return S3_XML_BAD;
	return close_element(xml, callback, state) ? S3_XML_OK : S3_XML_ENDED;
}

static S3XmlResult
take_end(Xml *xml, S3XmlCallback callback, void *state)
{
	SvSlice		name = take_name(xml);
	size_t		start;

	skip_blanks(xml);
	if (xml->depth == 0 || xml->at == xml->end || *xml->at++ != '>')
		return S3_XML_BAD;
	start = xml->starts[xml->depth - 1];
	if (!sv_slice_equal(name, sv_slice(xml->path + start, xml->path_len - start)))
		return S3_XML_BAD;
	return close_element(xml, callback, state) ? S3_XML_OK : S3_XML_ENDED;
}

/* At a '<'. */
static S3XmlResult
take_tag(Xml *xml, S3XmlCallback callback, void *state)
{
	if (starts_with(xml, "<!--"))
		return skip_past(xml, "-->") ? S3_XML_OK : S3_XML_BAD;
	if (starts_with(xml, "<?"))
		return !xml->had_root && skip_past(xml, "?>") ? S3_XML_OK : S3_XML_BAD;
	if (starts_with(xml, "</"))
	{
		xml->at += 2;
		return take_end(xml, callback, state);
	}
	xml->at++;
	return take_start(xml, callback, state);
}

S3XmlResult
s3_xml_parse(SvSlice bytes, S3XmlCallback callback, void *state)
{
	Xml			xml = {.at = bytes.data,.end = bytes.len > 0 ? bytes.data + bytes.len : bytes.data};
	S3XmlResult result = S3_XML_OK;

	while (xml.at < xml.end && result == S3_XML_OK)
	{
		if (xml.depth == 0)
			skip_blanks(&xml);
		else if (!take_text(&xml))
			return S3_XML_BAD;
		if (xml.at == xml.end)
			break;
		result = *xml.at == '<' ? take_tag(&xml, callback, state) : S3_XML_BAD;
	}
	if (result == S3_XML_OK && (xml.depth > 0 || !xml.had_root))
		return S3_XML_BAD;
	return result;
}
