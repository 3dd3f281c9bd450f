/*
 * test_s3_credentials.c
 *		Where keys come from, hostile files and services, and when keys are fetched anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "http_stub.h"
#include "store/s3_credentials.h"
#include "store/s3_credentials_http.h"
#include "unit.h"

static int64_t clock_now = 1800000000;

static int64_t
injected_now(void *state)
{
	(void) state;
	return clock_now;
}

static S3CredentialsOptions
options_of(unsigned sources)
{
	S3CredentialsOptions options = {.sources = sources,.now = injected_now,.http = {.user_agent = "test"}};

	return options;
}

/* What a provider with these sources gives: "id secret token expires", or the error's message. */
static const char *
keys_of(S3CredentialsProvider *provider, SvStatus *status, SvError *err)
{
	static char text[S3_TOKEN_BYTES + 2 * S3_KEY_BYTES + 64];
	const S3Credentials *keys;

	memset(err, 0, sizeof(*err));
	*status = s3_credentials_get(provider, &keys, NULL, err);
	if (*status == SV_OK)
		snprintf(text, sizeof(text), "%s %s %s %" PRId64, keys->access_key_id, keys->secret_access_key,
				 keys->session_token, keys->expires_at);
	else
		snprintf(text, sizeof(text), "%s", err->message);
	return text;
}

static bool
gives(const S3CredentialsOptions *options, const char *expected)
{
	S3CredentialsProvider *provider;
	SvError		err;
	SvStatus	status = s3_credentials_open(&provider, options, &err);
	bool		same;

	if (status != SV_OK)
		return false;
	same = strcmp(keys_of(provider, &status, &err), expected) == 0 && status == SV_OK;
	if (!same)
		printf("# got status %d: %s\n", status, err.message);
	s3_credentials_close(provider);
	return same;
}

/* It fails so, the message and detail have these words, and no secret. */
static bool
fails(const S3CredentialsOptions *options, SvStatus expected, const char *words)
{
	S3CredentialsProvider *provider;
	SvError		err = {0};
	SvStatus	status = s3_credentials_open(&provider, options, &err);
	bool		good;

	if (status == SV_OK)
	{
		keys_of(provider, &status, &err);
		s3_credentials_close(provider);
	}
	good = status == expected && (strstr(err.message, words) != NULL || strstr(err.detail, words) != NULL) &&
		strstr(err.message, "S3CR3T") == NULL && strstr(err.detail, "S3CR3T") == NULL &&
		strstr(err.hint, "S3CR3T") == NULL;
	if (!good)
		printf("# got status %d: %s; %s; %s\n", status, err.message, err.detail, err.hint);
	return good;
}

static void
clear_environment(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_EC2_METADATA_DISABLED", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
		"AWS_ENDPOINT_URL_STS", "http_proxy", "https_proxy"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

/* ---- given keys, the environment ---- */

static void
test_given(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_ANYWHERE);
	S3CredentialsProvider *provider;
	char		long_secret[300];
	SvError		err;

	options.access_key_id = "id";
	options.secret_access_key = "S3CR3T/+=";
	CHECK(gives(&options, "id S3CR3T/+=  0"), "given keys");
	options.session_token = "token";
	CHECK(gives(&options, "id S3CR3T/+= token 0"), "given keys with a token");
	setenv("AWS_ACCESS_KEY_ID", "other", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "other", 1);
	CHECK(gives(&options, "id S3CR3T/+= token 0"), "given keys go before all others");
	CHECK(s3_credentials_open(&provider, &options, &err) == SV_OK && !s3_credentials_reject(provider, "id"),
		  "there are no others to be had");
	s3_credentials_close(provider);
	options.access_key_id = "";
	CHECK(fails(&options, SV_DENIED, "not complete"), "a secret without an id does not fall back to others");
	options.access_key_id = "id\r\nx: y";
	CHECK(fails(&options, SV_DENIED, "characters that no key has"), "an id with a line end");
	memset(long_secret, 'S', sizeof(long_secret));
	long_secret[sizeof(long_secret) - 1] = '\0';
	options.access_key_id = "id";
	options.secret_access_key = long_secret;
	CHECK(fails(&options, SV_DENIED, "too long"), "a secret of 299 bytes");
	clear_environment();
}

