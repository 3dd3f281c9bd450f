/*
 * s3_credentials_http.h
 *		Keys from services of the machine, and how a service is asked.  Private to the credentials.
 */
#ifndef S3_CREDENTIALS_HTTP_H
#define S3_CREDENTIALS_HTTP_H

#include "store/s3_credentials_source.h"

extern SvStatus s3_from_container(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
								  const StoreCall *call, SvError *err);
extern SvStatus s3_from_instance(const S3SourceInput *input, S3Credentials *credentials, S3Source *where,
								 const StoreCall *call, SvError *err);

/*
 * One request to a source.  SV_OK with the body in *body (s3_free_secret) and
 * the HTTP status in *status, whatever that is.
 */
extern SvStatus s3_ask_source(const S3SourceInput *input, HttpRequest *request, const char *name,
							  SvSlice *body, const StoreCall *call, SvError *err);

/* "2026-11-29T18:30:00Z", maybe with a fraction, to seconds since 1970; false for anything else. */
extern bool s3_parse_time(const char *text, int64_t *seconds);

#endif							/* S3_CREDENTIALS_HTTP_H */
