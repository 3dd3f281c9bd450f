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

#endif							/* S3_CREDENTIALS_SOURCE_H */
