/*
 * test_store_s3_hostile.c
 *		Reading and listing by the S3 driver from servers that refuse, fail, lie,
 *		fall silent or die.
 */
#include "unit.h"

#include "s3_case.h"

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

static void
test_request(void)
{
	static const ScriptAnswer answers[] = {GOOD};
	Case		c;

	open_case(&c, answers, 1, true, usual);
	CHECK(read_some(&c) == SV_OK && strcmp(c.read, "12345678") == 0 && c.requests[STORE_GET] == 1 && c.retries == 0,
		  "a read");
	CHECK(strncmp(c.script->heads[0], "GET /bucket/pre/fix/a/b HTTP/1.1\r\n", 34) == 0 &&
		  strstr(c.script->heads[0], "\r\nrange: bytes=0-7\r\n") != NULL &&
		  strstr(c.script->heads[0], "\r\nx-amz-security-token: " TOKEN "\r\n") != NULL &&
		  strstr(c.script->heads[0],
			"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token,") != NULL &&
		  strstr(c.script->heads[0], "Credential=KEYID/") != NULL, "is signed, with the token");
	close_case(&c);
}

/* Reads that succeed in the end, after so many tries. */
static void
test_one_recovery(const char *name, const ScriptAnswer *answers, int n)
{
	StoreS3Options options = usual;
	Case		c;

	options.max_retries = 4;
	open_case(&c, answers, n, false, options);
	CHECK(read_some(&c) == SV_OK && strcmp(c.read, "12345678") == 0 && c.requests[STORE_GET] == n &&
		  c.retries == n - 1 && c.script->nrequests == n, name);
	close_case(&c);
}

static void
test_recoveries(void)
{
	static const ScriptAnswer slow[] = {XML("503 Slow Down", "SlowDown"), XML("503 Slow Down", "SlowDown"), GOOD};
	static const ScriptAnswer failing[] = {
		XML("500 Internal Server Error", "InternalError"), {"HTTP/1.1 502 Bad Gateway", "<html>", THEN_CLOSE, false},
		{"HTTP/1.1 504 Gateway Timeout", NULL, THEN_KEEP, false}, GOOD
	};
	static const ScriptAnswer many[] = {XML("429 Too Many Requests", "TooManyRequests"), GOOD};
	static const ScriptAnswer dying[] = {DIED, {NULL, NULL, THEN_CLOSE, true}, GOOD};
	static const ScriptAnswer torn[] = {
		{PARTIAL "\r\nContent-Length: 8", "123", THEN_CLOSE, true}, {PARTIAL "\r\nContent-Length: 8", "x",
			THEN_RESET, true}, GOOD
	};
	static const ScriptAnswer silent[] = {SILENT, {PARTIAL "\r\nContent-Length: 8", "123", THEN_HANG, true}, GOOD};
	static const ScriptAnswer lengths[] = {
		{PARTIAL, "1234567", THEN_KEEP, false}, {PARTIAL, "123456789", THEN_KEEP, false}, {PARTIAL, "",
			THEN_KEEP, false}, GOOD
	};
	static const ScriptAnswer ranges[] = {
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-8/100", "12345678", THEN_KEEP, false},
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-7/100", "12345678", THEN_KEEP, false},
		{"HTTP/1.1 206 Partial Content", "12345678", THEN_KEEP, false},
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-8/100", "123456789", THEN_KEEP, false}, GOOD
	};
	static const ScriptAnswer timeout[] = {XML("400 Bad Request", "RequestTimeout"), GOOD};

	test_one_recovery("SlowDown", slow, COUNT(slow));
	test_one_recovery("500, 502 and 504", failing, COUNT(failing));
	test_one_recovery("429", many, COUNT(many));
	test_one_recovery("connections that are reset or closed", dying, COUNT(dying));
	test_one_recovery("torn bodies", torn, COUNT(torn));
	test_one_recovery("silence", silent, COUNT(silent));
	test_one_recovery("wrong lengths", lengths, COUNT(lengths));
	test_one_recovery("wrong ranges", ranges, COUNT(ranges));
	test_one_recovery("RequestTimeout", timeout, COUNT(timeout));
}

