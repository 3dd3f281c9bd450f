/*
 * test_http_client.c
 *		The HTTP client against a server that gives the answers of a script.
 */
#include "unit.h"

#include <stdlib.h>

#include "store/http_client.h"
#include "http_script.h"
#include "slow_resolver.h"

#define OK "HTTP/1.1 200 OK"

static int	descriptors;		/* reserved and not released */
static int	most_descriptors;
static int	may_reserve = 1000;

static bool
reserve(void *state)
{
	(void) state;
	if (descriptors >= may_reserve)
		return false;
	if (++descriptors > most_descriptors)
		most_descriptors = descriptors;
	return true;
}

static void
release(void *state)
{
	(void) state;
	descriptors--;
}

static HttpClient *
make_client(int silence_ms)
{
	HttpClientOptions options = {
		.user_agent = "test/1",.max_idle = 8,.connect_ms = 10000,.silence_ms = silence_ms,
		.reserve_fd = reserve,.release_fd = release
	};
	HttpClient *client;
	SvError		err;

	if (http_client_create(&client, &options, &err) != SV_OK)
	{
		printf("Bail out! %s\n", err.message);
		exit(1);
	}
	return client;
}

static const char *
url_of(const Script *script, const char *path)
{
	static char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", script->port, path);
	return url;
}

/* Asks, and collects the answer in text. */
static SvStatus
ask(HttpClient *client, HttpRequest *request, char *text, size_t size, SvError *err)
{
	HttpCollected collected = {.max = size - 1};
	SvStatus	status;

	sv_buffer_init(&collected.bytes, &sv_malloc_alloc);
	request->sink = http_collect;
	request->state = &collected;
	status = http_client_perform(client, request, "thing", NULL, err);
	if (collected.bytes.len > 0)
		memcpy(text, collected.bytes.data, collected.bytes.len);
	text[collected.bytes.len] = '\0';
	sv_buffer_free(&collected.bytes);
	return status;
}

static void
test_methods(void)
{
	static const ScriptAnswer answers[] = {
		{OK "\r\nETag: \"x\"\r\nX-Empty:\r\nx-request-ID:  7 8 ", "hello", THEN_KEEP, false},
		{"HTTP/1.1 404 Not Found", "no", THEN_KEEP, false},
		{OK "\r\nContent-Length: 12345", NULL, THEN_KEEP, true},
		{"HTTP/1.1 204 No Content", NULL, THEN_KEEP, true},
		{OK, "posted", THEN_KEEP, false},
		{"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/", "elsewhere", THEN_KEEP, false}
	};
	Script	   *script = script_start(answers, 6, false);
	HttpClient *client = make_client(10000);
	const char *headers[] = {"X-Custom: a b", "range: bytes=0-4"};
	SvSlice		body[] = {sv_slice("ab", 2), sv_slice(NULL, 0), sv_slice("cde", 3)};
	HttpRequest request = {.url = url_of(script, "/p/%20?q=1"),.headers = headers,.nheaders = 2};
	char		text[64];
	char		value[8];
	SvError		err;

	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && request.status == 200 &&
		  strcmp(text, "hello") == 0 && request.content_length == 5 && request.bytes_in == 5 &&
		  request.ended_us >= request.started_us, "a GET");
	CHECK(strncmp(script->heads[0], "GET /p/%20?q=1 HTTP/1.1\r\n", 25) == 0 &&
		  strstr(script->heads[0], "\r\nX-Custom: a b\r\n") != NULL &&
		  strstr(script->heads[0], "\r\nrange: bytes=0-4\r\n") != NULL &&
		  strstr(script->heads[0], "\r\nUser-Agent: test/1\r\n") != NULL, "it asks what it was told to");
	CHECK(http_header(&request, "etag", value, sizeof(value)) && strcmp(value, "\"x\"") == 0 &&
		  http_header(&request, "X-Request-Id", value, sizeof(value)) && strcmp(value, "7 8") == 0 &&
		  http_header(&request, "x-empty", value, sizeof(value)) && value[0] == '\0' &&
		  !http_header(&request, "x-request", value, sizeof(value)) &&
		  http_header(&request, "content-length", value, 1) && value[0] == '\0', "headers by name");

	request.method = HTTP_PUT;
	request.body = body;
	request.nbody = 3;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && request.status == 404 &&
		  strcmp(text, "no") == 0 && request.bytes_out == 5 && strcmp(script->bodies[1], "abcde") == 0 &&
		  strncmp(script->heads[1], "PUT ", 4) == 0 && strstr(script->heads[1], "Expect") == NULL,
		  "a PUT of several parts, and the body of a 404");
	request.method = HTTP_HEAD;
	request.nbody = 0;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && request.content_length == 12345 &&
		  text[0] == '\0' && !http_header(&request, "etag", value, sizeof(value)), "a HEAD");
	request.method = HTTP_DELETE;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && request.status == 204 &&
		  strncmp(script->heads[3], "DELETE ", 7) == 0, "a DELETE");
	request.method = HTTP_POST;
	request.nbody = 3;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && strcmp(text, "posted") == 0 &&
		  strncmp(script->heads[4], "POST ", 5) == 0 && strcmp(script->bodies[4], "abcde") == 0, "a POST");
	request.method = HTTP_GET;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && request.status == 301 &&
		  strcmp(text, "elsewhere") == 0, "a redirect is an answer");
	CHECK(script->nconnections == 1, "all over one connection");
	http_client_free(client);
	script_stop(script);
	CHECK(descriptors == 0 && most_descriptors >= 1, "descriptors are accounted for");
}

