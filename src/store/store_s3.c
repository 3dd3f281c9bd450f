/*
 * store_s3.c
 *		Opening: options, and the endpoint they mean.
 */
#include "store/store_s3.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/s3_list.h"
#include "store/s3_multipart.h"
#include "store/s3_op.h"
#include "store/s3_put.h"
#include "store/s3_read.h"
#include "store/s3_remove.h"
#include "store/s3_upload.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define DEFAULT_REGION "us-east-1"

static void
s3_close(ObjectStore *base)
{
	S3Store    *store = (S3Store *) base;

	http_client_free(store->http);
	s3_attempt_free_spare(store);
	if (store->credentials != NULL)
		s3_credentials_close(store->credentials);
	explicit_bzero(&store->signing_key, sizeof(store->signing_key));
	free((char *) store->http_options.ca_file);
	free(store->host);
	free(store->bucket_path);
	free(store->bucket);
	free(store->region);
	free(store->prefix);
	free(store);
}

static const ObjectStoreOps s3_ops = {
	.put_if_absent = s3_put_if_absent,
	.put_if_match = s3_put_if_match,
	.upload_begin = s3_upload_begin,
	.upload_append = s3_upload_append,
	.upload_finish = s3_upload_finish,
	.upload_abort = s3_upload_abort,
	.get = s3_get,
	.steps_begin = s3_steps_begin,
	.steps_go = s3_steps_go,
	.steps_end = s3_steps_end,
	.get_small = s3_get_small,
	.head = s3_head,
	.remove = s3_remove,
	.remove_many = s3_remove_many,
	.list = s3_list,
	.close = s3_close,
	.fetch_begin = s3_fetch_begin,
	.fetch_drive = s3_fetch_drive,
	.fetch_finish = s3_fetch_finish,
	.fetch_end = s3_fetch_end
};

/* -------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------- */

static SvStatus
invalid(SvError *err, const char *what, const char *value, const char *hint)
{
	sv_fail(err, SV_INVALID, "%s \"%s\" is not valid", what, value);
	sv_set_hint(err, "%s", hint);
	return SV_INVALID;
}

static SvStatus
check_bucket(const char *bucket, SvError *err)
{
	size_t		len = bucket != NULL ? strlen(bucket) : 0;

	if (len < 3 || len > 63 || strspn(bucket, LETTERS ".-_") != len ||
		!isalnum((unsigned char) bucket[0]))
		return invalid(err, "bucket", len > 0 ? bucket : "",
					   "Its name has 3 to 63 letters, digits, dots, hyphens and underscores.");
	return SV_OK;
}

static SvStatus
check_prefix(const char *prefix, SvError *err)
{
	const char *part = prefix;

	for (;;)
	{
		size_t		len = strcspn(part, "/");

		if (!store_part_is_valid(part, len) || strlen(prefix) > STORE_MAX_NAME_BYTES - 1)
			return invalid(err, "prefix", prefix,
						   "It has parts of letters, digits, dots, hyphens and underscores, joined by slashes.");
		if (part[len] == '\0')
			return SV_OK;
		part += len + 1;
	}
}

static SvStatus
check_region(const char *region, SvError *err)
{
	size_t		len = strlen(region);

	if (len == 0 || len > 50 || strspn(region, LETTERS "-_") != len)
		return invalid(err, "region", region, "It is a name such as \"us-east-1\".");
	return SV_OK;
}

/* Splits "https://host[:port]" (with a slash at the end, if one likes); *host is in the text. */
static SvStatus
parse_endpoint(const char *endpoint, bool *is_https, const char **host, size_t *host_len, SvError *err)
{
	const char *hint = "It is a URL such as \"https://s3.example.com:9000\", without a path.";

	if (strncmp(endpoint, "https://", 8) == 0)
		*is_https = true;
	else if (strncmp(endpoint, "http://", 7) == 0)
		*is_https = false;
	else
		return invalid(err, "endpoint", endpoint, hint);
	*host = endpoint + (*is_https ? 8 : 7);
	*host_len = strcspn(*host, "/");
	if ((*host)[*host_len] == '/' && (*host)[*host_len + 1] != '\0')
		return invalid(err, "endpoint", endpoint, hint);
	if (*host_len == 0 || strspn(*host, LETTERS ".-_:[]") < *host_len)
		return invalid(err, "endpoint", strchr(endpoint, '@') != NULL ? "..." : endpoint, hint);
	return SV_OK;
}

/* The port that the scheme stands for is not part of what is signed: libcurl leaves it out of the header Host. */
static size_t
without_default_port(const char *host, size_t len, bool is_https)
{
	const char *port = is_https ? ":443" : ":80";
	size_t		port_len = strlen(port);

	return len > port_len && memcmp(host + len - port_len, port, port_len) == 0 ? len - port_len : len;
}