/* The first half of a body has come, and the second never does. */
typedef struct Halves
{
	Case		c;
	bool		there[2];
	bool		right;
} Halves;

static void
cancel_when_half_is_there(void *state)
{
	Halves	   *halves = state;

	if (!halves->there[0])
		return;
	halves->right = !halves->there[1] && memcmp(halves->c.read, "1234", 4) == 0;
	halves->c.left = 0;
}

static void
test_told(void)
{
	static const ScriptAnswer half[] = {{PARTIAL "\r\nContent-Length: 8", "12345", THEN_HANG, true}};
	StoreS3Options options = usual;
	Halves		halves = {.right = false};
	StoreRange	ranges[2] = {
		{.name = "a/b",.len = 4,.dst = halves.c.read,.there = &halves.there[0]},
		{.name = "a/b",.offset = 4,.len = 4,.dst = halves.c.read + 4,.there = &halves.there[1]}
	};
	StoreCall	call;

	/* A time limit ends it only if nobody is told. */
	options.timeout_ms = options.deadline_ms = 60000;
	open_case(&halves.c, half, 1, false, options);
	call = call_of(&halves.c);
	call.progress = cancel_when_half_is_there;
	call.progress_state = &halves;
	CHECK(store_get(halves.c.store, ranges, 2, NULL, &call, &halves.c.err) == SV_CANCELLED && halves.right &&
		  halves.c.script->nrequests == 1, "ranges of one read are told of while the others are under way");
	close_case(&halves.c);
}

/* A read that fails with this, after so many requests. */
static bool
fails(ScriptAnswer answer, int tries, SvStatus expected, const char *message, const char *detail, const char *hint)
{
	Case		c;
	SvStatus	status;
	bool		good;

	open_case(&c, &answer, 1, true, usual);
	status = read_some(&c);
	good = status == expected && c.script->nrequests == tries && c.requests[STORE_GET] == tries &&
		(status == SV_NOT_FOUND || tells(&c.err, message, detail, hint));
	if (!good)
		printf("# status %d after %d tries\n", status, c.script->nrequests);
	close_case(&c);
	return good;
}

