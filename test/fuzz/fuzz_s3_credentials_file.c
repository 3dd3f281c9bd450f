/*
 * fuzz_s3_credentials_file.c
 *		Any bytes as the shared credentials file: what is found fits and is a key's
 *		characters, messages stay whole and tell nothing of the file, and lines that
 *		say nothing change nothing.
 *
 * The first byte says which profile is looked for: 0 to 2, one of three.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/s3_credentials_file.h"

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages may have the path, the profile and the number of a line. */
#define PATH_BYTES 64

static int	file = -1;
static char path[PATH_BYTES];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	file = memfd_create("credentials", MFD_CLOEXEC);
	if (file < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	unsetenv("AWS_PROFILE");
	return 0;
}

static void
write_file(const uint8_t *data, size_t size, const char *before)
{
	size_t		n = strlen(before);

	if (ftruncate(file, 0) != 0 || pwrite(file, before, n, 0) != (ssize_t) n ||
		pwrite(file, data, size, (off_t) n) != (ssize_t) size)
		abort();
}

/* A key is printable, without blanks, and ends within its field. */
static void
check_key(const char *key, size_t size)
{
	size_t		len = strnlen(key, size);

	if (len == size)
		abort();
	for (size_t i = 0; i < len; i++)
		if (key[i] <= ' ' || key[i] >= 0x7F)
			abort();
}

static bool
is_whole(const char *text, size_t size)
{
	return strnlen(text, size) < size;
}

static SvStatus
look(const char *profile, S3Credentials *credentials)
{
	S3SourceInput input = {.profile = profile};
	S3Source	where = {{0}, {0}};
	SvError		err = {0};
	SvStatus	status;

	memset(credentials, 0, sizeof(*credentials));
	status = s3_from_file(&input, credentials, &where, NULL, &err);
	if (!is_whole(where.name, sizeof(where.name)) || !is_whole(where.missing, sizeof(where.missing)) ||
		(status != SV_OK && status != SV_NOT_FOUND && status != SV_DENIED))
		abort();
	if (status == SV_DENIED && strstr(err.message, "credentials file") == NULL && strstr(err.message, path) == NULL)
		abort();
	check_key(credentials->access_key_id, S3_KEY_BYTES);
	check_key(credentials->secret_access_key, S3_KEY_BYTES);
	check_key(credentials->session_token, S3_TOKEN_BYTES);
	return status;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const profiles[] = {NULL, "default", "other"};
	static S3Credentials plain;
	static S3Credentials commented;
	const char *profile;
	SvStatus	status;

	if (size == 0 || size > 65536)
		return 0;
	profile = profiles[data[0] % 3];
	write_file(data + 1, size - 1, "");
	status = look(profile, &plain);
	write_file(data + 1, size - 1,
			   "# a comment\n; another\nno profile = 1\n[none]\naws_session_token = of nobody\n[\n");
	/* Before the first section nothing is of any profile, and lines before it change nothing. */
	if (look(profile, &commented) != status || memcmp(&plain, &commented, sizeof(plain)) != 0)
		abort();
	return 0;
}
