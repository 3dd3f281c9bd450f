/*
 * s3_sign.c
 *		Canonical request, string to sign, signature.
 */
#include "store/s3_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* -------------------------------------------------------------------------
 * A string that grows
 * ------------------------------------------------------------------------- */

typedef struct Text
{
	char	   *data;
	size_t		len;
	size_t		room;
	bool		failed;			/* for want of memory */
} Text;

static void
add_bytes(Text *text, const char *bytes, size_t len)
{
	if (text->failed)
		return;
	if (text->room - text->len <= len)
	{
		size_t		room = (text->len + len + 1) * 2;
		char	   *data = realloc(text->data, room);

		if (data == NULL)
		{
			text->failed = true;
			return;
		}
		text->data = data;
		text->room = room;
	}
	memcpy(text->data + text->len, bytes, len);
	text->len += len;
	text->data[text->len] = '\0';
}

static void
add(Text *text, const char *s)
{
	add_bytes(text, s, strlen(s));
}

/* -------------------------------------------------------------------------
 * The canonical request
 * ------------------------------------------------------------------------- */

/* A header's value without blanks around it, and with one space for each run of them inside. */
static void
add_folded(Text *text, const char *value)
{
	size_t		len = strlen(value);
	bool		begun = false;
	bool		blank = false;

	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t' || value[len - 1] == '\n'))
		len--;
	for (size_t i = 0; i < len; i++)
	{
		bool		is_blank = value[i] == ' ' || value[i] == '\t' || value[i] == '\n';

		if (!is_blank)
		{
			if (blank && begun)
				add(text, " ");
			add_bytes(text, &value[i], 1);
			begun = true;
		}
		blank = is_blank;
	}
}

/* By name; those of one name stay in their order. */
static void
sort_headers(const S3Header **sorted, const S3SignInput *input)
{
	for (int i = 0; i < input->nheaders; i++)
	{
		int			at = i;

		while (at > 0 && strcmp(sorted[at - 1]->name, input->headers[i].name) > 0)
		{
			sorted[at] = sorted[at - 1];
			at--;
		}
		sorted[at] = &input->headers[i];
	}
}

static void
add_headers(Text *text, Text *names, const S3Header **sorted, int n)
{
	for (int i = 0; i < n; i++)
	{
		bool		again = i > 0 && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0;

		if (again)
			add(text, ",");
		else
		{
			add(names, i > 0 ? ";" : "");
			add(names, sorted[i]->name);
			add(text, i > 0 ? "\n" : "");
			add(text, sorted[i]->name);
			add(text, ":");
		}
		add_folded(text, sorted[i]->value);
	}
	add(text, "\n");
}

static void
add_request(Text *text, Text *names, const S3SignInput *input)
{
	const S3Header *sorted[S3_MAX_SIGNED_HEADERS];

	sort_headers(sorted, input);
	add(text, input->method);
	add(text, "\n");
	add(text, input->path);
	add(text, "\n");
	add(text, input->query);
	add(text, "\n");
	add_headers(text, names, sorted, input->nheaders);
	add(text, "\n");
	if (!names->failed)
		add(text, names->data);
	add(text, "\n");
	add(text, input->payload_sha256);
}

/* -------------------------------------------------------------------------
 * The signature
 * ------------------------------------------------------------------------- */

static SvSlice
slice_of(const char *s)
{
	return sv_slice(s, strlen(s));
}

/* Derives the key anew if the day, or what else it is for, is another. */
static bool
derive_key(const S3SignInput *input, const char *scope, S3SigningKey *key)
{
	SvSlice		secret = slice_of(input->secret_access_key);
	char		secret_sha256[S3_SHA256_HEX_BYTES];
	char		seed[4 + 512];
	uint8_t		out[S3_SHA256_BYTES];
	bool		ok;

	if (secret.len > 512 || !s3_sha256_hex(&secret, 1, secret_sha256))
		return false;
	if (strcmp(key->scope, scope) == 0 && strcmp(key->secret_sha256, secret_sha256) == 0)
		return true;
	memcpy(seed, "AWS4", 4);
	memcpy(seed + 4, input->secret_access_key, secret.len);
	ok = s3_hmac_sha256(seed, 4 + secret.len, sv_slice(input->date, 8), out) &&
		s3_hmac_sha256(out, sizeof(out), slice_of(input->region), out) &&
		s3_hmac_sha256(out, sizeof(out), slice_of(input->service), out) &&
		s3_hmac_sha256(out, sizeof(out), slice_of("aws4_request"), key->key);
	explicit_bzero(seed, sizeof(seed));
	explicit_bzero(out, sizeof(out));
	key->scope[0] = '\0';
	if (!ok)
		return false;
	memcpy(key->scope, scope, strlen(scope) + 1);
	memcpy(key->secret_sha256, secret_sha256, sizeof(secret_sha256));
	return true;
}

static bool
sign_text(const S3SignInput *input, const char *scope, SvSlice request, S3SigningKey *key,
		  char signature[S3_SHA256_HEX_BYTES])
{
	char		request_sha256[S3_SHA256_HEX_BYTES];
	char		to_sign[256];
	uint8_t		out[S3_SHA256_BYTES];

	if (!s3_sha256_hex(&request, 1, request_sha256) || !derive_key(input, scope, key))
		return false;
	snprintf(to_sign, sizeof(to_sign), "AWS4-HMAC-SHA256\n%s\n%s\n%s", input->date, scope, request_sha256);
	if (!s3_hmac_sha256(key->key, sizeof(key->key), slice_of(to_sign), out))
		return false;
	s3_hex(out, sizeof(out), signature);
	return true;
}

SvStatus
s3_sign(const S3SignInput *input, S3SigningKey *key, char **authorization, SvError *err)
{
	Text		request = {0};
	Text		names = {0};
	char		scope[sizeof(key->scope)];
	char		signature[S3_SHA256_HEX_BYTES];
	SvStatus	status = SV_OK;

	*authorization = NULL;
	if (input->nheaders > S3_MAX_SIGNED_HEADERS ||
		snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", input->date, input->region,
				 input->service) >= (int) sizeof(scope))
		return sv_fail(err, SV_INVALID, "request to the store cannot be signed: its region is too long");
	add_request(&request, &names, input);
	if (request.failed || names.failed ||
		!sign_text(input, scope, sv_slice(request.data, request.len), key, signature) ||
		asprintf(authorization, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
				 input->access_key_id, scope, names.data, signature) < 0)
	{
		*authorization = NULL;
		status = sv_fail(err, SV_NO_MEMORY, "out of memory: signing a request to the store");
	}
	/* The token is among the headers. */
	if (request.data != NULL)
		explicit_bzero(request.data, request.room);
	free(request.data);
	free(names.data);
	return status;
}

void
s3_sign_date(int64_t seconds, char date[S3_DATE_BYTES])
{
	time_t		at = (time_t) seconds;
	struct tm	utc;

	gmtime_r(&at, &utc);
	strftime(date, S3_DATE_BYTES, "%Y%m%dT%H%M%SZ", &utc);
}

char *
s3_escape(const char *text, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";
	char	   *escaped = malloc(3 * strlen(text) + 1);
	char	   *out = escaped;

	if (escaped == NULL)
		return NULL;
	for (const char *p = text; *p != '\0'; p++)
	{
		unsigned char c = (unsigned char) *p;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && keep_slash))
			*out++ = *p;
		else
		{
			*out++ = '%';
			*out++ = digits[c >> 4];
			*out++ = digits[c & 15];
		}
	}
	*out = '\0';
	return escaped;
}
