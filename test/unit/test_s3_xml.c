/*
 * test_s3_xml.c
 *		The parser of S3's answers.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/s3_xml.h"

static char told[1024];
static int	left;

static bool
tell(void *state, const char *path, const char *text)
{
	size_t		used = strlen(told);

	(void) state;
	snprintf(told + used, sizeof(told) - used, "%s=%s;", path, text);
	return --left != 0;
}

static S3XmlResult
parse_some(const char *bytes, size_t len)
{
	uint8_t    *copy = malloc(len + 1);
	S3XmlResult result;

	/* At the end of its memory, so that a byte read too many is noticed. */
	memcpy(copy + 1, bytes, len);
	told[0] = '\0';
	result = s3_xml_parse(sv_slice(copy + 1, len), tell, NULL);
	free(copy);
	return result;
}

static S3XmlResult
parse(const char *text)
{
	left = -1;
	return parse_some(text, strlen(text));
}

static void
test_good(void)
{
	CHECK(parse("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message/>\n"
				"  <A x='<a' >1</A></Error>\n") == S3_XML_BAD, "a '<' in an attribute is refused");
	CHECK(parse("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message/>\n"
				"  <A x='/>' y = \"1\">1</A></Error>\n") == S3_XML_OK &&
		  strcmp(told, "Error/Code=NoSuchKey;Error/Message=;Error/A=1;Error=;") == 0, "an error");
	CHECK(parse("<a>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;&#xe4;&#x20AC;&#x1F600;</a>") == S3_XML_OK &&
		  strcmp(told, "a=&<>\"'AB\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80;") == 0, "entities");
	CHECK(parse("<a><!-- <b> --><b>x<!-- y -->z</b ></a>") == S3_XML_OK && strcmp(told, "a/b=xz;a=;") == 0, "comments");
	CHECK(parse("<a>\n<b> x </b>\n</a>") == S3_XML_OK && strcmp(told, "a/b= x ;a=;") == 0, "blanks");
	CHECK(parse("<a/>") == S3_XML_OK && strcmp(told, "a=;") == 0, "an empty element");
	left = 1;
	CHECK(parse_some("<a><b>1</b><c>2</c></a>", 23) == S3_XML_ENDED && strcmp(told, "a/b=1;") == 0, "ended early");
}

static void
test_bad(void)
{
	static const char *const bad[] = {
		"", "  ", "x", "<", "<a", "<a>", "<a></b>", "<a></a", "</a>", "<a></a><b></b>", "<a></a>x",
		"<a>&nbsp;</a>",
		"<a>&#;</a>", "<a>&#x110000;</a>", "<a>&#xD800;</a>", "<a>&#0;</a>", "<a>&amp</a>", "<a>&</a>",
		"<a>&#99999999999;</a>",
		"<!DOCTYPE a><a/>", "<a><![CDATA[x]]></a>", "<a b></a>", "<a b=c></a>", "<a b='c></a>", "<a/ >",
		"<a><!-- x </a>",
		"<a><?x?></a>", "<a><></></a>", "<a></a b>", "< a></a>", "<a><b></a></b>",
		"<html><head><title>Welcome<br></title></head></html>", "HTTP/1.1 400"
	};
	char		text[S3_XML_TEXT_BYTES + 16];
	char		name[S3_XML_PATH_BYTES + 16];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(parse(bad[i]) == S3_XML_BAD, bad[i]);
	left = -1;
	CHECK(parse_some("<a>\0</a>", 8) == S3_XML_BAD, "a byte zero");
	CHECK(parse("<1><2><3><4><5><6><7><8></8></7></6></5></4></3></2></1>") == S3_XML_OK, "eight deep");
	CHECK(parse("<1><2><3><4><5><6><7><8><9></9></8></7></6></5></4></3></2></1>") == S3_XML_BAD, "nine deep");

	memset(text, 'x', sizeof(text));
	memcpy(text, "<a>", 3);
	memcpy(text + 3 + S3_XML_TEXT_BYTES, "</a>", 4);
	CHECK(parse_some(text, S3_XML_TEXT_BYTES + 7) == S3_XML_BAD, "a text too long");
	memcpy(text + 2 + S3_XML_TEXT_BYTES, "</a>", 4);
	CHECK(parse_some(text, S3_XML_TEXT_BYTES + 6) == S3_XML_OK, "a text as long as it may be");
	memset(name, 'n', sizeof(name));
	name[0] = '<';
	name[S3_XML_PATH_BYTES + 1] = '/';
	name[S3_XML_PATH_BYTES + 2] = '>';
	CHECK(parse_some(name, S3_XML_PATH_BYTES + 3) == S3_XML_BAD, "a name too long");
}

int
main(void)
{
	test_good();
	test_bad();
	return unit_done();
}