static char large_text[300001];

static void
test_large(void)
{
	static ScriptAnswer answers[] = {{OK, large_text, THEN_KEEP, false}};
	Script	   *script;
	HttpClient *client = make_client(10000);
	char	   *text = malloc(sizeof(large_text));
	SvSlice		body = {(uint8_t *) large_text, sizeof(large_text) - 1};
	HttpRequest request = {.method = HTTP_PUT,.body = &body,.nbody = 1};
	SvError		err;

	for (size_t i = 0; i < sizeof(large_text) - 1; i++)
		large_text[i] = (char) ('a' + i * 7 % 26);
	script = script_start(answers, 1, true);
	request.url = url_of(script, "/");
	CHECK(ask(client, &request, text, sizeof(large_text), &err) == SV_OK && strcmp(text, large_text) == 0 &&
		  script->body_bytes[0] == sizeof(large_text) - 1 &&
		  memcmp(script->bodies[0], large_text, SCRIPT_BODY_BYTES - 1) == 0, "a large body, there and back");
	request.expected_bytes = sizeof(large_text);
	CHECK(ask(client, &request, text, sizeof(large_text) - 1, &err) == SV_IO && request.outcome == HTTP_STOPPED,
		  "an answer that is too long is not taken");
	free(text);
	http_client_free(client);
	script_stop(script);
}

static int	ended;

static void
count_ended(HttpRequest *request)
{
	ended += request->outcome == HTTP_ANSWERED && request->bytes_in == 5;
}

static int	waits;
static int	waited_fds;

static void
count_wait(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	struct pollfd polled[SCRIPT_CONNECTIONS];

	(void) state;
	waits++;
	waited_fds = nfds > waited_fds ? nfds : waited_fds;
	for (int i = 0; i < nfds; i++)
		polled[i] = (struct pollfd) {fds[i].fd, (short) ((fds[i].read ? POLLIN : 0) | (fds[i].write ? POLLOUT : 0)), 0};
	poll(polled, (nfds_t) nfds, timeout_ms);
}

static void
test_many(void)
{
	enum { N = 40 };
	static const ScriptAnswer answers[] = {{OK, "hello", THEN_KEEP, false}};
	Script	   *script = script_start(answers, 1, true);
	HttpClient *client = make_client(10000);
	HttpRequest *requests = calloc(N, sizeof(HttpRequest));
	StoreCall	call = {.wait = count_wait};
	bool		started = true;
	SvError		err;

	for (int i = 0; i < N; i++)
	{
		requests[i].url = url_of(script, "/");
		requests[i].ended = count_ended;
		started = started && http_client_start(client, &requests[i], &err) == SV_OK;
	}
	CHECK(started && http_client_running(client) == N, "many start");
	http_client_drop(client, &requests[3]);
	http_client_drop(client, &requests[3]);
	while (http_client_running(client) > 0)
		http_client_step(client, &call, 100);
	CHECK(ended == N - 1 && requests[3].outcome == HTTP_RUNNING, "all but the dropped one end");
	CHECK(waits > 0 && waited_fds > 1, "it waits for their sockets by the call's callback");
	http_client_free(client);
	free(requests);
	script_stop(script);
	CHECK(descriptors == 0, "and closes them all");
}