static void
test_failures(void)
{
	CHECK(fails((ScriptAnswer) XML("503 Slow Down", "SlowDown"), 4, SV_IO, "\"a/b\"",
				"HTTP status 503 from 127.0.0.1", "health"), "a storm of 503");
	CHECK(fails((ScriptAnswer) XML("500 Internal", "InternalError"), 4, SV_IO, "failed",
				"after 4 tries, code InternalError: So & so., request id tx-4711", "health"), "a storm of 500");
	CHECK(fails((ScriptAnswer) DIED, 4, SV_IO, "could not read object", "No answer from 127.0.0.1", ""),
		  "a dead server");
	CHECK(fails((ScriptAnswer) SILENT, 4, SV_IO, "could not read object", "No answer", "network"), "a silent server");
	CHECK(fails((ScriptAnswer) {PARTIAL, "1234", THEN_KEEP, false}, 4, SV_IO, "length", "HTTP status 206", "between"),
		  "lengths that stay wrong");
	CHECK(fails((ScriptAnswer) XML("404 Not Found", "NoSuchKey"), 1, SV_NOT_FOUND, "", "", ""), "no such object");
	CHECK(fails((ScriptAnswer) XML("404 Not Found", "NoSuchBucket"), 1, SV_IO, "bucket does not exist",
				"code NoSuchBucket", "Create the bucket"), "no such bucket");
	CHECK(fails((ScriptAnswer) XML("403 Forbidden", "AccessDenied"), 1, SV_DENIED, "access is denied",
				"The credentials are from ", "Allow"), "access denied");
	CHECK(fails((ScriptAnswer) XML("403 Forbidden", "InvalidAccessKeyId"), 1, SV_DENIED, "access key id",
		  "403", "Check"),
		  "a wrong key");
	CHECK(fails((ScriptAnswer) XML("403 Forbidden", "SignatureDoesNotMatch"), 1, SV_DENIED, "secret", "403", "secret"),
		  "a wrong secret");
	CHECK(fails((ScriptAnswer) XML("400 Bad Request", "ExpiredToken"), 1, SV_DENIED, "expired", "400", "Renew"),
		  "an expired token");
	CHECK(fails((ScriptAnswer) XML("403 Forbidden", "QuotaExceeded"), 1, SV_NO_SPACE, "quota", "403", ""), "a quota");
	CHECK(fails((ScriptAnswer) XML("418 Teapot", "Whatever"), 1, SV_IO, "refused", "code Whatever", ""),
		  "an unknown refusal");
	CHECK(fails((ScriptAnswer) XML("416 Range", "InvalidRange"), 1, SV_CORRUPT, "shorter", "416", "Restore"),
		  "past the end");
	CHECK(fails((ScriptAnswer) {"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-5/6", "123456",
		  THEN_KEEP, false}, 1,
				SV_CORRUPT, "no byte at offset 6", "206", ""), "across the end");
	CHECK(fails((ScriptAnswer) {"HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-9", "",
		  THEN_KEEP, false}, 1,
				SV_IO, "not in this region", "301", "region \"eu-west-9\""), "another region, by a redirect");
	CHECK(fails((ScriptAnswer) {"HTTP/1.1 400 Bad Request", "<Error><Code>AuthorizationHeaderMalformed</Code>"
				"<Region>eu-west-9</Region></Error>", THEN_KEEP, false}, 1, SV_IO, "not in this region", "400",
				"region \"eu-west-9\""), "another region, by a refusal");
	CHECK(fails((ScriptAnswer) {"HTTP/1.1 200 OK", "<html><body>Welcome</body></html>", THEN_KEEP, false}, 1, SV_IO,
				"does not answer with the range", "200", ""), "a page of HTML");
	CHECK(fails((ScriptAnswer) {"HTTP/1.1 404 Not Found", "<html><body>Nothing here</body></html>", THEN_KEEP,
		  false}, 1,
				SV_IO, "refused", "404", "no S3 server"), "a 404 of something else");
	CHECK(fails((ScriptAnswer) {"HTTP/1.1 403 Forbidden", "<!DOCTYPE html><title>Proxy", THEN_KEEP, false}, 1,
		  SV_DENIED,
				"denied", "403", ""), "a proxy's refusal");
	CHECK(fails((ScriptAnswer) {"SSH-2.0-OpenSSH_9.2", "", THEN_CLOSE, true}, 1, SV_IO, "could not read", "No answer",
				"endpoint's port"), "no HTTP at all");
}

static void
test_time_limits(void)
{
	static const ScriptAnswer slow[] = {XML("503 Slow Down", "SlowDown")};
	static const ScriptAnswer waiting[] = {{"HTTP/1.1 503 Slow Down\r\nRetry-After: 1000000", "", THEN_KEEP, false}};
	static const ScriptAnswer silent[] = {SILENT};
	StoreS3Options options = usual;
	Case		c;

	options.max_retries = 1000;
	options.deadline_ms = 400;
	open_case(&c, slow, 1, true, options);
	CHECK(read_some(&c) == SV_IO && tells(&c.err, "asked too much", "tries", "health") && c.script->nrequests > 1,
		  "tries end with the call's time");
	CHECK(((S3Store *) c.store)->concurrency < 16, "SlowDown lowers the number of requests at once");
	close_case(&c);

	open_case(&c, waiting, 1, true, options);
	CHECK(read_some(&c) == SV_IO && c.script->nrequests == 1, "a pause that is too long is not waited for");
	close_case(&c);

	options = usual;
	options.timeout_ms = 1000000;
	options.deadline_ms = 1000000;
	open_case(&c, silent, 1, true, options);
	c.left = 8;
	CHECK(read_some(&c) == SV_CANCELLED && c.script->nrequests == 1 && c.requests[STORE_GET] == 1,
		  "a cancel does not wait for an answer");
	close_case(&c);

	options.timeout_ms = 0;
	options.deadline_ms = 0;
	open_case(&c, silent, 1, true, options);
	{
		StoreRange	range = {.name = "a/b",.len = 8,.dst = c.read};
		StoreCall	call = {.timeout_ms = 100,.deadline_ms = 150};

		CHECK(store_get(c.store, &range, 1, NULL, &call, &c.err) == SV_IO, "time limits of the call");
	}
	close_case(&c);
}