/* Sets host, bucket_path and is_https. */
static SvStatus
set_endpoint(S3Store *store, const StoreS3Options *options, SvError *err)
{
	bool		is_aws = options->endpoint == NULL || options->endpoint[0] == '\0';
	bool		in_host = options->style == STORE_S3_STYLE_VIRTUAL_HOST;
	char		aws_host[128];
	const char *host = aws_host;
	size_t		host_len;
	int			done;

	store->is_https = true;
	snprintf(aws_host, sizeof(aws_host), "s3.%s.amazonaws.com%s", store->region,
			 strncmp(store->region, "cn-", 3) == 0 ? ".cn" : "");
	host_len = strlen(aws_host);
	if (!is_aws)
	{
		SvStatus	status = parse_endpoint(options->endpoint, &store->is_https, &host, &host_len, err);

		if (status != SV_OK)
			return status;
		host_len = without_default_port(host, host_len, store->is_https);
	}
	/* Certificates of AWS are for one more part in front of the host, not for two. */
	if (options->style == STORE_S3_STYLE_AUTO)
		in_host = is_aws && strchr(store->bucket, '.') == NULL;
	done = in_host ? asprintf(&store->host, "%s.%.*s", store->bucket, (int) host_len, host)
		: asprintf(&store->host, "%.*s", (int) host_len, host);
	if (done >= 0 && asprintf(&store->bucket_path, "%s%s", in_host ? "" : "/", in_host ? "" : store->bucket) >= 0)
		return SV_OK;
	if (done < 0)
		store->host = NULL;
	store->bucket_path = NULL;
	return sv_fail(err, SV_NO_MEMORY, "out of memory: opening bucket \"%s\"", store->bucket);
}

static int
or_default(int value, int standard)
{
	return value > 0 ? value : standard;
}

static SvStatus
copy_texts(S3Store *store, const StoreS3Options *options, SvError *err)
{
	const char *prefix = options->prefix != NULL ? options->prefix : "";
	const char *region = options->region != NULL && options->region[0] != '\0' ? options->region : DEFAULT_REGION;

	store->bucket = strdup(options->bucket);
	store->region = strdup(region);
	if (asprintf(&store->prefix, "%s%s", prefix, prefix[0] != '\0' ? "/" : "") < 0)
		store->prefix = NULL;
	if (options->http.ca_file != NULL && options->http.ca_file[0] != '\0')
	{
		store->http_options.ca_file = strdup(options->http.ca_file);
		if (store->http_options.ca_file == NULL)
			return sv_fail(err, SV_NO_MEMORY, "out of memory: opening bucket \"%s\"", options->bucket);
	}
	if (store->bucket == NULL || store->region == NULL || store->prefix == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: opening bucket \"%s\"", options->bucket);
	return set_endpoint(store, options, err);
}

static void
copy_figures(S3Store *store, const StoreS3Options *options)
{
	store->conditional_puts = options->conditional_puts;
	store->io_concurrency = store->concurrency = or_default(options->io_concurrency, 16);
	store->timeout_ms = or_default(options->timeout_ms, 30000);
	store->deadline_ms = or_default(options->deadline_ms, 60000);
	store->max_retries = options->max_retries < 0 ? 0 : or_default(options->max_retries, 6);
	store->hedge_percent = options->hedge_percent < 0 || options->hedge_percent > 99 ? 0 : options->hedge_percent;
	store->part_bytes = options->part_bytes == 0 ? (size_t) 8 * 1024 * 1024 :
		options->part_bytes < S3_LEAST_PART_BYTES ? S3_LEAST_PART_BYTES : options->part_bytes;

	store->http_options.user_agent = "skyvault";
	store->http_options.max_idle = store->io_concurrency;
	store->http_options.connect_ms = or_default(options->http.connect_ms, 5000);
	store->http_options.silence_ms = store->timeout_ms;
	store->http_options.reserve_fd = options->http.reserve_fd;
	store->http_options.release_fd = options->http.release_fd;
	store->http_options.state = options->http.state;

	store->base.ops = &s3_ops;
	store->base.merge_gap = options->merge_gap > 0 ? options->merge_gap : (size_t) 128 * 1024;
	store->base.capabilities = STORE_IS_REMOTE | STORE_CAN_FETCH_AHEAD;
	if (s3_is_conditional(store))
		store->base.capabilities |= STORE_CAN_PUT_IF_ABSENT | STORE_CAN_PUT_IF_MATCH;
}

SvStatus
store_s3_open(ObjectStore **store, const StoreS3Options *options, SvError *err)
{
	SvStatus	status = check_bucket(options->bucket, err);
	S3Store    *opened;

	*store = NULL;
	if (status == SV_OK && options->prefix != NULL && options->prefix[0] != '\0')
		status = check_prefix(options->prefix, err);
	if (status == SV_OK && options->region != NULL && options->region[0] != '\0')
		status = check_region(options->region, err);
	if (status != SV_OK)
		return status;
	if (options->credentials == NULL)
		return sv_fail(err, SV_INVALID, "bucket \"%s\" cannot be opened without credentials", options->bucket);
	opened = calloc(1, sizeof(S3Store));
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: opening bucket \"%s\"", options->bucket);
	copy_figures(opened, options);
	status = copy_texts(opened, options, err);
	if (status != SV_OK)
	{
		s3_close(&opened->base);
		return status;
	}
	opened->credentials = options->credentials;
	*store = &opened->base;
	return SV_OK;
}
