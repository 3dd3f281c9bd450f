/*
 * forest_store_url.c
 *		See forest_store_url.h.
 */
#include "postgres.h"

#include "forest/forest_store_url.h"

#define FILE_SCHEME	"file:"
#define S3_SCHEME	"s3://"
#define NAME_CHARS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* With the names of objects below it, S3's limit of 1024 bytes is far away. */
#define MAX_PREFIX_BYTES 256

static bool
has_parent_step(const char *path)
{
	const char *step = path;

	while (step != NULL)
	{
		size_t		len = strcspn(step, "/");

		if (len == 2 && strncmp(step, "..", 2) == 0)
			return true;
		step = step[len] == '/' ? step + len + 1 : NULL;
	}
	return false;
}

static const char *
parse_file(const char *path, StoreUrl *url)
{
	if (path[0] == '\0')
		return "The value is \"file:\" and a directory, which is below the data directory "
			"unless it begins with a slash.";
	if (has_parent_step(path))
		return "The directory must not contain \"..\".";
	url->kind = STORE_KIND_DIRECTORY;
	url->path = pstrdup(path);
	return NULL;
}

static bool
prefix_is_valid(const char *prefix)
{
	const char *part = prefix;

	if (strlen(prefix) > MAX_PREFIX_BYTES)
		return false;
	for (;;)
	{
		size_t		len = strcspn(part, "/");

		if (len == 0 || strspn(part, NAME_CHARS) != len || strspn(part, ".") == len)
			return false;
		if (part[len] == '\0')
			return true;
		part += len + 1;
	}
}

static const char *
parse_s3(const char *rest, StoreUrl *url)
{
	size_t		bucket_len = strcspn(rest, "/");
	char	   *prefix = pstrdup(rest[bucket_len] == '/' ? rest + bucket_len + 1 : "");
	size_t		prefix_len = strlen(prefix);

	if (prefix_len > 0 && prefix[prefix_len - 1] == '/')
		prefix[prefix_len - 1] = '\0';
	if (bucket_len < 3 || bucket_len > 63 || strspn(rest, NAME_CHARS) != bucket_len)
		return "The value is \"s3://\" and a bucket, whose name has 3 to 63 letters, digits, dots, "
			"hyphens and underscores, as in \"s3://bucket/prefix\".";
	if (prefix[0] != '\0' && !prefix_is_valid(prefix))
		return "A prefix has at most 256 bytes: parts of letters, digits, dots, hyphens and underscores, "
			"with a slash between them, as in \"s3://bucket/prefix\".";
	url->kind = STORE_KIND_S3;
	url->bucket = pnstrdup(rest, bucket_len);
	url->prefix = prefix;
	return NULL;
}

const char *
forest_store_url_parse(const char *text, StoreUrl *url)
{
	memset(url, 0, sizeof(StoreUrl));
	if (strncmp(text, FILE_SCHEME, strlen(FILE_SCHEME)) == 0)
		return parse_file(text + strlen(FILE_SCHEME), url);
	if (strncmp(text, S3_SCHEME, strlen(S3_SCHEME)) == 0)
		return parse_s3(text + strlen(S3_SCHEME), url);
	return "The value is \"s3://\", a bucket and perhaps a prefix, as in \"s3://bucket/prefix\", "
		"or \"file:\" and a directory.";
}