static void
test_clock(void)
{
	static const ScriptAnswer answers[] = {
		{"HTTP/1.1 403 Forbidden\r\nDate: Tue, 01 Jan 2030 10:00:00 GMT",
		"<Error><Code>RequestTimeTooSkewed</Code></Error>", THEN_KEEP, false}, GOOD, GOOD
	};
	Case		c;

	open_case(&c, answers, 3, false, usual);
	CHECK(read_some(&c) == SV_OK && c.retries == 1 && strstr(c.script->heads[1],
		  "\r\nx-amz-date: 20300101T1000") != NULL,
		  "the store's time is taken");
	CHECK(read_some(&c) == SV_OK && strstr(c.script->heads[2], "\r\nx-amz-date: 20300101T1000") != NULL, "and kept");
	close_case(&c);
	CHECK(fails(answers[0], 2, SV_IO, "clock", "403", "seconds ahead of that of this server"), "clocks that differ");
}

static void
test_renewed_keys(void)
{
	static const ScriptAnswer answers[] = {XML("400 Bad Request", "ExpiredToken"), GOOD};
	static const char first[] = "[default]\naws_access_key_id = FIRST\naws_secret_access_key = S3CR3T\n";
	static const char second[] = "[default]\naws_access_key_id = SECOND\naws_secret_access_key = S3CR3T\n";
	const char *base = getenv("TMPDIR");
	char		path[256];
	int			fd;
	Case		c;

	snprintf(path, sizeof(path), "%s/test_s3_keys_XXXXXX", base != NULL ? base : "/tmp");
	fd = mkstemp(path);
	if (fd < 0 || write(fd, first, sizeof(first) - 1) != sizeof(first) - 1)
		exit(1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	open_case(&c, answers, 2, true, usual);
	/* The keys are read with the first request, and others are there by the second. */
	CHECK(read_some(&c) == SV_OK && c.script->nrequests == 2 && strstr(c.script->heads[0], "Credential=FIRST/") != NULL,
		  "keys that have expired are asked for anew");
	close_case(&c);
	open_case(&c, answers, 1, true, usual);
	CHECK(read_some(&c) == SV_DENIED && c.script->nrequests == 2 && tells(&c.err, "expired", path, "Renew"),
		  "once");
	if (pwrite(fd, second, sizeof(second) - 1, 0) != sizeof(second) - 1)
		exit(1);
	(void) read_some(&c);
	CHECK(strstr(c.script->heads[2], "Credential=SECOND/") != NULL, "and by the next call");
	close_case(&c);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	close(fd);
	unlink(path);
}

static void
test_hedges(void)
{
	enum { N = 20 };
	static ScriptAnswer answers[N + 4];
	StoreS3Options options = usual;
	bool		all = true;
	Case		c;

	for (int i = 0; i < N; i++)
		answers[i] = (ScriptAnswer) GOOD;
	answers[N] = (ScriptAnswer) SILENT;
	answers[N + 1] = (ScriptAnswer) GOOD;
	answers[N + 2] = (ScriptAnswer) SILENT;
	answers[N + 3] = (ScriptAnswer) XML("404 Not Found", "NoSuchKey");
	options.timeout_ms = 100000;
	open_case(&c, answers, N + 4, false, options);
	for (int i = 0; i < N; i++)
		all = all && read_some(&c) == SV_OK;
	CHECK(all && c.retries == 0, "reads");
	((S3Store *) c.store)->hedge_percent = 95;
	CHECK(read_some(&c) == SV_OK && strcmp(c.read, "12345678") == 0 && c.hedges == 1,
		  "a second request overtakes a slow one");
	CHECK(read_some(&c) == SV_NOT_FOUND && c.hedges == 2, "and may find nothing");
	close_case(&c);

	options.timeout_ms = usual.timeout_ms;
	options.io_concurrency = 1;
	open_case(&c, answers, N + 2, false, options);
	for (int i = 0; i < N; i++)
		all = all && read_some(&c) == SV_OK;
	((S3Store *) c.store)->hedge_percent = 95;
	CHECK(all && read_some(&c) == SV_OK && c.hedges == 0 && c.retries == 1, "but is not one more than may run at once");
	close_case(&c);
}

/* -------------------------------------------------------------------------
 * Listing, removing, small objects
 * ------------------------------------------------------------------------- */

#define KEY(name) "<Contents><Key>pre%2Ffix%2F" name "</Key><Size>1</Size></Contents>"
#define LIST(truncated, keys) {"HTTP/1.1 200 OK", "<ListBucketResult xmlns=\"http://s3\"><IsTruncated>" truncated \
	"</IsTruncated>" keys "</ListBucketResult>", THEN_KEEP, false}