/* One request to a server that gives one answer. */
static HttpOutcome
outcome_of_answer(ScriptAnswer answer, int timeout_ms, char *hint)
{
	Script	   *script = script_start(&answer, 1, true);
	HttpClient *client = make_client(200);
	HttpRequest request = {.url = url_of(script, "/"),.timeout_ms = timeout_ms};
	HttpOutcome outcome;
	SvStatus	status;
	char		text[64];
	SvError		err = {0};

	status = ask(client, &request, text, sizeof(text), &err);
	outcome = request.outcome;
	if (status != (outcome == HTTP_ANSWERED ? SV_OK : SV_IO) ||
		(status != SV_OK && (strstr(err.message, "\"thing\" failed: ") == NULL || request.reason[0] == '\0')))
		outcome = HTTP_RUNNING;
	strcpy(hint, err.hint);
	http_client_free(client);
	script_stop(script);
	return outcome;
}

static void
test_bad_answers(void)
{
	ScriptAnswer torn = {OK "\r\nContent-Length: 100", "short", THEN_CLOSE, true};
	ScriptAnswer whole = {OK "\r\nContent-Length: 5", "hello", THEN_CLOSE, true};
	ScriptAnswer nothing = {NULL, NULL, THEN_CLOSE, true};
	ScriptAnswer mail = {"220 mail.example.com ESMTP", NULL, THEN_CLOSE, true};
	char		hint[SV_ERROR_HINT_BYTES];

	CHECK(outcome_of_answer(torn, 0, hint) == HTTP_LOST, "a torn body");
	torn.then = THEN_RESET;
	CHECK(outcome_of_answer(torn, 0, hint) == HTTP_LOST, "a reset amid a body");
	torn.then = THEN_HANG;
	CHECK(outcome_of_answer(torn, 0, hint) == HTTP_TIMED_OUT, "silence amid a body");
	CHECK(outcome_of_answer(nothing, 0, hint) == HTTP_LOST, "no answer");
	nothing.then = THEN_RESET;
	CHECK(outcome_of_answer(nothing, 0, hint) == HTTP_LOST, "a reset");
	nothing.then = THEN_HANG;
	CHECK(outcome_of_answer(nothing, 0, hint) == HTTP_TIMED_OUT && hint[0] != '\0', "silence");
	CHECK(outcome_of_answer(nothing, 50, hint) == HTTP_TIMED_OUT, "a time limit");
	CHECK(outcome_of_answer(mail, 0, hint) == HTTP_NOT_HTTP && hint[0] != '\0', "another protocol");
	CHECK(outcome_of_answer(whole, 0, hint) == HTTP_ANSWERED, "a whole answer before the end");
	CHECK(descriptors == 0, "failures leave no descriptor");
}

/* A kept connection that the server has closed meanwhile costs nothing, with a body too. */
static void
test_stale_connection(void)
{
	static const ScriptAnswer answers[] = {{OK, "hello", THEN_CLOSE, false}};
	Script	   *script = script_start(answers, 1, true);
	HttpClient *client = make_client(10000);
	SvSlice		body = sv_slice("abc", 3);
	HttpRequest request = {.url = url_of(script, "/"),.method = HTTP_PUT,.body = &body,.nbody = 1};
	char		text[64];
	bool		all = true;
	SvError		err;

	for (int i = 0; i < 20; i++)
	{
		SvStatus	status;

		/* If it is closed just while the request goes out, that is lost. */
		do
			status = ask(client, &request, text, sizeof(text), &err);
		while (status == SV_IO && request.outcome == HTTP_LOST);
		all = all && status == SV_OK && strcmp(text, "hello") == 0;
	}
	CHECK(all && strcmp(script->bodies[19], "abc") == 0, "connections that the server closes are made anew");
	http_client_free(client);
	script_stop(script);
}

static void
test_unreachable(void)
{
	HttpClient *client = make_client(10000);
	HttpRequest request = {.url = "http://no-such-host.invalid/"};
	char		url[64];
	int			port;
	int			fd = script_listen(&port);
	char		text[64];
	SvError		err;

	close(fd);
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_IO && request.outcome == HTTP_REFUSED &&
		  err.hint[0] != '\0', "a name that does not resolve");
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
	request.url = url;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_IO && request.outcome == HTTP_REFUSED,
		  "nobody listens");
	request.url = "ftp://127.0.0.1/";
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_IO, "another protocol than HTTP");
	http_client_free(client);
}

static void
test_slow_name(void)
{
	HttpClient *client = make_client(1000000);
	HttpRequest request = {.url = "http://slow.test/"};
	SvError		err;

	if (!CHECK(http_client_start(client, &request, &err) == SV_OK, "a request to a name that is not resolved"))
		return;
	while (slow_asked == 0 && request.outcome == HTTP_RUNNING)
		http_client_step(client, NULL, 100);
	CHECK(slow_asked == 1 && !slow_hears_signals, "the thread that resolves it runs no signal's handler");
	http_client_drop(client, &request);
	http_client_free(client);
	CHECK(slow_answered == 0, "who drops the request does not wait for that thread");
	slow_may_answer = true;
	while (slow_answered == 0)
		usleep(1000);
}

