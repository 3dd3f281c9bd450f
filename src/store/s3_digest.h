/*
 * s3_digest.h
 *		SHA-256, HMAC and MD5 as S3 wants them written.
 */
#ifndef S3_DIGEST_H
#define S3_DIGEST_H

#include "base/sv_slice.h"

#define S3_SHA256_BYTES 32
#define S3_SHA256_HEX_BYTES 65	/* with '\0' */
#define S3_MD5_BYTES 16
#define S3_MD5_HEX_BYTES 33
#define S3_MD5_BASE64_BYTES 25

/* Of no bytes. */
#define S3_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* They fail only without memory, or where the system forbids the algorithm. */
extern bool s3_sha256_hex(const SvSlice *parts, int nparts, char hex[S3_SHA256_HEX_BYTES]);
extern bool s3_hmac_sha256(const void *key, size_t key_len, SvSlice data, uint8_t out[S3_SHA256_BYTES]);
extern bool s3_md5(const SvSlice *parts, int nparts, uint8_t out[S3_MD5_BYTES]);

/* MD5 piece by piece. */
typedef struct S3Md5 S3Md5;

extern S3Md5 *s3_md5_create(void);	/* NULL without memory */
extern bool s3_md5_restart(S3Md5 *md5);
extern bool s3_md5_add(S3Md5 *md5, const void *data, size_t len);
extern bool s3_md5_finish(S3Md5 *md5, uint8_t out[S3_MD5_BYTES]);
extern void s3_md5_free(S3Md5 *md5);

extern void s3_hex(const uint8_t *bytes, size_t len, char *hex);	/* 2 * len + 1 */
extern void s3_md5_base64(const uint8_t md5[S3_MD5_BYTES], char base64[S3_MD5_BASE64_BYTES]);

#endif							/* S3_DIGEST_H */
