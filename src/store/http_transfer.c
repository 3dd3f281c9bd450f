/*
 * http_transfer.c
 *		Options and callbacks of a libcurl handle.
 */
#include "store/http_transfer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Memory for a transfer, by the length of what it carries. */
#define SMALL_BUFFER_BYTES (32L * 1024)
#define LARGE_BUFFER_BYTES (512L * 1024)

/* -------------------------------------------------------------------------
 * Callbacks
 * ------------------------------------------------------------------------- */

static void
begin_answer(HttpTransfer *transfer, const char *line, size_t len)
{
	HttpRequest *request = transfer->request;
	size_t		at = 0;
	int			status = 0;

	while (at < len && line[at] != ' ')
		at++;
	while (++at < len && line[at] >= '0' && line[at] <= '9' && status < 1000)
		status = status * 10 + (line[at] - '0');
	request->status = status;
	request->content_length = -1;
	request->headers_in[0] = '\0';
	transfer->headers_used = 0;
}

/* Without these an answer is worth nothing: however many others a gateway adds, there is room for them. */
static bool
is_needed(const char *line, size_t len)
{
	static const char *const names[] = {"etag:", "content-length:", "content-range:"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		if (len > strlen(names[i]) && strncasecmp(line, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

/* Keeps a header; those that do not fit, or are no text (which older libcurls let through), are left out. */
static void
keep_header(HttpTransfer *transfer, const char *line, size_t len)
{
	HttpRequest *request = transfer->request;
	size_t		room = sizeof(request->headers_in) - (is_needed(line, len) ? 0 : HTTP_HEADERS_BYTES / 8);

	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	if (len == 0 || transfer->headers_used + len + 2 > room || memchr(line, '\0', len) != NULL)
		return;
	memcpy(request->headers_in + transfer->headers_used, line, len);
	transfer->headers_used += len;
	memcpy(request->headers_in + transfer->headers_used, "\n", 2);
	transfer->headers_used++;
	if (len > 15 && strncasecmp(line, "content-length:", 15) == 0)
		request->content_length = strtoll(strrchr(request->headers_in, ':') + 1, NULL, 10);
}

static size_t
take_header(char *line, size_t size, size_t n, void *state)
{
	HttpTransfer *transfer = state;
	size_t		len = size * n;

	transfer->last_us = store_now_us();
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
		begin_answer(transfer, line, len);
	else
		keep_header(transfer, line, len);
	return len;
}

static size_t
take_body(char *data, size_t size, size_t n, void *state)
{
	HttpTransfer *transfer = state;
	HttpRequest *request = transfer->request;
	size_t		len = size * n;

	transfer->last_us = store_now_us();
	request->bytes_in += len;
	if (request->sink != NULL && !request->sink(request, data, len))
		return 0;
	return len;
}

static size_t
give_body(char *data, size_t size, size_t n, void *state)
{
	HttpTransfer *transfer = state;
	HttpRequest *request = transfer->request;
	size_t		room = size * n;
	size_t		given = 0;

	transfer->last_us = store_now_us();
	while (given < room && transfer->body_slice < request->nbody)
	{
		const SvSlice *slice = &request->body[transfer->body_slice];
		size_t		step = slice->len - transfer->body_offset;

		if (step > room - given)
			step = room - given;
		if (step > 0)
			memcpy(data + given, slice->data + transfer->body_offset, step);
		given += step;
		transfer->body_offset += step;
		if (transfer->body_offset == slice->len)
		{
			transfer->body_slice++;
			transfer->body_offset = 0;
		}
	}
	if (request->sending != NULL && given > 0)
		request->sending(request, request->bytes_out, data, given);
	request->bytes_out += given;
	return given;
}

/* A kept connection turned out to be dead: libcurl sends the request again on a new one. */
static int
rewind_body(void *state, curl_off_t offset, int origin)
{
	HttpTransfer *transfer = state;

	if (offset != 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	transfer->body_slice = 0;
	transfer->body_offset = 0;
	transfer->request->bytes_out = 0;
	return CURL_SEEKFUNC_OK;
}

static curl_socket_t
open_socket(void *state, curlsocktype purpose, struct curl_sockaddr *address)
{
	HttpTransfer *transfer = state;
	HttpSockets *sockets = transfer->sockets;
	curl_socket_t fd = CURL_SOCKET_BAD;

	(void) purpose;
	if (sockets->reserve_fd == NULL || sockets->reserve_fd(sockets->state))
	{
		fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
		if (fd < 0 && sockets->release_fd != NULL)
			sockets->release_fd(sockets->state);
	}
	if (fd < 0)
		transfer->no_descriptor = true;
	return fd;
}

static int
close_socket(void *state, curl_socket_t fd)
{
	HttpSockets *sockets = state;

	close(fd);
	if (sockets->release_fd != NULL)
		sockets->release_fd(sockets->state);
	return 0;
}

/* -------------------------------------------------------------------------
 * Preparing
 * ------------------------------------------------------------------------- */

HttpTransfer *
http_transfer_create(void)
{
	HttpTransfer *transfer = calloc(1, sizeof(HttpTransfer));

	if (transfer != NULL)
		transfer->easy = curl_easy_init();
	if (transfer != NULL && transfer->easy != NULL)
		return transfer;
	free(transfer);
	return NULL;
}

void
http_transfer_free(HttpTransfer *transfer)
{
	curl_slist_free_all(transfer->headers);
	curl_easy_cleanup(transfer->easy);
	free(transfer);
}

static bool
add_header(HttpTransfer *transfer, const char *line)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, line);

	if (longer != NULL)
		transfer->headers = longer;
	return longer != NULL;
}

static bool
set_headers(HttpTransfer *transfer, const HttpRequest *request)
{
	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	/* No waiting for "100 Continue": what is sent too early costs less than a round trip each time. */
	if (!add_header(transfer, "Expect:"))
		return false;
	for (int i = 0; i < request->nheaders; i++)
		if (!add_header(transfer, request->headers[i]))
			return false;
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	return true;
}

static void
set_method(HttpTransfer *transfer, const HttpRequest *request)
{
	CURL	   *easy = transfer->easy;
	curl_off_t	len = 0;

	for (int i = 0; i < request->nbody; i++)
		len += (curl_off_t) request->body[i].len;
	switch (request->method)
	{
		case HTTP_GET:
			break;
		case HTTP_HEAD:
			curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
			break;
		case HTTP_DELETE:
			curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
			break;
		case HTTP_POST:
			curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "POST");
			/* FALLTHROUGH */
		case HTTP_PUT:
			curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
			curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, len);
			if (len > SMALL_BUFFER_BYTES)
				curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, LARGE_BUFFER_BYTES);
			break;
	}
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
					 request->expected_bytes > (size_t) SMALL_BUFFER_BYTES ? LARGE_BUFFER_BYTES : SMALL_BUFFER_BYTES);
}