static void
test_environment(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_ENVIRONMENT);
	S3CredentialsOptions nothing = options_of(0);

	CHECK(fails(&options, SV_DENIED, "AWS_ACCESS_KEY_ID"), "an empty environment");
	setenv("AWS_ACCESS_KEY_ID", "env-id", 1);
	CHECK(fails(&options, SV_DENIED, "AWS_SECRET_ACCESS_KEY"), "half an environment");
	setenv("AWS_SECRET_ACCESS_KEY", "S3CR3T", 1);
	CHECK(gives(&options, "env-id S3CR3T  0"), "the environment");
	CHECK(fails(&nothing, SV_DENIED, "there are no keys"), "which is not asked if it must not be");
	setenv("AWS_SESSION_TOKEN", "token", 1);
	CHECK(gives(&options, "env-id S3CR3T token 0"), "with a token");
	setenv("AWS_SESSION_TOKEN", "S3CR3T token", 1);
	CHECK(fails(&options, SV_DENIED, "characters"), "a token with a blank");
	clear_environment();
}

/* ---- the file ---- */

static char file_path[] = "/tmp/skyvault-credentials-XXXXXX";

static void
write_file(const void *content, size_t len)
{
	int			fd = open(file_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, content, len) != (ssize_t) len)
		printf("Bail out! %s: %s\n", file_path, strerror(errno));
	close(fd);
}

static void
write_text(const char *text)
{
	write_file(text, strlen(text));
}

static void
test_file(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_FILE);

	setenv("AWS_SHARED_CREDENTIALS_FILE", file_path, 1);
	write_text("aws_access_key_id = nobody\n"
			   "# [default]\n"
			   "[default]\n"
			   "aws_access_key_id=file-id\r\n"
			   "  aws_secret_access_key =  S3CR3T+/== \n"
			   "region = eu-west-1\n"
			   "; aws_session_token = no\n"
			   "a line of no form\n"
			   "[ other ]\n"
			   "aws_access_key_id = other-id\n"
			   "aws_secret_access_key = S3CR3T\n"
			   "aws_session_token = token\n"
			   "[half]\n"
			   "aws_access_key_id = half-id\n"
			   "[role]\n"
			   "role_arn = arn:aws:iam::1:role/x\n"
			   "[bad]\n"
			   "aws_access_key_id = S3CR3T\x01\n"
			   "[last]\n"
			   "aws_access_key_id = last-id\n"
			   "aws_secret_access_key = S3CR3T");
	CHECK(gives(&options, "file-id S3CR3T+/==  0"), "the default profile");
	options.profile = "other";
	CHECK(gives(&options, "other-id S3CR3T token 0"), "a named profile");
	options.profile = "last";
	CHECK(gives(&options, "last-id S3CR3T  0"), "a file without a last line end");
	options.profile = "half";
	CHECK(fails(&options, SV_DENIED, "not complete"), "half a profile");
	options.profile = "role";
	CHECK(fails(&options, SV_DENIED, "profile \"role\""), "a profile without keys");
	options.profile = "bad";
	CHECK(fails(&options, SV_DENIED, "line 18"), "a control character");
	options.profile = "none";
	CHECK(fails(&options, SV_DENIED, "profile \"none\""), "a profile that is not there");
	options.profile = NULL;
	setenv("AWS_PROFILE", "other", 1);
	CHECK(gives(&options, "other-id S3CR3T token 0"), "AWS_PROFILE");
	options.profile = "last";
	CHECK(gives(&options, "last-id S3CR3T  0"), "an option goes before AWS_PROFILE");
	options.sources = S3_FROM_ANYWHERE;
	setenv("AWS_ACCESS_KEY_ID", "env-id", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "S3CR3T", 1);
	CHECK(gives(&options, "last-id S3CR3T  0"), "who names a profile gets no other keys");
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_PROFILE");
	options.profile = NULL;
	options.sources = S3_FROM_ENVIRONMENT | S3_FROM_FILE;
	CHECK(gives(&options, "file-id S3CR3T+/==  0"), "the file after the environment");
}

