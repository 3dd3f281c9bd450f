/*
 * s3_digest.c
 *		OpenSSL's digests.
 */
#include "store/s3_digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

static const char hex_digits[] = "0123456789abcdef";

void
s3_hex(const uint8_t *bytes, size_t len, char *hex)
{
	for (size_t i = 0; i < len; i++)
	{
		hex[2 * i] = hex_digits[bytes[i] >> 4];
		hex[2 * i + 1] = hex_digits[bytes[i] & 15];
	}
	hex[2 * len] = '\0';
}

static bool
digest(const EVP_MD *kind, const SvSlice *parts, int nparts, uint8_t *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool		ok = context != NULL && EVP_DigestInit_ex(context, kind, NULL) == 1;

	for (int i = 0; i < nparts && ok; i++)
		ok = parts[i].len == 0 || EVP_DigestUpdate(context, parts[i].data, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(context, out, NULL) == 1;
	EVP_MD_CTX_free(context);
	return ok;
}

bool
s3_sha256_hex(const SvSlice *parts, int nparts, char hex[S3_SHA256_HEX_BYTES])
{
	uint8_t		out[S3_SHA256_BYTES];

	if (!digest(EVP_sha256(), parts, nparts, out))
		return false;
	s3_hex(out, sizeof(out), hex);
	return true;
}

bool
s3_hmac_sha256(const void *key, size_t key_len, SvSlice data, uint8_t out[S3_SHA256_BYTES])
{
	unsigned	len = 0;

	return HMAC(EVP_sha256(), key, (int) key_len, data.data, data.len, out, &len) != NULL &&
		len == S3_SHA256_BYTES;
}

bool
s3_md5(const SvSlice *parts, int nparts, uint8_t out[S3_MD5_BYTES])
{
	return digest(EVP_md5(), parts, nparts, out);
}

S3Md5 *
s3_md5_create(void)
{
	return (S3Md5 *) EVP_MD_CTX_new();
}

bool
s3_md5_restart(S3Md5 *md5)
{
	return EVP_DigestInit_ex((EVP_MD_CTX *) md5, EVP_md5(), NULL) == 1;
}

bool
s3_md5_add(S3Md5 *md5, const void *data, size_t len)
{
	return EVP_DigestUpdate((EVP_MD_CTX *) md5, data, len) == 1;
}

bool
s3_md5_finish(S3Md5 *md5, uint8_t out[S3_MD5_BYTES])
{
	return EVP_DigestFinal_ex((EVP_MD_CTX *) md5, out, NULL) == 1;
}

void
s3_md5_free(S3Md5 *md5)
{
	EVP_MD_CTX_free((EVP_MD_CTX *) md5);
}

void
s3_md5_base64(const uint8_t md5[S3_MD5_BYTES], char base64[S3_MD5_BASE64_BYTES])
{
	EVP_EncodeBlock((unsigned char *) base64, md5, S3_MD5_BYTES);
}
