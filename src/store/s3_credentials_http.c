/*
 * s3_credentials_http.c
 *		Keys from services of the machine: the container's and EC2's.
 *
 * A service that is not there must not cost much: a second to connect, no retry.
 */
#include "store/s3_credentials_http.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/s3_credentials_file.h"
#include "store/s3_json.h"

#define MAX_ANSWER_BYTES ((size_t) 64 * 1024)
#define MAX_TOKEN_FILE_BYTES ((size_t) 16 * 1024)
#define URL_BYTES 2048
#define CONNECT_MS 1000
#define ANSWER_MS 5000

#define CONTAINER_SERVICE "http://169.254.170.2"
#define INSTANCE_SERVICE "http://169.254.169.254"

/* -------------------------------------------------------------------------
 * Asking
 * ------------------------------------------------------------------------- */

static SvStatus
perform(HttpClient *client, HttpRequest *request, const char *name, SvSlice *body,
		const StoreCall *call, SvError *err)
{
	HttpCollected collected = {.max = MAX_ANSWER_BYTES};
	SvStatus	status;

	/* All of its room at once, so that no copy is left behind when it grows. */
	sv_buffer_init(&collected.bytes, &sv_malloc_alloc);
	status = sv_buffer_reserve(&collected.bytes, MAX_ANSWER_BYTES, err);
	if (status != SV_OK)
		return status;
	request->sink = http_collect;
	request->state = &collected;
	status = http_client_perform(client, request, name, call, err);
	request->state = NULL;
	if (collected.too_long)
		status = sv_fail(err, SV_DENIED, "the answer of %s is longer than %zu bytes", name, MAX_ANSWER_BYTES);
	*body = sv_slice(collected.bytes.data, collected.bytes.len);
	if (status != SV_OK)
		s3_free_secret(body);
	return status;
}

SvStatus
s3_ask_source(const S3SourceInput *input, HttpRequest *request, const char *name, SvSlice *body,
			  const StoreCall *call, SvError *err)
{
	HttpClientOptions options = input->http;
	HttpClient *client;
	SvStatus	status;

	*body = sv_slice(NULL, 0);
	options.max_idle = 1;
	options.connect_ms = options.connect_ms > 0 ? options.connect_ms : CONNECT_MS;
	options.silence_ms = options.silence_ms > 0 ? options.silence_ms : ANSWER_MS;
	request->timeout_ms = options.connect_ms + options.silence_ms;
	status = http_client_create(&client, &options, err);
	if (status != SV_OK)
		return status;
	status = perform(client, request, name, body, call, err);
	http_client_free(client);
	return status;
}

/* The answer was read, but is not what was hoped for. */
static SvStatus
fail_status(const HttpRequest *request, const char *name, SvError *err)
{
	/* Only the status: who knows what a body holds. */
	return sv_fail(err, request->status >= 500 || request->status == 429 ? SV_IO : SV_DENIED,
				   "%s answered a request for keys with HTTP status %d", name, request->status);
}

/* -------------------------------------------------------------------------
 * What metadata services answer
 * ------------------------------------------------------------------------- */

