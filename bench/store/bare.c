/*
 * bare.c
 *		What the S3 server can do for a C program on libcurl that does nothing
 *		else: the other side of bench/store/run.sh.
 *
 *	bare get OBJECT BYTES LEN COUNT IN_FLIGHT   ranged GETs of LEN bytes at offsets drawn at random; prints
 *	                                            the median of COUNT in microseconds, or with IN_FLIGHT > 1
 *	                                            what all of them took together
 *	bare scan OBJECT BYTES LEN COUNT IN_FLIGHT  the same one after the other, from the front; prints bytes a second
 *	bare put OBJECT BYTES LEN COUNT IN_FLIGHT [hash]
 *	                                            multipart upload of BYTES in parts of LEN; prints microseconds, the
 *	                                            median of COUNT; hash: with SHA-256 and MD5 of each part
 *
 * Endpoint, bucket, region and keys are in the environment, as s3-server env
 * prints them.  Requests are signed by libcurl; bodies are not looked at.
 */
#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_IN_FLIGHT 128
#define MAX_PARTS 1000

typedef struct Request
{
	CURL	   *curl;
	struct curl_slist *headers;
	size_t		got;
	char		reply[4096];	/* of a request whose body matters */
	char		etag[64];
	const uint8_t *send;
	size_t		left;
} Request;

static const char *object;
static uint64_t object_bytes;
static size_t len;
static int	count;
static int	in_flight;
static bool hashes;

static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	if (value != NULL)
		return value;
	fprintf(stderr, "bare: %s is not set\n", name);
	exit(2);
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static size_t
take(char *data, size_t size, size_t n, void *state)
{
	Request    *request = state;
	size_t		bytes = size * n;

	if (request->got + bytes < sizeof(request->reply))
	{
		memcpy(request->reply + request->got, data, bytes);
		request->reply[request->got + bytes] = '\0';
	}
	request->got += bytes;
	return bytes;
}

static size_t
take_header(char *data, size_t size, size_t n, void *state)
{
	Request    *request = state;

	if (size * n > 6 && strncasecmp(data, "ETag: ", 6) == 0)
		snprintf(request->etag, sizeof(request->etag), "%.*s", (int) strcspn(data + 6, "\r\n"), data + 6);
	return size * n;
}

static size_t
give(char *data, size_t size, size_t n, void *state)
{
	Request    *request = state;
	size_t		bytes = size * n < request->left ? size * n : request->left;

	memcpy(data, request->send, bytes);
	request->send += bytes;
	request->left -= bytes;
	return bytes;
}

static void
add_header(Request *request, const char *header)
{
	request->headers = curl_slist_append(request->headers, header);
}