static void
test_hostile_files(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_FILE);
	size_t		len = 1024 * 1024 + 1;
	char	   *bytes = malloc(len);
	int			fd;

	setenv("AWS_SHARED_CREDENTIALS_FILE", file_path, 1);
	write_text("");
	CHECK(fails(&options, SV_DENIED, "no keys for profile"), "an empty file");
	write_text("[");
	CHECK(fails(&options, SV_DENIED, "no keys for profile"), "one bracket");
	write_text("[default]\n=\n==\naws_access_key_id\naws_access_key_id=\n[]\n");
	CHECK(fails(&options, SV_DENIED, "no keys for profile"), "names without values, values without names");
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char) (i * 2654435761u >> 13);
	write_file(bytes, 100000);
	CHECK(fails(&options, SV_DENIED, "no keys for profile"), "binary");
	memset(bytes, 'a', len);
	write_file(bytes, len - 1);
	CHECK(fails(&options, SV_DENIED, "no keys for profile"), "a line of a megabyte");
	write_file(bytes, len);
	CHECK(fails(&options, SV_DENIED, "more than 1048576 bytes"), "too large a file");
	memcpy(bytes, "[default]\naws_access_key_id=", 28);
	write_file(bytes, 28 + 256);
	CHECK(fails(&options, SV_DENIED, "line 2"), "too long a key");
	free(bytes);

	fd = open(file_path, O_WRONLY);
	CHECK(fd >= 0 && ftruncate(fd, (off_t) 1 << 40) == 0 && fails(&options, SV_DENIED, "more than"),
		  "a terabyte of nothing");
	close(fd);
	unlink(file_path);
	CHECK(fails(&options, SV_DENIED, "There is no file"), "no file");
	CHECK(mkfifo(file_path, 0600) == 0 && fails(&options, SV_DENIED, "no ordinary file"), "a named pipe");
	unlink(file_path);
	CHECK(mkdir(file_path, 0700) == 0 && fails(&options, SV_DENIED, "no ordinary file"), "a directory");
	rmdir(file_path);
	CHECK(symlink(file_path, file_path) == 0 && fails(&options, SV_IO, "could not open"), "a symbolic link to itself");
	unlink(file_path);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	setenv("HOME", "/nonexistent", 1);
	CHECK(fails(&options, SV_DENIED, "/nonexistent/.aws/credentials"), "the file in the home directory");
	clear_environment();
}

/* ---- services ---- */

static char stub_answer[200 * 1024];	/* to whoever asks for keys */
static char stub_seen[4096];	/* request lines, each with a newline */
static char stub_authorization[256];
static HttpStub stub;

