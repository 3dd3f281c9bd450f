/*
 * fuzz_s3_answer.c
 *		Any bytes as an answer of S3 that is judged: a verdict comes out, and words
 *		for people that are whole and one line, whatever the store's were.
 *
 * The input is a byte that says what was asked, two for the HTTP status, the
 * lines of the head up to an empty one, and the body.
 */
#include <stdlib.h>
#include <string.h>

#include "base/sv_coding.h"
#include "store/s3_answer.h"

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES 3

static S3Store store;

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const S3CredentialsOptions options = {.access_key_id = "key",.secret_access_key = "secret"};
	SvError		err;

	(void) argc;
	(void) argv;
	store.host = (char *) "store.test";
	store.bucket = (char *) "bucket";
	require(s3_credentials_open(&store.credentials, &options, &err) == SV_OK);
	return 0;
}

/* Lines as http_transfer.c keeps them: none is empty, each has its end. */
static size_t
take_head(HttpRequest *http, const uint8_t *data, size_t size)
{
	size_t		at = 0;
	size_t		used = 0;

	while (at < size)
	{
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t		len = end != NULL ? (size_t) (end - data) - at : size - at;

		if (len == 0)
			return at + 1;
		if (used + len + 2 <= sizeof(http->headers_in) && memchr(data + at, '\0', len) == NULL)
		{
			memcpy(http->headers_in + used, data + at, len);
			used += len;
			http->headers_in[used++] = '\n';
		}
		at += len + (end != NULL);
	}
	return at;
}

/* Ends in its field, and is one line. */
static void
require_words(const char *text, size_t size)
{
	size_t		len = strnlen(text, size);

	require(len < size);
	for (size_t i = 0; i < len; i++)
		require((unsigned char) text[i] >= ' ' && text[i] != 0x7f);
}

static void
judge(S3Op *op, S3Attempt *attempt)
{
	SvError		err = {0};
	SvStatus	status;
	int			pause_ms;
	bool		slow_down;
	S3Verdict	verdict = s3_judge(attempt, &status, &pause_ms, &slow_down, &err);

	require(verdict == S3_DONE || verdict == S3_RETRY || verdict == S3_FAIL);
	require(verdict != S3_DONE || status == SV_OK || status == SV_NOT_FOUND || status == SV_EXISTS);
	require(verdict == S3_DONE || (status != SV_OK && err.status == status && err.message[0] != '\0'));
	require(status != SV_OK || (attempt->http.status >= 200 && attempt->http.status < 300));
	require(pause_ms >= 0 && pause_ms <= 20000 && (pause_ms == 0 || verdict == S3_RETRY));
	require_words(err.message, sizeof(err.message));
	require_words(err.detail, sizeof(err.detail));
	require_words(err.hint, sizeof(err.hint));
	require(strnlen(op->etag, sizeof(op->etag)) < sizeof(op->etag));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const HttpMethod methods[] = {HTTP_GET, HTTP_HEAD, HTTP_PUT, HTTP_POST, HTTP_DELETE};
	static const StoreOperation operations[] = {STORE_GET, STORE_HEAD, STORE_PUT, STORE_LIST, STORE_REMOVE};
	static S3Attempt attempt;
	S3Op		op = {.name = "object",.tries = 1};
	size_t		body;

	if (size < HEAD_BYTES)
		return 0;
	memset(&attempt, 0, sizeof(attempt));
	op.method = methods[data[0] % 5];
	op.operation = operations[data[0] % 5];
	op.is_bucket = (data[0] & 0x80) != 0;
	attempt.op = &op;
	attempt.store = &store;
	attempt.http.outcome = HTTP_ANSWERED;
	attempt.http.status = sv_get_u16(data + 1) % 1000;
	memcpy(attempt.access_key_id, "key", sizeof("key"));
	body = HEAD_BYTES + take_head(&attempt.http, data + HEAD_BYTES, size - HEAD_BYTES);
	sv_buffer_init(&attempt.answer, &sv_malloc_alloc);
	if (body < size)
		require(sv_buffer_append(&attempt.answer, data + body, size - body, NULL) == SV_OK);
	judge(&op, &attempt);
	judge(&op, &attempt);
	sv_buffer_free(&attempt.answer);
	return 0;
}
