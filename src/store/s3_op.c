/*
 * s3_op.c
 *		Building, signing and starting a try.
 */
#include "store/s3_op.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *
method_name(HttpMethod method)
{
	static const char *const names[] = {
		[HTTP_GET] = "GET",[HTTP_HEAD] = "HEAD",[HTTP_PUT] = "PUT",[HTTP_POST] = "POST",[HTTP_DELETE] = "DELETE"
	};

	return names[method];
}

/* -------------------------------------------------------------------------
 * Memory
 * ------------------------------------------------------------------------- */

static S3Attempt *
take_attempt(S3Store *store)
{
	S3Attempt  *attempt = store->spare;

	if (attempt != NULL)
	{
		store->spare = attempt->next;
		return attempt;
	}
	attempt = calloc(1, sizeof(S3Attempt));
	if (attempt != NULL)
		sv_buffer_init(&attempt->answer, &sv_malloc_alloc);
	return attempt;
}

/* Lines may hold a session token. */
static void
forget_lines(S3Attempt *attempt)
{
	while (attempt->nlines > 0)
	{
		char	   *line = attempt->lines[--attempt->nlines];

		explicit_bzero(line, strlen(line));
		free(line);
	}
	free(attempt->url);
	attempt->url = NULL;
}

static void
keep_attempt(S3Store *store, S3Attempt *attempt)
{
	forget_lines(attempt);
	attempt->next = store->spare;
	store->spare = attempt;
}

void
s3_attempt_free_spare(S3Store *store)
{
	S3Attempt  *attempt;

	while ((attempt = store->spare) != NULL)
	{
		store->spare = attempt->next;
		sv_buffer_free(&attempt->answer);
		if (attempt->md5 != NULL)
			s3_md5_free(attempt->md5);
		free(attempt);
	}
}

/* -------------------------------------------------------------------------
 * What goes out
 * ------------------------------------------------------------------------- */

static bool
add_line(S3Attempt *attempt, const char *name, const char *value)
{
	if (asprintf(&attempt->lines[attempt->nlines], "%s: %s", name, value) < 0)
		return false;
	attempt->nlines++;
	return true;
}

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: a request to the store");
}

/* The path as it is signed; names and prefixes have no character that wants escaping. */
static char *
path_of(const S3Store *store, const S3Op *op)
{
	char	   *path;

	if (asprintf(&path, "%s/%s%s", store->bucket_path, op->is_bucket ? "" : store->prefix,
				 op->is_bucket ? "" : op->name) < 0)
		return NULL;
	return path;
}

static SvStatus
sign(S3Store *store, S3Attempt *attempt, const char *path, const S3Credentials *keys, SvError *err)
{
	S3Op	   *op = attempt->op;
	char		date[S3_DATE_BYTES];
	const char *payload = op->payload_sha256 != NULL ? op->payload_sha256 : S3_EMPTY_SHA256;
	S3Header	headers[S3_MAX_EXTRA_HEADERS + 4];
	S3SignInput input = {
		.method = method_name(op->method),.path = path,.query = op->query != NULL ? op->query : "",
		.headers = headers,.payload_sha256 = payload,.date = date,.region = store->region,.service = "s3",
		.access_key_id = keys->access_key_id,.secret_access_key = keys->secret_access_key
	};
	char	   *authorization;
	SvStatus	status;
	bool		ok = true;

	s3_sign_date((int64_t) time(NULL) + store->clock_offset_s, date);
	headers[input.nheaders++] = (S3Header) {"host", store->host};
	headers[input.nheaders++] = (S3Header) {"x-amz-content-sha256", payload};
	headers[input.nheaders++] = (S3Header) {"x-amz-date", date};
	if (keys->session_token[0] != '\0')
		headers[input.nheaders++] = (S3Header) {"x-amz-security-token", keys->session_token};
	for (int i = 0; i < op->nextra; i++)
		headers[input.nheaders++] = op->extra[i];
	status = s3_sign(&input, &store->signing_key, &authorization, err);
	if (status != SV_OK)
		return status;
	/* libcurl says the host itself. */
	for (int i = 1; i < input.nheaders && ok; i++)
		ok = add_line(attempt, headers[i].name, headers[i].value);
	ok = ok && add_line(attempt, "authorization", authorization);
	free(authorization);
	return ok ? SV_OK : no_memory(err);
}

static SvStatus
prepare(S3Store *store, S3Attempt *attempt, const S3Credentials *keys, SvError *err)
{
	S3Op	   *op = attempt->op;
	char	   *path = path_of(store, op);
	SvStatus	status;

	if (path == NULL)
		return no_memory(err);
	status = sign(store, attempt, path, keys, err);
	if (status == SV_OK &&
		asprintf(&attempt->url, "%s://%s%s%s%s", store->is_https ? "https" : "http", store->host, path,
				 op->query != NULL ? "?" : "", op->query != NULL ? op->query : "") < 0)
	{
		attempt->url = NULL;
		status = no_memory(err);
	}
	free(path);
	return status;
}

/* -------------------------------------------------------------------------
 * What comes back
 * ------------------------------------------------------------------------- */