/* A signed request for the object, with "?query" or "". */
static void
prepare(Request *request, const char *query, const char *payload_hash)
{
	char		text[2048];

	if (request->curl == NULL)
		request->curl = curl_easy_init();
	else
		curl_easy_reset(request->curl);
	curl_slist_free_all(request->headers);
	request->headers = NULL;
	request->got = 0;
	request->reply[0] = request->etag[0] = '\0';
	snprintf(text, sizeof(text), "%s/%s/%s%s", environment("SKYVAULT_S3_ENDPOINT"), environment("SKYVAULT_S3_BUCKET"),
			 object, query);
	curl_easy_setopt(request->curl, CURLOPT_URL, text);
	snprintf(text, sizeof(text), "aws:amz:%s:s3", environment("SKYVAULT_S3_REGION"));
	curl_easy_setopt(request->curl, CURLOPT_AWS_SIGV4, text);
	curl_easy_setopt(request->curl, CURLOPT_USERNAME, environment("SKYVAULT_S3_ACCESS_KEY_ID"));
	curl_easy_setopt(request->curl, CURLOPT_PASSWORD, environment("SKYVAULT_S3_SECRET_ACCESS_KEY"));
	snprintf(text, sizeof(text), "x-amz-content-sha256: %s", payload_hash);
	add_header(request, text);
	curl_easy_setopt(request->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(request->curl, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(request->curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(request->curl, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(request->curl, CURLOPT_PRIVATE, request);
	curl_easy_setopt(request->curl, CURLOPT_BUFFERSIZE, 512 * 1024L);
	curl_easy_setopt(request->curl, CURLOPT_UPLOAD_BUFFERSIZE, 512 * 1024L);
	curl_easy_setopt(request->curl, CURLOPT_TCP_NODELAY, 1L);
}

static void
check(Request *request, CURLcode code, size_t wanted)
{
	long		status = 0;

	curl_easy_getinfo(request->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK && status / 100 == 2 && (wanted == 0 || request->got == wanted))
		return;
	fprintf(stderr, "bare: %s, status %ld, %zu bytes of %zu: %s\n", curl_easy_strerror(code), status, request->got,
			wanted, request->reply);
	exit(1);
}

static void
perform(Request *request, size_t wanted)
{
	curl_easy_setopt(request->curl, CURLOPT_HTTPHEADER, request->headers);
	check(request, curl_easy_perform(request->curl), wanted);
}

static void
prepare_get(Request *request, uint64_t offset, size_t bytes)
{
	char		range[64];

	prepare(request, "", "UNSIGNED-PAYLOAD");
	snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long) offset, (unsigned long long) (offset + bytes - 1));
	curl_easy_setopt(request->curl, CURLOPT_RANGE, range);
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
median(double *values, int n)
{
	qsort(values, (size_t) n, sizeof(double), compare);
	return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* ---- many at once ---- */

typedef void (*Preparation) (Request *request, int number);
typedef void (*Completion) (Request *request, int number);

/* Runs n requests, at most in_flight of them at once. */
static void
run(CURLM *multi, Request *requests, int *numbers, int n, Preparation begin, Completion end, size_t wanted)
{
	int			begun = 0;
	int			ended = 0;
	int			idle[MAX_IN_FLIGHT];
	int			nidle = 0;

	for (int i = 0; i < in_flight; i++)
		idle[nidle++] = i;
	while (ended < n)
	{
		CURLMsg    *message;
		int			before = ended;
		int			left;

		while (begun < n && nidle > 0)
		{
			int			at = idle[--nidle];

			numbers[at] = begun;
			begin(&requests[at], begun++);
			curl_easy_setopt(requests[at].curl, CURLOPT_HTTPHEADER, requests[at].headers);
			curl_multi_add_handle(multi, requests[at].curl);
		}
		curl_multi_perform(multi, &left);
		while ((message = curl_multi_info_read(multi, &left)) != NULL)
		{
			Request    *request;

			if (message->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &request);
			check(request, message->data.result, wanted);
			curl_multi_remove_handle(multi, request->curl);
			if (end != NULL)
				end(request, numbers[request - requests]);
			idle[nidle++] = (int) (request - requests);
			ended++;
		}
		if (ended == before)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
}

/* ---- the modes ---- */

static void
begin_random_get(Request *request, int number)
{
	(void) number;
	prepare_get(request, (uint64_t) (drand48() * (double) (object_bytes - len)), len);
}

static void
begin_next_get(Request *request, int number)
{
	prepare_get(request, (uint64_t) number * len % (object_bytes - len + 1), len);
}

static double
get(Request *requests, int *numbers)
{
	CURLM	   *multi = curl_multi_init();
	double	   *each = malloc((size_t) count * sizeof(double));
	double		started;

	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) MAX_IN_FLIGHT);
	if (in_flight == 1)
	{
		for (int i = -1; i < count; i++)
		{
			started = now_us();
			begin_random_get(&requests[0], i);
			perform(&requests[0], len);
			each[i < 0 ? 0 : i] = now_us() - started;
		}
		return median(each, count);
	}
	/* Once before, for the connections. */
	run(multi, requests, numbers, in_flight, begin_random_get, NULL, len);
	started = now_us();
	run(multi, requests, numbers, count, begin_random_get, NULL, len);
	return now_us() - started;
}

static double
scan(Request *requests, int *numbers)
{
	CURLM	   *multi = curl_multi_init();
	double		started;

	run(multi, requests, numbers, in_flight, begin_random_get, NULL, len);
	started = now_us();
	run(multi, requests, numbers, count, begin_next_get, NULL, len);
	return (double) count * (double) len / (now_us() - started) * 1e6;
}

static uint8_t *content;
static char upload_id[256];
static char etags[MAX_PARTS][64];

static void
digest(const EVP_MD *kind, const uint8_t *bytes, size_t n, uint8_t *out, unsigned *out_len)
{
	EVP_Digest(bytes, n, out, out_len, kind, NULL);
}

static void
begin_part(Request *request, int number)
{
	size_t		at = (size_t) number * len;
	size_t		bytes = object_bytes - at < len ? object_bytes - at : len;
	char		query[512];
	char		hash[80] = "UNSIGNED-PAYLOAD";
	char		header[128] = "Content-MD5: ";
	uint8_t		out[EVP_MAX_MD_SIZE];
	unsigned	out_len;

	if (hashes)
	{
		digest(EVP_sha256(), content + at, bytes, out, &out_len);
		for (unsigned i = 0; i < out_len; i++)
			snprintf(hash + 2 * i, 3, "%02x", out[i]);
	}
	snprintf(query, sizeof(query), "?partNumber=%d&uploadId=%s", number + 1, upload_id);
	prepare(request, query, hash);
	if (hashes)
	{
		digest(EVP_md5(), content + at, bytes, out, &out_len);
		EVP_EncodeBlock((unsigned char *) header + strlen(header), out, (int) out_len);
		add_header(request, header);
	}
	request->send = content + at;
	request->left = bytes;
	curl_easy_setopt(request->curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(request->curl, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(request->curl, CURLOPT_READDATA, request);
	curl_easy_setopt(request->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t) bytes);
}

static void
end_part(Request *request, int number)
{
	memcpy(etags[number], request->etag, sizeof(etags[number]));
}

static void
initiate(Request *request)
{
	const char *id;

	prepare(request, "?uploads=", "UNSIGNED-PAYLOAD");
	curl_easy_setopt(request->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(request->curl, CURLOPT_POSTFIELDSIZE, 0L);
	perform(request, 0);
	id = strstr(request->reply, "<UploadId>");
	if (id == NULL)
		exit(1);
	id += strlen("<UploadId>");
	snprintf(upload_id, sizeof(upload_id), "%.*s", (int) strcspn(id, "<"), id);
}

static void
complete(Request *request, int parts)
{
	char	   *body = malloc((size_t) parts * 160 + 100);
	char		query[300];
	size_t		used = (size_t) sprintf(body, "<CompleteMultipartUpload>");

	for (int i = 0; i < parts; i++)
		used += (size_t) sprintf(body + used, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i + 1,
								 etags[i]);
	sprintf(body + used, "</CompleteMultipartUpload>");
	snprintf(query, sizeof(query), "?uploadId=%s", upload_id);
	prepare(request, query, "UNSIGNED-PAYLOAD");
	curl_easy_setopt(request->curl, CURLOPT_POSTFIELDS, body);
	perform(request, 0);
	free(body);
}

static double
put(Request *requests, int *numbers)
{
	static Request control;
	CURLM	   *multi = curl_multi_init();
	double	   *each = malloc((size_t) count * sizeof(double));
	int			parts = (int) ((object_bytes + len - 1) / len);

	content = malloc(object_bytes);
	for (uint64_t i = 0; i < object_bytes; i++)
		content[i] = (uint8_t) (lrand48() >> 7);
	if (parts > MAX_PARTS)
		exit(2);
	for (int i = 0; i < count; i++)
	{
		double		started = now_us();

		initiate(&control);
		run(multi, requests, numbers, parts, begin_part, end_part, 0);
		complete(&control, parts);
		each[i] = now_us() - started;
	}
	return median(each, count);
}

int
main(int argc, char **argv)
{
	static Request requests[MAX_IN_FLIGHT];
	static int	numbers[MAX_IN_FLIGHT];
	double		figure;

	if (argc < 7)
	{
		fprintf(stderr, "usage: %s get|scan|put OBJECT BYTES LEN COUNT IN_FLIGHT [hash]\n", argv[0]);
		return 2;
	}
	object = argv[2];
	object_bytes = strtoull(argv[3], NULL, 10);
	len = strtoull(argv[4], NULL, 10);
	count = atoi(argv[5]);
	in_flight = atoi(argv[6]);
	hashes = argc > 7;
	if (len == 0 || len > object_bytes || count < 1 || in_flight < 1 || in_flight > MAX_IN_FLIGHT)
		return 2;
	srand48((long) now_us());
	curl_global_init(CURL_GLOBAL_ALL);
	if (strcmp(argv[1], "get") == 0)
		figure = get(requests, numbers);
	else if (strcmp(argv[1], "scan") == 0)
		figure = scan(requests, numbers);
	else if (strcmp(argv[1], "put") == 0)
		figure = put(requests, numbers);
	else
		return 2;
	printf("%.1f\n", figure);
	return 0;
}
