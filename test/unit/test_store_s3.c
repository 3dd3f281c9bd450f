/*
 * test_store_s3.c
 *		The S3 driver against the S3 server of the run.
 */
#include "unit.h"

#include <signal.h>

#include "s3_run.h"
#include "store/s3_store.h"
#include "store/store_s3.h"
#include "store_conformance.h"

/* With the run's keys where they are NULL. */
static ObjectStore *
open_with(StoreS3Options options, const char *id, const char *secret, const char *token)
{
	S3CredentialsOptions keys = {
		.access_key_id = id != NULL ? id : setting("SKYVAULT_S3_ACCESS_KEY_ID"),
		.secret_access_key = secret != NULL ? secret : setting("SKYVAULT_S3_SECRET_ACCESS_KEY"),.session_token = token
	};
	ObjectStore *store;
	SvError		err;

	if (s3_credentials_open(&options.credentials, &keys, &err) != SV_OK ||
		store_s3_open(&store, &options, &err) != SV_OK)
	{
		printf("Bail out! %s\n", err.message);
		exit(1);
	}
	return store;
}

static StoreS3Options
usual_options(const char *prefix)
{
	return (StoreS3Options) {
		.endpoint = setting("SKYVAULT_S3_ENDPOINT"),.region = setting("SKYVAULT_S3_REGION"),
		.bucket = setting("SKYVAULT_S3_BUCKET"),.prefix = prefix
	};
}

static void
test_conformance(void)
{
	StoreS3Options options = usual_options("unit/conformance");
	ObjectStore *store = open_with(options, NULL, NULL, NULL);

	CHECK(store_capabilities(store) == (STORE_IS_REMOTE | STORE_CAN_FETCH_AHEAD | STORE_CAN_PUT_IF_ABSENT |
										STORE_CAN_PUT_IF_MATCH) && store_merge_gap(store) > 0, "what it can do");
	CHECK(store_conformance(store, "s3") == 0, "conformance");
	store_close(store);

	options.conditional_puts = STORE_S3_CONDITIONAL_OFF;
	options.io_concurrency = 1;
	store = open_with(options, NULL, NULL, NULL);
	CHECK(store_capabilities(store) == (STORE_IS_REMOTE | STORE_CAN_FETCH_AHEAD) &&
		  store_conformance(store, "s3, looking before it puts") == 0,
		  "conformance without conditional writes, one request at a time");
	store_close(store);
}

static void
test_tls_and_hosts(void)
{
	StoreS3Options options = usual_options("");
	ObjectStore *store;
	char		endpoint[256];
	StoreObject object;
	SvError		err;

	options.endpoint = setting("SKYVAULT_S3_ENDPOINT_TLS");
	options.http.ca_file = setting("SKYVAULT_S3_CA_FILE");
	store = open_with(options, NULL, NULL, NULL);
	CHECK(put_text(store, "unit-tls", "x", &err) == SV_OK && holds(store, "unit-tls", "x") &&
		  store_remove(store, "unit-tls", NULL, &err) == SV_OK, "TLS, and no prefix");
	store_close(store);

	options.http.ca_file = NULL;
	options.max_retries = -1;
	store = open_with(options, NULL, NULL, NULL);
	CHECK(store_head(store, "a", &object, NULL, &err) == SV_IO && strstr(err.hint, "certificate") != NULL,
		  "a certificate that is not trusted");
	store_close(store);

	snprintf(endpoint, sizeof(endpoint), "http://localhost%s", strrchr(setting("SKYVAULT_S3_ENDPOINT"), ':'));
	options = usual_options("unit/host");
	options.endpoint = endpoint;
	options.style = STORE_S3_STYLE_VIRTUAL_HOST;
	store = open_with(options, NULL, NULL, NULL);
	CHECK(put_text(store, "a/b", "x", &err) == SV_OK && holds(store, "a/b", "x") &&
		  store_remove(store, "a/b", NULL, &err) == SV_OK, "the bucket as a host");
	store_close(store);
}

/* A read fails so, and says why and what to do, without a secret. */
static bool
fails(StoreS3Options options, const char *id, const char *secret, const char *token, SvStatus expected,
	  const char *words)
{
	ObjectStore *store = open_with(options, id, secret, token);
	char		byte;
	StoreRange	range = {.name = "a/b",.len = 1,.dst = &byte};
	StoreObject object;
	SvError		err = {0};
	SvError		head_err = {0};
	SvStatus	status = store_get(store, &range, 1, NULL, NULL, &err);
	SvStatus	head_status = store_head(store, "a/b", &object, NULL, &head_err);
	bool		good = status == expected && head_status == expected && strstr(err.message, words) != NULL &&
		strstr(head_err.message, words) != NULL && err.hint[0] != '\0' && err.detail[0] != '\0' &&
		strstr(err.message, "S3CR3T") == NULL && strstr(err.detail, "S3CR3T") == NULL;

	if (!good)
		printf("# got status %d: %s; %s; %s\n#  by head %d: %s\n", status, err.message, err.detail, err.hint,
			   head_status, head_err.message);
	store_close(store);
	return good;
}

static void
test_refusals(void)
{
	StoreS3Options options = usual_options("unit/refused");

	CHECK(fails(options, "NOBODY", "S3CR3T", NULL, SV_DENIED, "access key id"), "an unknown key");
	CHECK(fails(options, NULL, "S3CR3T", NULL, SV_DENIED, "secret access key"), "a wrong secret");
	options.bucket = "no-such-bucket";
	CHECK(fails(options, NULL, NULL, NULL, SV_IO, "bucket does not exist"), "no such bucket");
	options.endpoint = "http://127.0.0.1:1";
	options.deadline_ms = 300;
	CHECK(fails(options, NULL, NULL, NULL, SV_IO, ""), "nobody listens");
}

/* As if our clock were an hour behind, or ahead: the store refuses, and its time is taken. */
static void
test_clock(void)
{
	ObjectStore *store = open_with(usual_options("unit/clock"), NULL, NULL, NULL);
	int64_t    *offset = &((S3Store *) store)->clock_offset_s;
	const char *content = "x";
	SvError		err = {0};

	for (int hour = -3600; hour <= 3600; hour += 7200)
	{
		*offset = hour;
		if (!CHECK(put_text(store, "a/b", content, &err) == SV_OK && *offset > -60 && *offset < 60,
				   "a put by a clock that is an hour off"))
			printf("# %s; %s; off by %lld s\n", err.message, err.detail, (long long) *offset);
		*offset = hour;
		CHECK(holds(store, "a/b", content) && *offset > -60 && *offset < 60, "a look and a get");
		*offset = hour;
		CHECK(store_remove(store, "a/b", NULL, &err) == SV_OK && *offset > -60 && *offset < 60, "a removal");
	}
	store_close(store);
}

static void
test_pages(void)
{
	ObjectStore *store = open_with(usual_options("unit/pages"), NULL, NULL, NULL);

	check_pages(store);
	store_close(store);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	test_conformance();
	test_tls_and_hosts();
	test_refusals();
	test_clock();
	test_pages();
	return unit_done();
}