static SvStatus
list_all(Case *c, int *count)
{
	*count = 0;
	memset(&c->err, 0, sizeof(c->err));
	return store_list(c->store, "", NULL, count_one, count, NULL, &c->err);
}

static void
test_list(void)
{
	static const ScriptAnswer pages[] = {
		LIST("true", KEY("a") KEY("b%2Fc") KEY("d%2F") KEY("not+a+name")),
		LIST("false", KEY("x") "<Contents><Key>pre%2Ffixe</Key></Contents>")
	};
	static const ScriptAnswer again[] = {LIST("true", KEY("a"))};
	static const ScriptAnswer unasked[] = {LIST("false", KEY("a") KEY("b%2Fc") KEY("d"))};
	static const ScriptAnswer nothing[] = {LIST("true", "")};
	static const ScriptAnswer html[] = {{"HTTP/1.1 200 OK", "<html><body><p>Hello<br></body></html>",
		THEN_KEEP, false}};
	static const ScriptAnswer other_xml[] = {{"HTTP/1.1 200 OK", "<svg><a/></svg>", THEN_KEEP, false}};
	int			count;
	Case		c;

	open_case(&c, pages, 2, false, usual);
	CHECK(list_all(&c, &count) == SV_OK && count == 3 && strstr(c.script->heads[0], "prefix=pre%2Ffix%2F ") != NULL &&
		  strstr(c.script->heads[1], "&start-after=pre%2Ffix%2Fnot%20a%20name ") != NULL,
			"two pages, of which some are no objects");
	close_case(&c);
	open_case(&c, again, 1, true, usual);
	CHECK(list_all(&c, &count) == SV_IO && c.script->nrequests == 2 && strstr(c.err.message, "in no order") != NULL,
		  "a listing that begins again");
	close_case(&c);
	open_case(&c, unasked, 1, false, usual);
	count = 0;
	CHECK(store_list(c.store, "b/", NULL, count_one, &count, NULL, &c.err) == SV_OK && count == 1,
		  "of names that nobody asked for nothing is told");
	close_case(&c);
	open_case(&c, nothing, 1, true, usual);
	CHECK(list_all(&c, &count) == SV_IO && c.script->nrequests == 1, "a listing that never ends");
	close_case(&c);
	open_case(&c, html, 1, true, usual);
	CHECK(list_all(&c, &count) == SV_IO && tells(&c.err, "not what S3 sends", "200", "no S3 server"), "HTML");
	close_case(&c);
	open_case(&c, other_xml, 1, true, usual);
	CHECK(list_all(&c, &count) == SV_IO && tells(&c.err, "not what S3 sends", "200", "no S3 server"), "other XML");
	close_case(&c);
}

