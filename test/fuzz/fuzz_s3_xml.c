/*
 * fuzz_s3_xml.c
 *		Any bytes as an answer of S3: what is told stays inside its bounds, and
 *		the beginning of a good answer is not a good answer.
 */
#include <stdlib.h>

#include "store/s3_xml.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
tell(void *state, const char *path, const char *text)
{
	size_t	   *told = state;

	if (path[0] == '\0' || strlen(path) >= S3_XML_PATH_BYTES || strlen(text) >= S3_XML_TEXT_BYTES)
		abort();
	++*told;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t		told = 0;

	if (s3_xml_parse(sv_slice(data, size), tell, &told) == S3_XML_OK)
	{
		const uint8_t *end = data + size;

		while (end > data && end[-1] != '>')
			end--;
		if (told == 0 || s3_xml_parse(sv_slice(data, (size_t) (end - data) - 1), tell, &told) != S3_XML_BAD)
			abort();
	}
	return 0;
}