bool
s3_attempt_stop(S3Attempt *attempt, S3Verdict verdict, SvStatus status, const char *fmt,...)
{
	va_list		args;

	attempt->problem = verdict;
	attempt->problem_status = status;
	va_start(args, fmt);
	vsnprintf(attempt->problem_text, sizeof(attempt->problem_text), fmt, args);
	va_end(args);
	return false;
}

/* An object that is too long, which S3 sends with its ETag; or a page of something that answers in its place. */
static bool
take_too_much(S3Attempt *attempt, size_t max)
{
	char		etag[8];

	if (attempt->op->operation == STORE_GET && http_header(&attempt->http, "etag", etag, sizeof(etag)))
		return s3_attempt_stop(attempt, S3_FAIL, SV_CORRUPT, "it has more than %zu bytes", max);
	return s3_attempt_stop(attempt, S3_FAIL, SV_IO, "the answer is not what S3 sends: it has more than %zu bytes", max);
}

static bool
take_answer(HttpRequest *request, const void *data, size_t len)
{
	S3Attempt  *attempt = request->state;
	S3Op	   *op = attempt->op;
	bool		good = request->status >= 200 && request->status < 300;
	size_t		max = good && op->max_answer > 0 ? op->max_answer : S3_ANSWER_BYTES;

	if (good && op->take != NULL)
		return op->take(attempt, data, len);
	if (len > max - attempt->answer.len)
	{
		/* Of an error the beginning is enough. */
		if (!good)
			len = max - attempt->answer.len;
		else
			return take_too_much(attempt, max);
	}
	if (len > 0 && sv_buffer_append(&attempt->answer, data, len, NULL) != SV_OK)
		return s3_attempt_stop(attempt, S3_FAIL, SV_NO_MEMORY, "out of memory");
	return true;
}

static void
hash_sent(HttpRequest *request, uint64_t offset, const void *data, size_t len)
{
	S3Attempt  *attempt = request->state;

	if (offset == 0)
		attempt->md5_failed = !s3_md5_restart(attempt->md5);
	attempt->md5_failed = attempt->md5_failed || !s3_md5_add(attempt->md5, data, len);
}

/* -------------------------------------------------------------------------
 * Starting and ending
 * ------------------------------------------------------------------------- */

static bool
begin_md5(S3Attempt *attempt)
{
	if (attempt->md5 == NULL)
		attempt->md5 = s3_md5_create();
	/* A body of no bytes is never sent. */
	attempt->md5_failed = attempt->md5 == NULL || !s3_md5_restart(attempt->md5);
	attempt->http.sending = hash_sent;
	return !attempt->md5_failed;
}

static SvStatus
start(S3Store *store, S3Attempt *attempt, int timeout_ms, const StoreCall *call, SvError *err)
{
	S3Op	   *op = attempt->op;
	const S3Credentials *keys;
	SvStatus	status = s3_credentials_get(store->credentials, &keys, call, err);

	if (status != SV_OK)
		return status;
	memcpy(attempt->access_key_id, keys->access_key_id, sizeof(attempt->access_key_id));
	if (op->want_md5 && !begin_md5(attempt))
		return no_memory(err);
	status = prepare(store, attempt, keys, err);
	if (status != SV_OK)
		return status;
	attempt->http.method = op->method;
	attempt->http.url = attempt->url;
	attempt->http.headers = (const char *const *) attempt->lines;
	attempt->http.nheaders = attempt->nlines;
	attempt->http.body = op->body;
	attempt->http.nbody = op->nbody;
	attempt->http.timeout_ms = timeout_ms;
	attempt->http.expected_bytes = op->expected_bytes;
	attempt->http.sink = take_answer;
	attempt->http.state = attempt;
	return http_client_start(store->http, &attempt->http, err);
}

SvStatus
s3_attempt_start(S3Store *store, S3Op *op, bool is_hedge, int timeout_ms,
				 const StoreCall *call, S3Attempt **started, SvError *err)
{
	S3Attempt  *attempt = take_attempt(store);
	SvStatus	status;

	if (attempt == NULL)
		return no_memory(err);
	attempt->store = store;
	attempt->op = op;
	attempt->is_hedge = is_hedge;
	attempt->received = 0;
	attempt->problem_text[0] = '\0';
	attempt->http.sending = NULL;
	attempt->http.ended = NULL;
	attempt->http.transfer = NULL;
	attempt->http.direct = false;
	sv_buffer_reset(&attempt->answer);
	status = start(store, attempt, timeout_ms, call, err);
	if (status != SV_OK)
	{
		keep_attempt(store, attempt);
		return status;
	}
	*started = attempt;
	return SV_OK;
}

void
s3_attempt_end(S3Attempt *attempt, SvStatus status, const StoreCall *call)
{
	S3Store    *store = attempt->store;

	http_client_drop(store->http, &attempt->http);
	if (call != NULL && call->account != NULL)
	{
		StoreRequest request = {
			.operation = attempt->op->operation,.caller = call->caller,.status = status,
			.retry = !attempt->is_hedge && attempt->op->tries > 1,.hedge = attempt->is_hedge,
			.bytes_in = attempt->http.bytes_in,.bytes_out = attempt->http.bytes_out,
			.latency_us = attempt->http.ended_us - attempt->http.started_us
		};

		call->account(call->state, &request);
	}
	keep_attempt(store, attempt);
}