static void
test_remove_many(void)
{
	static const char *const names[] = {"a", "b/c"};
	static const ScriptAnswer good[] = {{"HTTP/1.1 200 OK", "<DeleteResult/>", THEN_KEEP, false}};
	static const ScriptAnswer denied[] = {
		{"HTTP/1.1 200 OK",
			"<DeleteResult><Error><Key>pre/fix/b/c</Key><Code>AccessDenied</Code></Error></DeleteResult>",
		THEN_KEEP, false}
	};
	static const ScriptAnswer failing[] = {
		{"HTTP/1.1 200 OK", "<DeleteResult><Error><Key>x</Key><Code>InternalError</Code></Error></DeleteResult>",
		THEN_KEEP, false}, {"HTTP/1.1 200 OK", "<DeleteResult/>", THEN_KEEP, false}
	};
	static const ScriptAnswer unknown[] = {
		XML("501 Not Implemented", "NotImplemented"), {"HTTP/1.1 204 No Content", NULL, THEN_KEEP, true},
		XML("404 Not Found", "NoSuchKey")
	};
	int			removed;
	Case		c;

	open_case(&c, good, 1, true, usual);
	CHECK(store_remove_many(c.store, names, 2, &removed, NULL, &c.err) == SV_OK && removed == 2 &&
		  strncmp(c.script->heads[0], "POST /bucket/?delete= ", 22) == 0 &&
		  strcmp(c.script->bodies[0], "<Delete><Quiet>true</Quiet><Object><Key>pre/fix/a</Key></Object>"
				 "<Object><Key>pre/fix/b/c</Key></Object></Delete>") == 0 &&
		  strstr(c.script->heads[0], "\r\ncontent-md5: ") != NULL, "many with one request");
	close_case(&c);
	open_case(&c, denied, 1, true, usual);
	CHECK(store_remove_many(c.store, names, 2, &removed, NULL, &c.err) == SV_DENIED && removed == 0 &&
		  tells(&c.err, "pre/fix/b/c", "AccessDenied", ""), "one of which is refused");
	close_case(&c);
	open_case(&c, failing, 2, false, usual);
	CHECK(store_remove_many(c.store, names, 2, &removed, NULL, &c.err) == SV_OK && c.script->nrequests == 2,
		  "or fails for a moment");
	close_case(&c);
	open_case(&c, unknown, 3, false, usual);
	CHECK(store_remove_many(c.store, names, 2, &removed, NULL, &c.err) == SV_OK && removed == 2 &&
		  c.script->nrequests == 3, "or that the store does not know");
	close_case(&c);
}

static void
test_head(void)
{
	static const ScriptAnswer no_bucket[] = {
		{"HTTP/1.1 404 Not Found", NULL, THEN_KEEP, false}, XML("404 Not Found", "NoSuchBucket")
	};
	static const ScriptAnswer denied[] = {
		{"HTTP/1.1 403 Forbidden", NULL, THEN_KEEP, false}, XML("403 Forbidden", "SignatureDoesNotMatch")
	};
	static const ScriptAnswer skewed[] = {
		{"HTTP/1.1 403 Forbidden", NULL, THEN_KEEP, false},
		{"HTTP/1.1 403 Forbidden\r\nDate: Tue, 01 Jan 2030 10:00:00 GMT",
		"<Error><Code>RequestTimeTooSkewed</Code></Error>", THEN_KEEP, false},
		{"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/8", "x", THEN_KEEP, false},
		{"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 8", NULL, THEN_KEEP, true}
	};
	static const ScriptAnswer too_long[] = {{"HTTP/1.1 200 OK\r\nETag: \"0a\"", "123456789", THEN_KEEP, false}};
	StoreObject object;
	SvBuffer	content;
	Case		c;

	open_case(&c, no_bucket, 2, false, usual);
	CHECK(store_head(c.store, "a/b", &object, NULL, &c.err) == SV_IO && tells(&c.err, "bucket does not exist", "", ""),
		  "a HEAD tells a missing bucket from a missing object");
	close_case(&c);
	open_case(&c, denied, 2, false, usual);
	CHECK(store_head(c.store, "a/b", &object, NULL, &c.err) == SV_DENIED && tells(&c.err, "secret access key", "", ""),
		  "and why it is refused");
	close_case(&c);
	open_case(&c, skewed, 4, false, usual);
	CHECK(store_head(c.store, "a/b", &object, NULL, &c.err) == SV_OK && object.bytes == 8 && c.script->nrequests == 4,
		  "and asks again if that is something which a GET mends");
	close_case(&c);
	open_case(&c, too_long, 1, true, usual);
	sv_buffer_init(&content, &sv_malloc_alloc);
	CHECK(store_get_small(c.store, "a/b", 8, &content, NULL, NULL, &c.err) == SV_CORRUPT && content.len == 0 &&
		  tells(&c.err, "more than 8 bytes", "", ""), "a small object that is not");
	sv_buffer_free(&content);
	close_case(&c);
}