static void
test_no_tls(void)
{
	static const ScriptAnswer answers[] = {{"HTTP/1.1 400 Bad Request", "no TLS", THEN_CLOSE, false}};
	Script	   *script = script_start(answers, 1, true);
	HttpClient *client = make_client(1000);
	HttpClientOptions options = {.ca_file = "/nonexistent/ca.pem",.max_idle = 1,.connect_ms = 1000,.silence_ms = 1000};
	char		url[64];
	char		text[64];
	HttpRequest request = {.url = url};
	SvError		err;

	/* The server waits for an end of the head that never comes. */
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", script->port);
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_IO && request.outcome == HTTP_TIMED_OUT,
		  "a server that does not answer a TLS handshake");
	http_client_free(client);
	if (http_client_create(&client, &options, &err) != SV_OK)
		exit(1);
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_IO && request.outcome == HTTP_BAD_CA_FILE &&
		  strstr(err.hint, "PEM") != NULL, "a file of authorities that is not there");
	http_client_free(client);
	script_stop(script);
}

static void
test_descriptors_refused(void)
{
	static const ScriptAnswer answers[] = {{OK, "hello", THEN_KEEP, false}};
	Script	   *script = script_start(answers, 1, true);
	HttpClient *client = make_client(10000);
	HttpClientOptions options = {
		.max_idle = 1,.connect_ms = 1,.silence_ms = 1,.reserve_fd = reserve,.release_fd = release
	};
	HttpRequest request = {.url = url_of(script, "/")};
	char		text[64];
	SvError		err;

	may_reserve = descriptors;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_IO && request.outcome == HTTP_NO_DESCRIPTOR &&
		  err.hint[0] != '\0', "no descriptor for a connection");
	may_reserve = 1000;
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK, "the next time there is one");
	http_client_free(client);
	may_reserve = 1;
	CHECK(http_client_create(&client, &options, &err) == SV_IO && client == NULL && descriptors == 0,
		  "no descriptors for a client");
	may_reserve = 1000;
	options.connect_ms = 0;
	CHECK(http_client_create(&client, &options, &err) == SV_INVALID, "options out of range");
	script_stop(script);
}

static bool
cancel_third(void *state)
{
	return --*(int *) state <= 0;
}

static void
test_cancel(void)
{
	static const ScriptAnswer answers[] = {{NULL, NULL, THEN_HANG, true}};
	Script	   *script = script_start(answers, 1, true);
	HttpClient *client = make_client(1000000);
	HttpRequest request = {.url = url_of(script, "/")};
	int			left = 6;
	StoreCall	call = {.cancelled = cancel_third,.state = &left};
	SvError		err;

	CHECK(http_client_perform(client, &request, "thing", &call, &err) == SV_CANCELLED &&
		  http_client_running(client) == 0 && request.outcome == HTTP_RUNNING && script->nrequests == 1,
		  "a request is cancelled while nothing comes");
	http_client_free(client);
	script_stop(script);
	CHECK(descriptors == 0, "and its connection is closed");
}

static void
test_fork(void)
{
	static const ScriptAnswer answers[] = {{OK, "hello", THEN_KEEP, false}};
	Script	   *script = script_start(answers, 1, true);
	HttpClient *client = make_client(10000);
	HttpRequest request = {.url = url_of(script, "/")};
	char		text[64];
	int			wait_status;
	pid_t		pid;
	SvError		err;

	ask(client, &request, text, sizeof(text), &err);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		bool		refused = http_client_start(client, &request, &err) == SV_INVALID;

		http_client_step(client, NULL, 100);
		http_client_free(client);
		_exit(refused ? 0 : 1);
	}
	waitpid(pid, &wait_status, 0);
	CHECK(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0, "a child of fork() may not use the client");
	CHECK(ask(client, &request, text, sizeof(text), &err) == SV_OK && script->nconnections == 1,
		  "and its parent's connection stays");
	http_client_free(client);
	script_stop(script);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setenv("no_proxy", "*", 1);
	test_methods();
	test_large();
	test_many();
	test_bad_answers();
	test_stale_connection();
	test_unreachable();
	test_slow_name();
	test_no_tls();
	test_descriptors_refused();
	test_cancel();
	test_fork();
	return unit_done();
}