static bool
take_digits(const char **at, int n, int *value)
{
	*value = 0;
	for (int i = 0; i < n; i++, (*at)++)
	{
		if (**at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (**at - '0');
	}
	return true;
}

/* Days from 1970-01-01, of the Gregorian calendar. */
static int64_t
days_of_date(int year, int month, int day)
{
	int64_t		y = month <= 2 ? year - 1 : year;
	int64_t		era = y / 400;
	int64_t		year_of_era = y - era * 400;
	int64_t		day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

bool
s3_parse_time(const char *text, int64_t *seconds)
{
	static const struct
	{
		int			digits;
		int			least;
		int			most;
		char		then;
	}			fields[6] = {{4, 1970, 9999, '-'}, {2, 1, 12, '-'}, {2, 1, 31, 'T'},
	{2, 0, 23, ':'}, {2, 0, 59, ':'}, {2, 0, 60, '\0'}};
	int			v[6];

	for (int i = 0; i < 6; i++)
	{
		if (!take_digits(&text, fields[i].digits, &v[i]) || v[i] < fields[i].least || v[i] > fields[i].most)
			return false;
		if (fields[i].then != '\0' && *text++ != fields[i].then)
			return false;
	}
	if (*text == '.')
		text += 1 + strspn(text + 1, "0123456789");
	if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0)
		return false;
	*seconds = ((days_of_date(v[0], v[1], v[2]) * 24 + v[3]) * 60 + v[4]) * 60 + v[5];
	return true;
}

/* A member that has to be there, in to. */
static bool
take_json(SvSlice json, const char *member, char *to, size_t size)
{
	return s3_json_string(json, member, to, size) == S3_JSON_FOUND &&
		s3_copy_value(to, size, sv_slice(to, strlen(to))) && to[0] != '\0';
}

/* Keys from the JSON of metadata services.  SV_DENIED if that is not what it is. */
static SvStatus
credentials_of_json(SvSlice json, const char *name, S3Credentials *credentials, SvError *err)
{
	char		expiration[64];
	char		code[64];
	S3JsonResult token;

	/* EC2 says "Success", or why it gives none. */
	if (s3_json_string(json, "Code", code, sizeof(code)) == S3_JSON_FOUND && strcmp(code, "Success") != 0 &&
		s3_copy_value(code, sizeof(code), sv_slice(code, strlen(code))))
		return sv_fail(err, SV_DENIED, "%s gives no keys for the object store: %s", name, code);
	token = s3_json_string(json, "Token", credentials->session_token, S3_TOKEN_BYTES);
	if (!take_json(json, "AccessKeyId", credentials->access_key_id, S3_KEY_BYTES) ||
		!take_json(json, "SecretAccessKey", credentials->secret_access_key, S3_KEY_BYTES) || token == S3_JSON_BAD ||
		!s3_copy_value(credentials->session_token, S3_TOKEN_BYTES,
					   sv_slice(credentials->session_token, strlen(credentials->session_token))))
		return sv_fail(err, SV_DENIED, "the answer of %s has no keys for the object store in it", name);
	if (s3_json_string(json, "Expiration", expiration, sizeof(expiration)) == S3_JSON_MISSING)
		return SV_OK;
	if (!s3_parse_time(expiration, &credentials->expires_at))
		return sv_fail(err, SV_DENIED, "the answer of %s does not say properly when the keys expire", name);
	return SV_OK;
}

/* Asks for keys in JSON. */
static SvStatus
ask_for_keys(const S3SourceInput *input, HttpRequest *request, const char *name, S3Credentials *credentials,
			 const StoreCall *call, SvError *err)
{
	SvSlice		body;
	SvStatus	status = s3_ask_source(input, request, name, &body, call, err);

	if (status != SV_OK)
		return status;
	status = request->status == 200 ? credentials_of_json(body, name, credentials, err)
		: fail_status(request, name, err);
	s3_free_secret(&body);
	return status;
}

/* -------------------------------------------------------------------------
 * The container's service
 * ------------------------------------------------------------------------- */

/* Of this machine: loopback, or of the link, where container services live. */
static bool
host_is_near(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
	{
		uint32_t	address = ntohl(v4.s_addr);

		return address >> 24 == 127 || address >> 16 == (169 << 8 | 254);
	}
	if (inet_pton(AF_INET6, host, &v6) == 1)
	{
		static const uint8_t eks[16] = {0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23};

		return IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_LINKLOCAL(&v6) || memcmp(&v6, eks, 16) == 0;
	}
	return false;
}

/* Keys in clear text may cross this machine and its link, but no network. */
static bool
url_is_allowed(const char *url)
{
	char		host[256];
	const char *begin;
	size_t		len;

	for (const char *c = url; *c != '\0'; c++)
	{
		if (*c <= ' ' || *c >= 0x7F || *c == '@' || *c == '\\')
			return false;
	}
	if (strncmp(url, "https://", 8) == 0)
		return true;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	begin = url + 7;
	len = strcspn(begin, "/:?#");
	if (*begin == '[')
	{
		begin++;
		len = strcspn(begin, "]/");
	}
	if (len >= sizeof(host))
		return false;
	memcpy(host, begin, len);
	host[len] = '\0';
	return host_is_near(host);
}

/* "Authorization: ..." from the file, or else the variable; "" if there is neither. */
static SvStatus
make_authorization(char *header, size_t size, SvError *err)
{
	static const char name[] = "Authorization: ";
	const char *path = s3_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = s3_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	SvSlice		content = {NULL, 0};
	SvStatus	status = SV_OK;
	bool		fits = true;

	header[0] = '\0';
	if (path != NULL)
		status = s3_read_file(path, MAX_TOKEN_FILE_BYTES, &content, err);
	if (status == SV_NOT_FOUND)
		return sv_fail(err, SV_DENIED, "there is no file \"%s\", which AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names",
					   path);
	if (status != SV_OK || (path == NULL && token == NULL))
		return status;
	memcpy(header, name, sizeof(name));

	/* A token may have a blank in it, as in "Basic ...": each word by itself. */
	if (path == NULL)
		content = sv_slice(token, strlen(token));
	for (size_t i = 0; i < content.len && fits; i++)
	{
		size_t		used = strlen(header);
		uint8_t		c = content.data[i];
		bool		last = c == '\n' || c == '\r';

		if (last)
			break;
		fits = c >= ' ' && c < 0x7F && used + 1 < size;
		if (fits)
		{
			header[used] = (char) c;
			header[used + 1] = '\0';
		}
	}
	if (path != NULL)
		s3_free_secret(&content);
	if (!fits)
		return sv_fail(err, SV_DENIED, "the authorization token of the container is too long or no text");
	return SV_OK;
}

SvStatus
s3_from_container(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
				  const StoreCall *call, SvError *err)
{
	const char *relative = s3_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = s3_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char		url[URL_BYTES];
	char		header[MAX_TOKEN_FILE_BYTES + 32];
	const char *headers[1] = {header};
	HttpRequest request = {.method = HTTP_GET,.url = url,.headers = headers,.direct = true};
	int			len;
	SvStatus	status;

	snprintf(where->name, sizeof(where->name), "the container's credentials service");
	if (relative == NULL && full == NULL)
	{
		snprintf(where->missing, sizeof(where->missing), "There is no container's service.");
		return SV_NOT_FOUND;
	}
	len = snprintf(url, sizeof(url), "%s%s", relative != NULL ? CONTAINER_SERVICE : full,
				   relative != NULL ? relative : "");
	if (len < 0 || (size_t) len >= sizeof(url) || !url_is_allowed(url))
	{
		sv_fail(err, SV_DENIED, "the address of the container's credentials service is not acceptable");
		sv_set_hint(err, "AWS_CONTAINER_CREDENTIALS_FULL_URI has to begin with https://, or name a host of this"
					" machine or link by its number.");
		return SV_DENIED;
	}
	status = make_authorization(header, sizeof(header), err);
	request.nheaders = header[0] != '\0';
	if (status == SV_OK)
		status = ask_for_keys(input, &request, where->name, credentials, call, err);
	explicit_bzero(header, sizeof(header));
	return status;
}

/* -------------------------------------------------------------------------
 * EC2's service
 * ------------------------------------------------------------------------- */

/*
 * The session token of the service, without which it tells nothing, as a header.
 * SV_NOT_FOUND if nobody is there: most machines are no instances.
 */
static SvStatus
begin_session(const S3SourceInput *input, const char *base, const char *name, char *header, size_t size,
			  const StoreCall *call, SvError *err)
{
	static const char prefix[] = "X-aws-ec2-metadata-token: ";
	const char *headers[1] = {"X-aws-ec2-metadata-token-ttl-seconds: 300"};
	char		url[URL_BYTES];
	HttpRequest request = {.method = HTTP_PUT,.url = url,.headers = headers,.nheaders = 1,.direct = true};
	SvSlice		body;
	SvStatus	status;

	snprintf(url, sizeof(url), "%s/latest/api/token", base);
	status = s3_ask_source(input, &request, name, &body, call, err);
	if (status != SV_OK)
		return status == SV_IO ? SV_NOT_FOUND : status;
	memcpy(header, prefix, sizeof(prefix));
	if (request.status != 200)
		status = fail_status(&request, name, err);
	else if (!s3_copy_value(header + sizeof(prefix) - 1, size - sizeof(prefix) + 1, body) ||
			 header[sizeof(prefix) - 1] == '\0')
		status = sv_fail(err, SV_DENIED, "%s answered with what is no session token", name);
	s3_free_secret(&body);
	return status;
}

/* The name of the instance's role: the first line of a list. */
static SvStatus
find_role(const S3SourceInput *input, const char *base, const char *name, const char *const *headers,
		  char *role, size_t size, const StoreCall *call, SvError *err)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-";
	char		url[URL_BYTES];
	HttpRequest request = {.method = HTTP_GET,.url = url,.headers = headers,.nheaders = 1,.direct = true};
	SvSlice		body;
	SvStatus	status;
	const uint8_t *end;

	snprintf(url, sizeof(url), "%s/latest/meta-data/iam/security-credentials/", base);
	status = s3_ask_source(input, &request, name, &body, call, err);
	if (status != SV_OK)
		return status;
	end = body.len > 0 ? memchr(body.data, '\n', body.len) : NULL;
	if (request.status == 404)
		status = SV_NOT_FOUND;
	else if (request.status != 200)
		status = fail_status(&request, name, err);
	else if (!s3_copy_value(role, size, sv_slice(body.data, end != NULL ? (size_t) (end - body.data) : body.len)) ||
			 role[0] == '\0' || strspn(role, allowed) != strlen(role))
		status = sv_fail(err, SV_DENIED, "%s answered with what is no name of a role", name);
	s3_free_secret(&body);
	return status;
}

