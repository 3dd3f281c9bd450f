/*
 * s3_list.c
 *		ListObjectsV2, page by page.
 *
 * A page is collected whole and parsed after its request has ended, so that the
 * callback may call the store.  Each page begins behind the last name of the one
 * before (start-after): continuation tokens would say the same in the store's
 * words, and need not be understood.
 */
#include "store/s3_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/s3_answer.h"
#include "store/s3_batch.h"
#include "store/s3_xml.h"

/* A thousand objects, of which each is told with less than 3 kB. */
#define PAGE_BYTES ((size_t) 8 * 1024 * 1024)
#define KEY_BYTES (2 * STORE_MAX_NAME_BYTES + 2)

typedef struct Listing
{
	const S3Store *store;
	const char *prefix;
	const char *after;
	StoreListCallback callback;
	void	   *state;
	char		last[KEY_BYTES];	/* key, with the store's prefix */
	bool		is_answer;
	bool		is_truncated;
	bool		is_disordered;	/* a name does not come after the one before */
	bool		stopped;		/* the callback has heard enough */
	/* The object that is being told. */
	char		key[KEY_BYTES];
	bool		bad_key;
	uint64_t	bytes;
	int64_t		modified_s;
} Listing;

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes encoding-type=url.  False for what is too long, or no such encoding. */
static bool
decode_key(char *to, size_t size, const char *from)
{
	size_t		len = 0;

	for (; *from != '\0'; from++)
	{
		char		c = *from;

		if (c == '%')
		{
			if (hex_value(from[1]) < 0 || hex_value(from[2]) < 0)
				return false;
			c = (char) (hex_value(from[1]) * 16 + hex_value(from[2]));
			from += 2;
		}
		else if (c == '+')
			c = ' ';
		if (len + 1 >= size || c == '\0')
			return false;
		to[len++] = c;
	}
	to[len] = '\0';
	return true;
}

/* "2026-11-29T18:55:08.123Z"; 0 if it is not. */
static int64_t
parse_time(const char *text)
{
	struct tm	utc = {0};

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &utc.tm_year, &utc.tm_mon, &utc.tm_mday, &utc.tm_hour, &utc.tm_min,
			   &utc.tm_sec) != 6)
		return 0;
	utc.tm_year -= 1900;
	utc.tm_mon -= 1;
	return (int64_t) timegm(&utc);
}

/* What is beside our objects (a folder's marker, a foreign name) is passed over, as is what nobody asked for. */
static bool
is_name(const char *name)
{
	for (;;)
	{
		size_t		len = strcspn(name, "/");

		if (!store_part_is_valid(name, len))
			return false;
		if (name[len] == '\0')
			return true;
		name += len + 1;
	}
}

static bool
tell_object(Listing *listing)
{
	size_t		prefix_len = strlen(listing->store->prefix);
	StoreListed object = {listing->key + prefix_len, listing->bytes, listing->modified_s};

	if (listing->bad_key)
		return true;
	if (strcmp(listing->key, listing->last) <= 0 && listing->last[0] != '\0')
	{
		/* A store that passes over start-after would begin again and again. */
		listing->is_disordered = true;
		return false;
	}
	memcpy(listing->last, listing->key, sizeof(listing->last));
	if (strncmp(listing->key, listing->store->prefix, prefix_len) != 0 || !is_name(object.name) ||
		strlen(object.name) > STORE_MAX_NAME_BYTES || strcmp(object.name, listing->after) <= 0 ||
		strncmp(object.name, listing->prefix, strlen(listing->prefix)) != 0)
		return true;
	listing->stopped = !listing->callback(listing->state, &object);
	return !listing->stopped;
}

static bool
take_page(void *state, const char *path, const char *text)
{
	Listing    *listing = state;

	if (strcmp(path, "ListBucketResult/Contents/Key") == 0)
		listing->bad_key = !decode_key(listing->key, sizeof(listing->key), text);
	else if (strcmp(path, "ListBucketResult/Contents/Size") == 0)
		listing->bytes = strtoull(text, NULL, 10);
	else if (strcmp(path, "ListBucketResult/Contents/LastModified") == 0)
		listing->modified_s = parse_time(text);
	else if (strcmp(path, "ListBucketResult/Contents") == 0)
		return tell_object(listing);
	else if (strcmp(path, "ListBucketResult/IsTruncated") == 0)
		listing->is_truncated = strcmp(text, "true") == 0;
	else if (strcmp(path, "ListBucketResult") == 0)
		listing->is_answer = true;
	return true;
}