static const char good_keys[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
	"{\"Code\":\"Success\",\"LastUpdated\":\"2027-01-15T07:00:00Z\",\"Type\":\"AWS-HMAC\",\"more\":{\"Token\":[1,2]},"
	"\"AccessKeyId\":\"svc-id\",\"SecretAccessKey\":\"S3CR3T\\/x\",\"Token\":\"tok==\",\"Expiration\":\"%s\"}";

static void
answer_request(const char *request, char *answer, size_t size)
{
	size_t		used = strlen(stub_seen);
	const char *authorization = strstr(request, "Authorization: ");

	snprintf(stub_seen + used, sizeof(stub_seen) - used, "%.*s\n", (int) strcspn(request, "\r"), request);
	if (authorization != NULL)
		snprintf(stub_authorization, sizeof(stub_authorization), "%.*s", (int) strcspn(authorization, "\r"),
				 authorization);
	if (strncmp(request, "PUT /latest/api/token", 21) == 0)
		snprintf(answer, size, "HTTP/1.1 %s\r\nConnection: close\r\n\r\nSESSION",
				 strstr(request, "X-aws-ec2-metadata-token-ttl-seconds: ") != NULL ? "200 OK" : "400 Bad");
	else if (strstr(request, "/latest/") != NULL && strstr(request, "X-aws-ec2-metadata-token: SESSION\r\n") == NULL)
		snprintf(answer, size, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
	else if (strncmp(request, "GET /latest/meta-data/iam/security-credentials/ ", 48) == 0)
		snprintf(answer, size, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nmy-role\nanother");
	else
		snprintf(answer, size, "%s", stub_answer);
}

static void
answer_keys(const char *expiration)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(stub_answer, sizeof(stub_answer), good_keys, expiration);
#pragma GCC diagnostic pop
	stub_seen[0] = '\0';
}

static void
set_url(const char *variable, const char *format)
{
	char		url[256];
	const char *port = strstr(format, "PORT");

	snprintf(url, sizeof(url), "%.*s%d%s", (int) (port - format), format, stub.port, port + 4);
	setenv(variable, url, 1);
}

static void
test_container(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_CONTAINER);
	static const char *const far[] = {
		"http://example.com/keys", "http://10.0.0.1/keys", "http://127.0.0.1.example.com/", "ftp://127.0.0.1/",
		"http://127.0.0.1@example.com/", "http://169.255.0.1/", "http://[fd00::1]/", "/keys", "http://2130706433/",
		"http://localhost.example.com/", "http:///keys", "http://127.0.0.1/ x"
	};

	CHECK(fails(&options, SV_DENIED, "There is no container's service"), "no container");
	answer_keys("2027-01-15T09:00:00Z");
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:PORT/keys?x=1");
	CHECK(gives(&options, "svc-id S3CR3T/x tok== 1800003600") && strcmp(stub_seen, "GET /keys?x=1 HTTP/1.1\n") == 0,
		  "the container's service");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
	CHECK(gives(&options, "svc-id S3CR3T/x tok== 1800003600") &&
		  strcmp(stub_authorization, "Authorization: Basic abc") == 0,
		  "with an authorization");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_path, 1);
	write_text("from-file\n");
	CHECK(gives(&options, "svc-id S3CR3T/x tok== 1800003600") &&
		  strcmp(stub_authorization, "Authorization: from-file") == 0,
		  "with an authorization from a file");
	write_text("S3CR3T\x02");
	CHECK(fails(&options, SV_DENIED, "no text"), "a binary authorization");
	unlink(file_path);
	CHECK(fails(&options, SV_DENIED, file_path), "no such file");
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
	{
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", far[i], 1);
		CHECK(fails(&options, SV_DENIED, "not acceptable"), far[i]);
	}
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/keys", 1);
	CHECK(fails(&options, SV_IO, "container"), "nobody listens");
	clear_environment();
}

static void
test_instance(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_INSTANCE);

	answer_keys("2027-01-15T09:00:00Z");
	set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:PORT/");
	CHECK(gives(&options, "svc-id S3CR3T/x tok== 1800003600") &&
		  strcmp(stub_seen, "PUT /latest/api/token HTTP/1.1\n"
				 "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\n"
				 "GET /latest/meta-data/iam/security-credentials/my-role HTTP/1.1\n") == 0, "the instance's service");
	setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
	CHECK(fails(&options, SV_DENIED, "AWS_EC2_METADATA_DISABLED"), "which may be disabled");
	unsetenv("AWS_EC2_METADATA_DISABLED");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"Code\":\"NoRole\"}");
	CHECK(fails(&options, SV_DENIED, "NoRole"), "it says why it has none");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 503 No\r\nConnection: close\r\n\r\nS3CR3T");
	CHECK(fails(&options, SV_IO, "503"), "it has a fault");
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	CHECK(fails(&options, SV_DENIED, "There is no instance metadata service"), "nobody listens: no instance");
	clear_environment();
}