static SvStatus
ask_instance(const S3SourceInput *input, const char *base, S3Credentials *credentials, S3Source *where,
			 const StoreCall *call, SvError *err)
{
	char		header[1024];
	const char *headers[1] = {header};
	char		role[128];
	char		url[URL_BYTES];
	HttpRequest request = {.method = HTTP_GET,.url = url,.headers = headers,.nheaders = 1,.direct = true};
	SvStatus	status = begin_session(input, base, where->name, header, sizeof(header), call, err);

	snprintf(where->missing, sizeof(where->missing), "There is no instance metadata service.");
	if (status == SV_OK)
	{
		status = find_role(input, base, where->name, headers, role, sizeof(role), call, err);
		snprintf(where->missing, sizeof(where->missing), "This instance has no role.");
	}
	if (status == SV_OK)
	{
		snprintf(url, sizeof(url), "%s/latest/meta-data/iam/security-credentials/%s", base, role);
		status = ask_for_keys(input, &request, where->name, credentials, call, err);
	}
	explicit_bzero(header, sizeof(header));
	return status;
}

SvStatus
s3_from_instance(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
				 const StoreCall *call, SvError *err)
{
	const char *disabled = s3_environment("AWS_EC2_METADATA_DISABLED");
	const char *named = s3_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	char		base[1024];

	snprintf(where->name, sizeof(where->name), "the instance metadata service");
	if (disabled != NULL && strcasecmp(disabled, "true") == 0)
	{
		snprintf(where->missing, sizeof(where->missing), "AWS_EC2_METADATA_DISABLED is set.");
		return SV_NOT_FOUND;
	}
	if (named != NULL && strlen(named) >= sizeof(base))
		return sv_fail(err, SV_DENIED, "AWS_EC2_METADATA_SERVICE_ENDPOINT is too long");
	snprintf(base, sizeof(base), "%s", named != NULL ? named : INSTANCE_SERVICE);
	for (size_t len = strlen(base); len > 0 && base[len - 1] == '/'; len--)
		base[len - 1] = '\0';
	return ask_instance(input, base, credentials, where, call, err);
}
