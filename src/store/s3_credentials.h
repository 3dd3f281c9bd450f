/*
 * s3_credentials.h
 *		Keys for S3: where they come from, and when they have to be fetched anew.
 *
 * A provider asks its sources in the order of the flags below, and keeps what the
 * first one that has something gave.  A source that is not set up is passed over;
 * one that is, and fails, is an error: the next might be another identity.
 *
 * Keys with an end are fetched anew five minutes before it.  If that fails they
 * are used as long as they last, and the source is asked again every half minute.
 * Keys without an end are fetched anew when the store has said that they are no
 * good (s3_credentials_reject).
 *
 * Secrets are in no message, and their memory is overwritten before it is freed.
 * That does not reach what libcurl keeps of a request.
 */
#ifndef S3_CREDENTIALS_H
#define S3_CREDENTIALS_H

#include "store/http_client.h"

/* With the final NUL.  AWS names no limit for tokens; headers have one of about 8 kB in most servers. */
#define S3_KEY_BYTES 256
#define S3_TOKEN_BYTES 8192

typedef struct S3Credentials
{
	char		access_key_id[S3_KEY_BYTES];
	char		secret_access_key[S3_KEY_BYTES];
	char		session_token[S3_TOKEN_BYTES];	/* "" for none */
	int64_t		expires_at;		/* seconds since 1970; 0: not told */
} S3Credentials;

/* Sources, in the order in which they are asked.  All of them are of the machine, not of a database user. */
#define S3_FROM_ENVIRONMENT		0x01	/* AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN */
#define S3_FROM_WEB_IDENTITY	0x02	/* AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, at STS */
#define S3_FROM_FILE			0x04	/* AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials */
#define S3_FROM_CONTAINER		0x08	/* AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI */
#define S3_FROM_INSTANCE		0x10	/* EC2's metadata service, version 2 */
#define S3_FROM_ANYWHERE		0x1F

/* All is copied but http's pointers, which have to be good as long as the provider. */
typedef struct S3CredentialsOptions
{
	/* Given keys: if there are, no source is asked.  NULL or "" for none. */
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token;
	unsigned	sources;		/* S3_FROM_... */
	const char *profile;		/* of the file, which is then the only source; NULL: AWS_PROFILE, or "default" */
	const char *region;			/* for STS; NULL: AWS_REGION, or "us-east-1" */
	HttpClientOptions http;		/* time limits may be 0: then a second to connect, five to answer */
	int64_t		(*now) (void *state);	/* seconds since 1970; NULL: time(2) */
	void	   *now_state;
} S3CredentialsOptions;

typedef struct S3CredentialsProvider S3CredentialsProvider;

/* Asks no source.  SV_NO_MEMORY; SV_DENIED if given keys are incomplete or have characters that no key has. */
extern SvStatus s3_credentials_open(S3CredentialsProvider **provider, const S3CredentialsOptions *options,
									SvError *err);
extern void s3_credentials_close(S3CredentialsProvider *provider);

/*
 * Keys that are good now, as far as known; *credentials is the provider's and
 * good until the next call.  SV_DENIED if no source has any, or one has what is
 * no good; SV_IO if one that is set up does not answer; SV_CANCELLED.
 */
extern SvStatus s3_credentials_get(S3CredentialsProvider *provider, const S3Credentials **credentials,
								   const StoreCall *call, SvError *err);

/*
 * The store has refused these keys as expired or unknown.  True if the next
 * s3_credentials_get may have others: then the request is worth one more try.
 */
extern bool s3_credentials_reject(S3CredentialsProvider *provider, const char *access_key_id);

/* Where the keys come from, for messages: "the user mapping", "profile "x" of ...". */
extern const char *s3_credentials_source(const S3CredentialsProvider *provider);

#endif							/* S3_CREDENTIALS_H */
