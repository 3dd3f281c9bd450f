/*
 * s3_case.h
 *		A store of the S3 driver, and a server that gives it the answers of a
 *		script.
 */
#ifndef S3_CASE_H
#define S3_CASE_H

#include <signal.h>

#include "store/s3_store.h"
#include "store/store_s3v2.h"
#include "store_calls.h"
#include "http_script.h"

#define SECRET "S3CR3T/key+that=nobody%may&see"
#define TOKEN "T0KEN/that+nobody=may/see"
#define PARTIAL "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-7/100"
#define GOOD {PARTIAL, "12345678", THEN_KEEP, false}
#define DIED {NULL, NULL, THEN_RESET, true}
#define SILENT {NULL, NULL, THEN_HANG, true}
#define DONE {"HTTP/1.1 200 OK", NULL, THEN_KEEP, false}
#define XML(status, code) {"HTTP/1.1 " status "\r\nx-amz-request-id: tx-4711", \
	"<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>So &amp; so.</Message></Error>", THEN_KEEP, false}
#define COUNT(a) ((int) (sizeof(a) / sizeof((a)[0])))

/* What the tests have asked of one store and its server. */
typedef struct Case
{
	Script	   *script;
	ObjectStore *store;
	int			requests[STORE_OPERATIONS];
	int			retries;
	int			hedges;
	int			left;			/* questions whether to stop, until the answer is yes; -1: never */
	char		endpoint[64];
	SvError		err;
	char		read[9];
} Case;

static inline void
account(void *state, const StoreRequest *request)
{
	Case	   *c = state;

	c->requests[request->operation]++;
	c->retries += request->retry;
	c->hedges += request->hedge;
}

static inline bool
cancelled(void *state)
{
	Case	   *c = state;

	return c->left >= 0 && c->left-- == 0;
}

static inline StoreCall
call_of(Case *c)
{
	return (StoreCall) {.cancelled = cancelled,.account = account,.state = c};
}

static inline void
open_case(Case *c, const ScriptAnswer *answers, int nanswers, bool last_forever, StoreS3Options options)
{
	S3CredentialsOptions keys = {.access_key_id = "KEYID",.secret_access_key = SECRET,.session_token = TOKEN};
	SvError		err;

	memset(c, 0, sizeof(*c));
	c->left = -1;
	c->script = script_start(answers, nanswers, last_forever);
	snprintf(c->endpoint, sizeof(c->endpoint), "http://127.0.0.1:%d", c->script->port);
	options.endpoint = c->endpoint;
	options.bucket = "bucket";
	options.prefix = "pre/fix";
	if (getenv("AWS_SHARED_CREDENTIALS_FILE") != NULL)
		keys = (S3CredentialsOptions) {.sources = S3_FROM_FILE};
	if (s3_credentials_open(&options.credentials, &keys, &err) != SV_OK ||
		store_s3_open(&c->store, &options, &err) != SV_OK)
	{
		printf("Bail out! %s\n", err.message);
		exit(1);
	}
}

/* As open_case, by the driver for signature v2. */
static inline void
open_case_v2(Case *c, const ScriptAnswer *answers, int nanswers, StoreS3Options options)
{
	S3CredentialsOptions keys = {.access_key_id = "KEYID",.secret_access_key = SECRET};
	StoreS3V2Options v2 = {
		.endpoint = c->endpoint,.bucket = "bucket",.prefix = "pre/fix",
		.io_concurrency = options.io_concurrency > 0 ? options.io_concurrency : 16,
		.timeout_ms = options.timeout_ms,.deadline_ms = options.deadline_ms
	};
	SvError		err;

	memset(c, 0, sizeof(*c));
	c->left = -1;
	c->script = script_start(answers, nanswers, true);
	snprintf(c->endpoint, sizeof(c->endpoint), "http://127.0.0.1:%d", c->script->port);
	if (s3_credentials_open(&v2.credentials, &keys, &err) != SV_OK || store_s3v2_open(&c->store, &v2, &err) != SV_OK)
	{
		printf("Bail out! %s; %s\n", err.message, err.detail);
		exit(1);
	}
}

static inline void
close_case(Case *c)
{
	store_close(c->store);
	script_stop(c->script);
}

static inline SvStatus
read_some(Case *c)
{
	StoreRange	range = {.name = "a/b",.len = 8,.dst = c->read};
	StoreCall	call = call_of(c);

	memset(&c->err, 0, sizeof(c->err));
	memset(c->read, 0, sizeof(c->read));
	return store_get(c->store, &range, 1, NULL, &call, &c->err);
}

/* Whether an error tells what it should, and nothing that it should not. */
static inline bool
tells(const SvError *err, const char *message, const char *detail, const char *hint)
{
	bool		good = strstr(err->message, message) != NULL && strstr(err->detail, detail) != NULL &&
		strstr(err->hint, hint) != NULL && strstr(err->message, "bucket") != NULL;
	const char *texts[] = {err->message, err->detail, err->hint};

	for (int i = 0; i < 3; i++)
		good = good && strstr(texts[i], "S3CR3T") == NULL && strstr(texts[i], "T0KEN") == NULL;
	if (!good)
		printf("# %s; %s; %s\n", err->message, err->detail, err->hint);
	return good;
}

static const StoreS3Options usual = {.timeout_ms = 300,.deadline_ms = 20000,.max_retries = 3};

#endif							/* S3_CASE_H */