/* Before anybody is told of anything, a page has to be one. */
static bool
notice_page(void *state, const char *path, const char *text)
{
	(void) text;
	if (strcmp(path, "ListBucketResult") == 0)
		*(bool *) state = true;
	return true;
}

static S3Verdict
check_page(S3Op *op, S3Attempt *attempt, SvStatus *status, SvError *err)
{
	SvBuffer   *page = op->state;
	bool		is_page = false;

	if (!s3_answer_parse(attempt, notice_page, &is_page, status, err))
		return S3_FAIL;
	if (!is_page)
	{
		*status = s3_fail_stranger(attempt, err);
		return S3_FAIL;
	}
	*status = sv_buffer_append(page, attempt->answer.data, attempt->answer.len, err);
	return *status == SV_OK ? S3_DONE : S3_FAIL;
}

static char *
page_query(const S3Store *store, const char *prefix, const char *start_after)
{
	char	   *wanted = NULL;
	char	   *escaped_after = s3_escape(start_after, false);
	char	   *escaped = NULL;
	char	   *query = NULL;

	if (asprintf(&wanted, "%s%s", store->prefix, prefix) < 0)
		wanted = NULL;
	if (wanted != NULL)
		escaped = s3_escape(wanted, false);
	if (escaped == NULL || escaped_after == NULL ||
		asprintf(&query, "encoding-type=url&list-type=2&max-keys=1000&prefix=%s%s%s", escaped,
				 start_after[0] != '\0' ? "&start-after=" : "", escaped_after) < 0)
		query = NULL;
	free(wanted);
	free(escaped);
	free(escaped_after);
	return query;
}

static SvStatus
fetch_page(S3Store *store, const char *prefix, const char *start_after, SvBuffer *page,
		   const StoreCall *call, SvError *err)
{
	char	   *query = page_query(store, prefix, start_after);
	S3Op		op = {
		.operation = STORE_LIST,.method = HTTP_GET,.name = prefix,.is_bucket = true,.query = query,
		.check = check_page,.state = page,.max_answer = PAGE_BYTES
	};
	SvStatus	status;

	if (query == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a listing of the store");
	status = s3_run(store, &op, call, err);
	free(query);
	return status;
}

SvStatus
s3_list(ObjectStore *base, const char *prefix, const char *after, StoreListCallback callback, void *state,
		const StoreCall *call, SvError *err)
{
	S3Store    *store = (S3Store *) base;
	Listing    *listing = calloc(1, sizeof(Listing));
	SvBuffer	page;
	SvStatus	status = SV_OK;

	if (listing == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a listing of the store");
	listing->store = store;
	listing->prefix = prefix;
	listing->after = after;
	listing->callback = callback;
	listing->state = state;
	if (after[0] != '\0')
		snprintf(listing->last, sizeof(listing->last), "%s%s", store->prefix, after);
	sv_buffer_init(&page, &sv_malloc_alloc);
	do
	{
		char		start_after[KEY_BYTES];

		memcpy(start_after, listing->last, sizeof(start_after));
		listing->is_truncated = false;
		sv_buffer_reset(&page);
		status = fetch_page(store, prefix, start_after, &page, call, err);
		if (status == SV_OK)
			(void) s3_xml_parse(sv_buffer_slice(&page), take_page, listing);
		if (status == SV_OK && (listing->is_disordered ||
								(listing->is_truncated && strcmp(start_after, listing->last) == 0)))
			status = sv_fail(err, SV_IO, "the store lists objects that begin with \"%s\" in no order", prefix);
	} while (status == SV_OK && listing->is_truncated && !listing->stopped);
	sv_buffer_free(&page);
	free(listing);
	return status;
}
