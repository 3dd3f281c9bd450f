/*
 * s3_credentials_web.c
 *		Keys of a role, from STS, for a token that an identity provider has given
 *		(as in Kubernetes).
 */
#include "store/s3_credentials_web.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/s3_credentials_file.h"
#include "store/s3_credentials_http.h"

#define MAX_TOKEN_BYTES ((size_t) 32 * 1024)

/* Appends text, percent-encoded; the buffer has three times its room. */
static char *
encode(char *to, SvSlice text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++)
	{
		uint8_t		c = text.data[i];

		if (c != '\0' && strchr(plain, c) != NULL)
			*to++ = (char) c;
		else
		{
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	*to = '\0';
	return to;
}

static char *
encode_field(char *to, const char *name, SvSlice value)
{
	size_t		len = strlen(name);

	memcpy(to, name, len);
	return encode(to + len, value);
}

/* The text of the only element of this name, in to; STS answers in XML that needs no more. */
static bool
take_element(SvSlice xml, const char *name, char *to, size_t size)
{
	char		open[64];
	size_t		len = (size_t) snprintf(open, sizeof(open), "<%s>", name);
	const uint8_t *begin = xml.len > 0 ? memmem(xml.data, xml.len, open, len) : NULL;
	const uint8_t *end;

	if (begin == NULL)
		return false;
	begin += len;
	end = memchr(begin, '<', xml.len - (size_t) (begin - xml.data));
	return end != NULL && s3_copy_value(to, size, sv_slice(begin, (size_t) (end - begin))) && to[0] != '\0';
}

static SvStatus
read_answer(const HttpRequest *request, SvSlice xml, const char *name, S3Credentials *credentials, SvError *err)
{
	char		text[128];

	if (request->status != 200)
	{
		sv_fail(err, request->status >= 500 ? SV_IO : SV_DENIED, "%s answered a request for keys with HTTP status %d",
				name, request->status);
		if (take_element(xml, "Code", text, sizeof(text)))
			sv_set_detail(err, "It said: %s.", text);
		return request->status >= 500 ? SV_IO : SV_DENIED;
	}
	if (take_element(xml, "AccessKeyId", credentials->access_key_id, S3_KEY_BYTES) &&
		take_element(xml, "SecretAccessKey", credentials->secret_access_key, S3_KEY_BYTES) &&
		take_element(xml, "SessionToken", credentials->session_token, S3_TOKEN_BYTES) &&
		take_element(xml, "Expiration", text, sizeof(text)) && s3_parse_time(text, &credentials->expires_at))
		return SV_OK;
	return sv_fail(err, SV_DENIED, "the answer of %s has no keys for the object store in it", name);
}

static SvStatus
ask_sts(const S3SourceInput *input, const char *role, SvSlice token, S3Credentials *credentials,
		S3Source *where, const StoreCall *call, SvError *err)
{
	const char *session = s3_environment("AWS_ROLE_SESSION_NAME");
	const char *endpoint = s3_environment("AWS_ENDPOINT_URL_STS");
	const char *region = input->region != NULL ? input->region : s3_environment("AWS_REGION");
	const char *headers[1] = {"Content-Type: application/x-www-form-urlencoded"};
	char		url[1024];
	HttpRequest request = {.method = HTTP_POST,.url = url,.headers = headers,.nheaders = 1};
	size_t		room;
	char	   *form;
	char	   *at;
	SvSlice		body;
	SvSlice		answer;
	SvStatus	status;

	session = session != NULL ? session : "skyvault";
	if (endpoint != NULL)
		snprintf(url, sizeof(url), "%s", endpoint);
	else
		snprintf(url, sizeof(url), "https://sts.%s.amazonaws.com/", region != NULL ? region : "us-east-1");
	room = 256 + 3 * (strlen(role) + strlen(session) + token.len);
	form = malloc(room);
	if (form == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory");
	at = encode_field(form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=",
					  sv_slice(role, strlen(role)));
	at = encode_field(at, "&RoleSessionName=", sv_slice(session, strlen(session)));
	at = encode_field(at, "&WebIdentityToken=", token);
	body = sv_slice(form, (size_t) (at - form));
	request.body = &body;
	request.nbody = 1;
	status = s3_ask_source(input, &request, where->name, &answer, call, err);
	if (status == SV_OK)
		status = read_answer(&request, answer, where->name, credentials, err);
	s3_free_secret(&answer);
	explicit_bzero(form, room);
	free(form);
	return status;
}

SvStatus
s3_from_web_identity(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
					 const StoreCall *call, SvError *err)
{
	const char *path = s3_environment("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = s3_environment("AWS_ROLE_ARN");
	SvSlice		token;
	SvSlice		trimmed;
	SvStatus	status;

	snprintf(where->name, sizeof(where->name), "the security token service");
	if (path == NULL || role == NULL)
	{
		snprintf(where->missing, sizeof(where->missing), "There is no web identity.");
		return SV_NOT_FOUND;
	}
	status = s3_read_file(path, MAX_TOKEN_BYTES, &token, err);
	if (status == SV_NOT_FOUND)
		return sv_fail(err, SV_DENIED, "there is no file \"%s\", which AWS_WEB_IDENTITY_TOKEN_FILE names", path);
	if (status != SV_OK)
		return status;
	trimmed = token;
	while (trimmed.len > 0 && (trimmed.data[trimmed.len - 1] == '\n' || trimmed.data[trimmed.len - 1] == '\r'))
		trimmed.len--;
	status = ask_sts(input, role, trimmed, credentials, where, call, err);
	s3_free_secret(&token);
	return status;
}
