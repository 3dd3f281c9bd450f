/*
 * s3_sign.h
 *		Signature Version 4: pure, no clock and no I/O.
 */
#ifndef S3_SIGN_H
#define S3_SIGN_H

#include "base/sv_slice.h"
#include "base/sv_status.h"
#include "store/s3_digest.h"

/* "20261129T190000Z" */
#define S3_DATE_BYTES 17

typedef struct S3Header
{
	const char *name;			/* in lower case */
	const char *value;
} S3Header;

typedef struct S3SignInput
{
	const char *method;
	const char *path;			/* escaped as it is sent */
	const char *query;			/* escaped, sorted, each parameter with its '='; without '?' */
	const S3Header *headers;	/* all that are to be signed, in any order; host and x-amz-date among them */
	int			nheaders;
	const char *payload_sha256; /* in hex, or UNSIGNED-PAYLOAD */
	const char *date;			/* the value of x-amz-date */
	const char *region;
	const char *service;		/* "s3" */
	const char *access_key_id;
	const char *secret_access_key;
} S3SignInput;

#define S3_MAX_SIGNED_HEADERS 16

/* The key that signs a day's requests, kept between them.  Zero it first; overwrite it when done. */
typedef struct S3SigningKey
{
	char		scope[96];		/* day, region and service it is for */
	char		secret_sha256[S3_SHA256_HEX_BYTES];
	uint8_t		key[S3_SHA256_BYTES];
} S3SigningKey;

/*
 * The value of the header Authorization, malloc'd.  SV_NO_MEMORY; SV_INVALID
 * for too many headers, or region or service that are too long.
 */
extern SvStatus s3_sign(const S3SignInput *input, S3SigningKey *key, char **authorization, SvError *err);

/* Writes seconds since 1970 as x-amz-date. */
extern void s3_sign_date(int64_t seconds, char date[S3_DATE_BYTES]);

/* Escapes all but A-Za-z0-9-_.~ (and '/' if keep_slash) into a malloc'd string; NULL without memory. */
extern char *s3_escape(const char *text, bool keep_slash);

#endif							/* S3_SIGN_H */