static void
test_web_identity(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_ANYWHERE);

	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file_path, 1);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/x", 1);
	set_url("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:PORT/");
	write_text("S3CR3T.token\n");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
			 "<AssumeRoleWithWebIdentityResponse><Credentials><SessionToken>web-token</SessionToken>"
			 "<SecretAccessKey>S3CR3T</SecretAccessKey><Expiration>2027-01-15T09:00:00.123Z</Expiration>"
			 "<AccessKeyId>web-id</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResponse>");
	CHECK(gives(&options, "web-id S3CR3T web-token 1800003600"), "a web identity");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n"
			 "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>");
	CHECK(fails(&options, SV_DENIED, "InvalidIdentityToken"), "a refused one");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>S3CR3T</html>");
	CHECK(fails(&options, SV_DENIED, "has no keys"), "a web page");
	unlink(file_path);
	CHECK(fails(&options, SV_DENIED, file_path), "no token");
	clear_environment();
}

static void
test_hostile_services(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_CONTAINER);
	static const char *const bodies[] = {
		"", "{", "[]", "\"x\"", "null", "{\"AccessKeyId\":\"a\"}", "<html>S3CR3T</html>",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"S3CR3T\"",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"S3CR3T\"} x",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"S3CR3T\",}",
		"{\"AccessKeyId\":1,\"SecretAccessKey\":\"S3CR3T\"}",
		"{\"AccessKeyId\":\"a b\",\"SecretAccessKey\":\"S3CR3T\"}",
		"{\"AccessKeyId\":\"a\\u0000\",\"SecretAccessKey\":\"S3CR3T\"}",
		"{\"AccessKeyId\":\"a\\ud800\",\"SecretAccessKey\":\"S3CR3T\"}",
		"{\"AccessKeyId\":\"a\\r\\nx: y\",\"SecretAccessKey\":\"S3CR3T\"}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"S3CR3T\",\"Token\":7}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"S3CR3T\",\"Token\":\"\xc3\xa4\"}",
		"{\"x\":{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"S3CR3T\"}}",
	};
	char	   *nested = stub_answer + 64;

	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:PORT/");
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
	{
		snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s", bodies[i]);
		CHECK(fails(&options, SV_DENIED, "has no keys"), bodies[i]);
	}
	answer_keys("soon");
	CHECK(fails(&options, SV_DENIED, "when the keys expire"), "no time");
	answer_keys("2027-01-15T07:59:59Z");
	CHECK(fails(&options, SV_DENIED, "expired 1 seconds ago"), "keys that have expired");
	memset(nested, '[', sizeof(stub_answer) - 65);
	memcpy(stub_answer, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":                           ", 64);
	stub_answer[50 * 1024] = '\0';
	CHECK(fails(&options, SV_DENIED, "has no keys"), "50,000 arrays in one another");
	memset(nested, ' ', sizeof(stub_answer) - 65);
	stub_answer[sizeof(stub_answer) - 1] = '\0';
	CHECK(fails(&options, SV_DENIED, "longer than"), "an answer of 200 kB");
	stub_answer[0] = '\0';
	CHECK(fails(&options, SV_IO, "container"), "no answer");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
			 "Connection: close\r\n\r\n");
	CHECK(fails(&options, SV_DENIED, "302"), "a redirection is not followed");
	clear_environment();
}

/* ---- time ---- */

