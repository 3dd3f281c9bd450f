/*
 * fuzz_http_headers.c
 *		Any lines as the head of an answer of HTTP, as libcurl hands them over: what
 *		is kept is whole lines, and what is found is in them and fits.
 *
 * The callback is the transfer's own, so its source is compiled in here, its
 * functions for others under names of this program's.
 */
#define http_transfer_create fuzz_transfer_create
#define http_transfer_free fuzz_transfer_free
#define http_transfer_prepare fuzz_transfer_prepare
#define http_transfer_end fuzz_transfer_end
#include "store/http_transfer.c"

#include "store/s3_credentials_http.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
look_up(const HttpRequest *request, const char *name, size_t room)
{
	char		value[64];
	bool		found;
	int64_t		seconds;

	memset(value, '\n', sizeof(value));
	found = http_header(request, name, value, room);
	require(strnlen(value, room) < room && strchr(value, '\n') == NULL);
	require(found || value[0] == '\0');
	require(!found || value[0] == '\0' || strstr(request->headers_in, value) != NULL);
	require(!found || (value[0] != ' ' && value[0] != '\t'));
	require(http_date(value) >= -1);
	if (s3_parse_time(value, &seconds))
		require(seconds >= 0);
}

static void
require_whole_lines(const HttpRequest *request, size_t used)
{
	size_t		len = strnlen(request->headers_in, sizeof(request->headers_in));

	require(len < sizeof(request->headers_in) && len == used);
	require(len == 0 || (request->headers_in[0] != '\n' && request->headers_in[len - 1] == '\n'));
	require(strstr(request->headers_in, "\n\n") == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] =
		{"etag", "Date", "retry-after", "x-amz-request-id", "x-amz-server-side-encryption", "content-length", "a"};
	static HttpRequest request;
	HttpTransfer transfer = {.request = &request};
	char	   *line;

	memset(&request, 0, sizeof(request));
	for (size_t at = 0, len; at < size; at += len)
	{
		const uint8_t *end = memchr(data + at, '\n', size - at);

		/* In memory of its own, so that reading beyond it is noticed. */
		len = (end != NULL ? (size_t) (end - data) + 1 : size) - at;
		line = malloc(len);
		require(line != NULL);
		memcpy(line, data + at, len);
		require(take_header(line, 1, len, &transfer) == len);
		free(line);
		require(request.status >= 0 && request.status < 10000);
		require_whole_lines(&request, transfer.headers_used);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t room = 1; room <= 64; room += 21)
			look_up(&request, names[i], room);
	return 0;
}
