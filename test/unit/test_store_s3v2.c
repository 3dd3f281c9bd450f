/*
 * test_store_s3v2.c
 *		The driver for Signature Version 2 against the S3 server of the run.
 */
#include "unit.h"

#include <sys/stat.h>

#include "s3_run.h"
#include "slow_resolver.h"
#include "store/store_s3v2.h"
#include "store_conformance.h"

static char endpoint[256];

/* With the run's keys where they are NULL. */
static SvStatus
open_store(ObjectStore **store, const char *id, const char *secret, const char *token, StoreS3V2Options options,
		   SvError *err)
{
	S3CredentialsOptions keys = {.access_key_id = id != NULL ? id : setting("SKYVAULT_S3_ACCESS_KEY_ID"),
		.secret_access_key = secret != NULL ? secret : setting("SKYVAULT_S3_SECRET_ACCESS_KEY"),
	.session_token = token};
	S3CredentialsProvider *provider;
	SvStatus	status = s3_credentials_open(&provider, &keys, err);

	if (status != SV_OK)
		return status;
	options.credentials = provider;
	status = store_s3v2_open(store, &options, err);
	if (status != SV_OK)
		s3_credentials_close(provider);
	return status;
}

static StoreS3V2Options
usual_options(const char *prefix)
{
	return (StoreS3V2Options) {.endpoint = endpoint,.bucket = setting("SKYVAULT_S3_BUCKET"),.prefix = prefix,
		.io_concurrency = 16,.timeout_ms = 30000,.deadline_ms = 60000};
}

static void
test_conformance(void)
{
	StoreS3V2Options options = usual_options("unit-v2/conformance");
	ObjectStore *store;
	SvError		err = {0};

	if (!CHECK(open_store(&store, NULL, NULL, NULL, options, &err) == SV_OK, "a store"))
	{
		printf("# %s; %s\n", err.message, err.detail);
		return;
	}
	CHECK(store_capabilities(store) == STORE_IS_REMOTE, "it can do nothing special");
	CHECK(store_conformance(store, "s3 v2") == 0, "conformance");
	store_close(store);

	options = usual_options("");
	options.io_concurrency = 1;
	CHECK(open_store(&store, NULL, NULL, NULL, options, &err) == SV_OK &&
		  put_text(store, "unit-v2-bare", "x", &err) == SV_OK && holds(store, "unit-v2-bare", "x") &&
		  store_remove(store, "unit-v2-bare", NULL, &err) == SV_OK, "without a prefix");
	store_close(store);
	snprintf(endpoint, sizeof(endpoint), "http://localhost%s", strrchr(setting("SKYVAULT_S3_ENDPOINT"), ':'));
	options = usual_options("unit-v2/host");
	options.virtual_host = true;
	CHECK(open_store(&store, NULL, NULL, NULL, options, &err) == SV_OK && put_text(store, "a/b", "x", &err) == SV_OK &&
		  holds(store, "a/b", "x") && store_remove(store, "a/b", NULL, &err) == SV_OK, "the bucket as a host");
	store_close(store);
	snprintf(endpoint, sizeof(endpoint), "%s", setting("SKYVAULT_S3_ENDPOINT"));
}

static void
test_pages(void)
{
	ObjectStore *store;
	SvError		err;

	if (!CHECK(open_store(&store, NULL, NULL, NULL, usual_options("unit-v2/pages"), &err) == SV_OK, "a store"))
		return;
	check_pages(store);
	store_close(store);
}

/* It cannot be opened, or an object cannot be put, for this reason. */
static bool
refused(const char *id, const char *secret, const char *token, StoreS3V2Options options, SvStatus expected,
		const char *words)
{
	ObjectStore *store;
	SvError		err = {0};
	SvStatus	status = open_store(&store, id, secret, token, options, &err);
	bool		good;

	if (status == SV_OK)
	{
		status = put_text(store, "refused", "x", &err);
		store_close(store);
	}
	good = status == expected && strstr(err.message, words) != NULL && err.hint[0] != '\0' &&
		strstr(err.message, "S3CR3T") == NULL && strstr(err.detail, "S3CR3T") == NULL;
	if (!good)
		printf("# got status %d: %s; %s; %s\n", status, err.message, err.detail, err.hint);
	return good;
}

