/*
 * fuzz_s3_json.c
 *		Any bytes as the answer of a service that gives out credentials: what is
 *		found fits, all of the answer is checked whichever member is asked for, and
 *		the beginning of a good answer is not a good answer.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "store/s3_json.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
is_good(const uint8_t *data, size_t size)
{
	char		value[1];

	return s3_json_string(sv_slice(data, size), "no such member", value, sizeof(value)) == S3_JSON_MISSING;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", "a", ""};
	char		value[64];
	const uint8_t *end = data + size;
	bool		good = is_good(data, size);

	while (end > data && end[-1] != '}')
		end--;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		S3JsonResult result = s3_json_string(sv_slice(data, size), names[i], value, sizeof(value));

		if (memchr(value, '\0', sizeof(value)) == NULL || (result != S3_JSON_FOUND && value[0] != '\0') ||
			(result != S3_JSON_BAD && !good))
			abort();
	}
	if (good && is_good(data, (size_t) (end - data) - 1))
		abort();
	return 0;
}
