/*
 * s3_credentials_source.h
 *		The sources that s3_credentials.c asks.  Private to them.
 *
 * Each fills in credentials and describes itself in where->name; or answers
 * SV_NOT_FOUND if it is not set up, with the reason in where->missing; or fails.
 * What it has filled in of credentials is good only with SV_OK; the caller
 * overwrites it.
 */
#ifndef S3_CREDENTIALS_SOURCE_H
#define S3_CREDENTIALS_SOURCE_H

#include "store/s3_credentials.h"

#define S3_SOURCE_NAME_BYTES 256

typedef struct S3Source
{
	char		name[S3_SOURCE_NAME_BYTES];
	char		missing[S3_SOURCE_NAME_BYTES];
} S3Source;

/* What a source is given. */
typedef struct S3SourceInput
{
	const char *profile;		/* NULL if none was named */
	const char *region;
	HttpClientOptions http;
} S3SourceInput;

typedef SvStatus (*S3SourceFetch) (const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
								   const StoreCall *call, SvError *err);

extern SvStatus s3_from_environment(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
									const StoreCall *call, SvError *err);
extern SvStatus s3_from_file(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
							 const StoreCall *call, SvError *err);
extern SvStatus s3_from_web_identity(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
									 const StoreCall *call, SvError *err);
extern SvStatus s3_from_container(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
								  const StoreCall *call, SvError *err);
extern SvStatus s3_from_instance(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
								 const StoreCall *call, SvError *err);

/* A variable of the environment; NULL also if it is empty. */
extern const char *s3_environment(const char *name);

/* Copies a value without surrounding blanks; false if it does not fit or has other characters than printable ASCII. */
extern bool s3_copy_value(char *to, size_t size, SvSlice value);

/*
 * The content of a small file in memory of its own, which s3_free_secret frees.
 * SV_NOT_FOUND if there is none; SV_DENIED if it cannot be read, is no ordinary
 * file or has more than max_bytes.
 */
extern SvStatus s3_read_file(const char *path, size_t max_bytes, SvSlice *content, SvError *err);
extern void s3_free_secret(SvSlice *content);

/*
 * One request to a source.  SV_OK with the body in *body (s3_free_secret) and
 * the HTTP status in *status, whatever that is.
 */
extern SvStatus s3_ask_source(const S3SourceInput *input, HttpRequest *request, const char *name,
							  SvSlice *body, const StoreCall *call, SvError *err);

/* Keys from the JSON of metadata services.  SV_DENIED if that is not what it is. */
extern SvStatus s3_credentials_of_json(SvSlice json, const char *name, S3Credentials *credentials, SvError *err);

/* "2026-11-29T18:30:00Z", maybe with a fraction, to seconds since 1970; false for anything else. */
extern bool s3_parse_time(const char *text, int64_t *seconds);

#endif							/* S3_CREDENTIALS_SOURCE_H */