static void
set_callbacks(HttpTransfer *transfer)
{
	CURL	   *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
	curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->sockets);
}

static void
set_connection(HttpTransfer *transfer, const HttpRequest *request, const HttpClientOptions *options)
{
	CURL	   *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* A request that is dropped does not wait for the thread that resolves its host's name. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	if (request->direct)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (options->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file);
	if (options->user_agent != NULL)
		curl_easy_setopt(easy, CURLOPT_USERAGENT, options->user_agent);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) options->connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
}

SvStatus
http_transfer_prepare(HttpTransfer *transfer, HttpRequest *request,
					  const HttpClientOptions *options, HttpSockets *sockets, SvError *err)
{
	curl_easy_reset(transfer->easy);
	transfer->request = request;
	transfer->sockets = sockets;
	transfer->no_descriptor = false;
	transfer->body_slice = 0;
	transfer->body_offset = 0;
	transfer->headers_used = 0;
	transfer->reason[0] = '\0';

	request->outcome = HTTP_RUNNING;
	request->status = 0;
	request->content_length = -1;
	request->bytes_in = request->bytes_out = 0;
	request->reason[0] = request->headers_in[0] = '\0';
	request->started_us = transfer->last_us = store_now_us();
	request->ended_us = 0;

	set_callbacks(transfer);
	set_connection(transfer, request, options);
	set_method(transfer, request);
	if (!set_headers(transfer, request) ||
		curl_easy_setopt(transfer->easy, CURLOPT_URL, request->url) != CURLE_OK)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: an HTTP request");
	return SV_OK;
}

/* -------------------------------------------------------------------------
 * Ending
 * ------------------------------------------------------------------------- */

static HttpOutcome
outcome_of(CURLcode result)
{
	switch (result)
	{
		case CURLE_OK:
			return HTTP_ANSWERED;
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
			return HTTP_REFUSED;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_ISSUER_ERROR:
			return HTTP_UNTRUSTED;
		case CURLE_SSL_CACERT_BADFILE:
			return HTTP_BAD_CA_FILE;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CERTPROBLEM:
			return HTTP_NO_TLS;
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_BAD_CONTENT_ENCODING:
			return HTTP_NOT_HTTP;
		case CURLE_PARTIAL_FILE:
		case CURLE_GOT_NOTHING:
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
		case CURLE_SEND_FAIL_REWIND:
		case CURLE_HTTP2:
		case CURLE_HTTP2_STREAM:
			return HTTP_LOST;
		case CURLE_OPERATION_TIMEDOUT:
			return HTTP_TIMED_OUT;
		case CURLE_WRITE_ERROR:
			return HTTP_STOPPED;
		default:
			return HTTP_FAILED;
	}
}

void
http_transfer_end(HttpTransfer *transfer, CURLcode result)
{
	HttpRequest *request = transfer->request;
	const char *reason = transfer->reason[0] != '\0' ? transfer->reason : curl_easy_strerror(result);

	request->outcome = outcome_of(result);
	if (request->outcome == HTTP_REFUSED && transfer->no_descriptor)
	{
		request->outcome = HTTP_NO_DESCRIPTOR;
		reason = "too many open files";
	}
	request->ended_us = store_now_us();
	if (result != CURLE_OK)
	{
		size_t		len = strlen(reason);

		if (len >= sizeof(request->reason))
			len = sizeof(request->reason) - 1;
		memcpy(request->reason, reason, len);
		request->reason[len] = '\0';
	}
	request->transfer = NULL;
	transfer->request = NULL;
}