static void
test_refusals(void)
{
	StoreS3V2Options options = usual_options("unit-v2/refused");

	CHECK(refused(NULL, NULL, "token", options, SV_UNSUPPORTED, "session tokens"), "a session token");
	CHECK(refused("NOBODY", "S3CR3T", NULL, options, SV_DENIED, "Forbidden"), "an unknown key");
	CHECK(refused(NULL, "S3CR3T", NULL, options, SV_DENIED, "Forbidden"), "a wrong secret");
	options.endpoint = "https://127.0.0.1:1";
	CHECK(refused(NULL, NULL, NULL, options, SV_UNSUPPORTED, "https"), "https");
	options = usual_options("unit-v2/refused");
	options.endpoint = "http://127.0.0.1:1";
	options.deadline_ms = 200;
	CHECK(refused(NULL, NULL, NULL, options, SV_IO, "FailedToConnect"), "nobody listens");
	options = usual_options("unit-v2/refused");
	options.bucket = "no-such-bucket";
	CHECK(refused(NULL, NULL, NULL, options, SV_IO, "NoSuchBucket"), "no such bucket");
}

static int	descriptors;
static int	may_reserve;

static bool
reserve(void *state)
{
	(void) state;
	if (descriptors >= may_reserve)
		return false;
	descriptors++;
	return true;
}

static void
release(void *state)
{
	(void) state;
	descriptors--;
}

/* The sockets of this process. */
static int
open_sockets(void)
{
	int			n = 0;

	for (int fd = 0; fd < 1024; fd++)
	{
		struct stat st;

		n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	}
	return n;
}

static void
test_descriptors(void)
{
	StoreS3V2Options options = usual_options("unit-v2/descriptors");
	ObjectStore *store;
	SvError		err = {0};
	char		bytes[8];
	StoreRange	ranges[8];
	int			before = open_sockets();

	options.reserve_fd = reserve;
	options.release_fd = release;
	for (may_reserve = 0; may_reserve < 3; may_reserve++)
		CHECK(refused(NULL, NULL, NULL, options, SV_IO, "too many open files") && descriptors == 0,
			  "with less than three descriptors no request can be made");
	if (!CHECK(open_store(&store, NULL, NULL, NULL, options, &err) == SV_OK &&
			   put_text(store, "a", "x", &err) == SV_OK, "three are enough for one"))
		return;
	for (int i = 0; i < 8; i++)
		ranges[i] = (StoreRange) {.name = "a",.len = 1,.dst = bytes + i};
	for (may_reserve = 3; may_reserve < 6; may_reserve++)
		CHECK(store_get(store, ranges, 8, NULL, NULL, &err) == SV_OK && bytes[7] == 'x' &&
			  descriptors <= may_reserve && open_sockets() - before <= descriptors,
			  "eight are read with as many at a time as there are descriptors");
	CHECK(store_remove(store, "a", NULL, &err) == SV_OK, "removed");
	store_close(store);
	CHECK(descriptors == 0 && open_sockets() == before, "all are given back");
}

/* libs3 waits for the thread that resolves a name. */
static bool
cancel_when_asked(void *state)
{
	(void) state;
	slow_may_answer = slow_asked > 0;
	return slow_may_answer;
}

static void
test_slow_name(void)
{
	StoreS3V2Options options = usual_options("unit-v2/slow");
	StoreCall	call = {.cancelled = cancel_when_asked};
	StoreObject object;
	ObjectStore *store;
	SvError		err = {0};

	options.endpoint = "http://slow.test:1";
	if (!CHECK(open_store(&store, NULL, NULL, NULL, options, &err) == SV_OK, "a store whose name is not resolved"))
		return;
	CHECK(store_head(store, "a", &object, &call, &err) == SV_CANCELLED && slow_asked == 1, "it can be cancelled");
	CHECK(!slow_hears_signals, "the thread that resolves it runs no signal's handler");
	store_close(store);
}

int
main(void)
{
	snprintf(endpoint, sizeof(endpoint), "%s", setting("SKYVAULT_S3_ENDPOINT"));
	test_conformance();
	test_pages();
	test_refusals();
	test_descriptors();
	test_slow_name();
	return unit_done();
}