static void
test_refresh(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_CONTAINER);
	S3CredentialsProvider *provider;
	const char *const until_nine = "svc-id S3CR3T/x tok== 1800003600";
	SvStatus	status;
	SvError		err;

	clock_now = 1800000000;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:PORT/");
	CHECK(s3_credentials_open(&provider, &options, &err) == SV_OK, "a provider");
	answer_keys("2027-01-15T09:00:00Z");
	CHECK(strcmp(keys_of(provider, &status, &err), until_nine) == 0 && stub_seen[0] != '\0', "keys for an hour");
	CHECK(strcmp(s3_credentials_source(provider), "the container's credentials service") == 0, "and whose they are");
	stub_seen[0] = '\0';
	clock_now += 3600 - 301;
	CHECK(strcmp(keys_of(provider, &status, &err), until_nine) == 0 && stub_seen[0] == '\0', "kept for 55 minutes");

	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n");
	clock_now++;
	CHECK(strcmp(keys_of(provider, &status, &err), until_nine) == 0 && stub_seen[0] != '\0',
		  "then the service is asked, and if it fails the old ones serve");
	stub_seen[0] = '\0';
	clock_now += 29;
	CHECK(strcmp(keys_of(provider, &status, &err), until_nine) == 0 && stub_seen[0] == '\0', "it is not asked at once");
	clock_now++;
	CHECK(strcmp(keys_of(provider, &status, &err), until_nine) == 0 && stub_seen[0] != '\0', "but half a minute later");
	clock_now += 269;
	CHECK(strcmp(keys_of(provider, &status, &err), until_nine) == 0, "up to the last second");
	clock_now++;
	keys_of(provider, &status, &err);
	CHECK(status == SV_IO, "and no longer");

	answer_keys("2027-01-15T10:00:00Z");
	CHECK(strcmp(keys_of(provider, &status, &err), "svc-id S3CR3T/x tok== 1800007200") == 0,
		  "new ones, once there are any");
	stub_seen[0] = '\0';
	CHECK(s3_credentials_reject(provider, "another-id"), "keys that are not the current ones are rejected");
	keys_of(provider, &status, &err);
	CHECK(status == SV_OK && stub_seen[0] == '\0', "then the current ones are tried");
	CHECK(s3_credentials_reject(provider, "svc-id"), "the current ones are rejected");
	keys_of(provider, &status, &err);
	CHECK(status == SV_OK && stub_seen[0] != '\0', "then others are fetched");
	CHECK(s3_credentials_reject(provider, "svc-id"), "rejected again");
	snprintf(stub_answer, sizeof(stub_answer), "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n");
	keys_of(provider, &status, &err);
	CHECK(status == SV_IO, "rejected ones do not serve when there are no others");
	s3_credentials_close(provider);
	clock_now = 1800000000;
	clear_environment();
}

static bool
cancelled(void *state)
{
	(void) state;
	return true;
}

static void
test_cancel(void)
{
	S3CredentialsOptions options = options_of(S3_FROM_ANYWHERE);
	S3CredentialsProvider *provider;
	const S3Credentials *keys;
	StoreCall	call = {.cancelled = cancelled};
	SvError		err;

	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
	set_url("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:PORT");
	CHECK(s3_credentials_open(&provider, &options, &err) == SV_OK &&
		  s3_credentials_get(provider, &keys, &call, &err) == SV_CANCELLED, "a request to a service can be cancelled");
	s3_credentials_close(provider);
	clear_environment();
}

static void
test_times(void)
{
	static const struct
	{
		const char *text;
		int64_t		seconds;	/* -1: none */
	}			times[] = {
		{"1970-01-01T00:00:00Z", 0}, {"2000-02-29T12:34:56Z", 951827696}, {"2027-01-15T08:00:00Z", 1800000000},
		{"2038-01-19T03:14:08.999Z", INT64_C(2147483648)}, {"2026-11-29T18:30:00+00:00", 1795977000},
		{"9999-12-31T23:59:59Z", INT64_C(253402300799)},
		{"", -1}, {"2027-01-15", -1}, {"2027-01-15T08:00:00", -1}, {"2027-13-15T08:00:00Z", -1},
		{"2027-01-15T24:00:00Z", -1}, {"2027-01-15 08:00:00Z", -1}, {"2027-01-15T08:00:00Zx", -1},
		{"-027-01-15T08:00:00Z", -1}, {"99999-01-15T08:00:00Z", -1}, {"2027-1-15T08:00:00Z", -1},
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
	{
		int64_t		seconds = -1;
		bool		valid = s3_parse_time(times[i].text, &seconds);

		CHECK(valid == (times[i].seconds >= 0) && (!valid || seconds == times[i].seconds), times[i].text);
	}
}

int
main(void)
{
	int			fd = mkstemp(file_path);

	close(fd);
	clear_environment();
	http_stub_start(&stub, answer_request);
	test_given();
	test_environment();
	test_file();
	test_hostile_files();
	test_container();
	test_instance();
	test_web_identity();
	test_hostile_services();
	test_refresh();
	test_cancel();
	test_times();
	http_stub_stop(&stub);
	return unit_done();
}