/* -------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------- */

static bool
opens(StoreS3Options options, const char *host, const char *path)
{
	S3CredentialsOptions keys = {.access_key_id = "KEYID",.secret_access_key = SECRET};
	ObjectStore *store;
	bool		same;
	SvError		err;

	if (s3_credentials_open(&options.credentials, &keys, &err) != SV_OK)
		return false;
	if (store_s3_open(&store, &options, &err) != SV_OK)
	{
		s3_credentials_close(options.credentials);
		return host == NULL && err.status == SV_INVALID && err.hint[0] != '\0';
	}
	same = host != NULL && strcmp(((S3Store *) store)->host, host) == 0 &&
		strcmp(((S3Store *) store)->bucket_path, path) == 0;
	if (!same)
		printf("# %s %s\n", ((S3Store *) store)->host, ((S3Store *) store)->bucket_path);
	store_close(store);
	return same;
}

static void
test_options(void)
{
	CHECK(opens((StoreS3Options) {.bucket = "bucket"}, "bucket.s3.us-east-1.amazonaws.com", ""), "AWS");
	CHECK(opens((StoreS3Options) {.bucket = "bu.cket",.region = "eu-west-9"}, "s3.eu-west-9.amazonaws.com", "/bu.cket"),
		  "a bucket with dots, another region");
	CHECK(opens((StoreS3Options) {.bucket = "bucket",.region = "cn-north-1",.style = STORE_S3_STYLE_PATH},
				"s3.cn-north-1.amazonaws.com.cn", "/bucket"), "China, by path");
	CHECK(opens((StoreS3Options) {.bucket = "bucket",.endpoint = "https://s3.example.com/"}, "s3.example.com",
		  "/bucket"),
		  "another endpoint");
	CHECK(opens((StoreS3Options) {.bucket = "bucket",.endpoint = "https://s3.example.com:443"},
		  "s3.example.com", "/bucket") &&
		  opens((StoreS3Options) {.bucket = "bucket",.endpoint = "http://[::1]:80"}, "[::1]", "/bucket") &&
		  opens((StoreS3Options) {.bucket = "bucket",.endpoint = "http://h:443"}, "h:443", "/bucket"), "ports");
	CHECK(opens((StoreS3Options) {.bucket = "bucket",.endpoint = "http://h:9000",.style = STORE_S3_STYLE_VIRTUAL_HOST},
				"bucket.h:9000", ""), "another endpoint, by host");
	CHECK(opens((StoreS3Options) {.bucket = "b/c"}, NULL, NULL) && opens((StoreS3Options) {.bucket = "b"},
		  NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = NULL}, NULL, NULL), "bad buckets");
	CHECK(opens((StoreS3Options) {.bucket = "bucket",.endpoint = "s3.example.com"}, NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = "bucket",.endpoint = "https://"}, NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = "bucket",.endpoint = "https://h/path"}, NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = "bucket",.endpoint = "https://u:p@h"}, NULL, NULL), "bad endpoints");
	CHECK(opens((StoreS3Options) {.bucket = "bucket",.prefix = "a//b"}, NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = "bucket",.prefix = "/a"}, NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = "bucket",.prefix = "a b"}, NULL, NULL) &&
		  opens((StoreS3Options) {.bucket = "bucket",.region = "a b"}, NULL, NULL), "bad prefixes and regions");
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	test_options();
	test_request();
	test_recoveries();
	test_told();
	test_failures();
	test_time_limits();
	test_clock();
	test_renewed_keys();
	test_hedges();
	test_list();
	test_remove_many();
	test_head();
	return unit_done();
}
