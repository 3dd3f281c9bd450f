/*
 * store_s3.h
 *		Objects in a bucket of S3, or of a store that speaks its protocol.
 *
 * Requests are signed with Signature V4.  A body of up to 16 MiB is one PUT,
 * whose SHA-256 is signed; larger ones go up in parts, which are sent with
 * UNSIGNED-PAYLOAD.  What arrived is judged by its ETag, if that is an MD5.
 *
 * put_if_absent is a PUT with If-None-Match.  A multipart upload looks first
 * whether the name is taken, and completes with If-None-Match, which some stores
 * (Ceph 16) pass over: there, of two writers of one name who both began before
 * either was done, the second wins.  Names are never reused, so there are none.
 *
 * An upload in parts that fails, or whose begin was answered but the answer
 * lost, leaves parts that cost money until they are aborted; a failure aborts
 * them if the store lets it within seconds (80 ms after a cancel).  Give the
 * bucket a lifecycle rule that removes unfinished uploads.
 */
#ifndef STORE_S3_H
#define STORE_S3_H

#include "store/s3_credentials.h"

typedef enum StoreS3Style
{
	STORE_S3_STYLE_AUTO,		/* virtual host at AWS, unless the bucket's name has dots; path elsewhere */
	STORE_S3_STYLE_PATH,		/* https://endpoint/bucket/name */
	STORE_S3_STYLE_VIRTUAL_HOST /* https://bucket.endpoint/name */
} StoreS3Style;

typedef enum StoreS3Conditional
{
	STORE_S3_CONDITIONAL_AUTO,	/* yes, until the store says that it knows none */
	STORE_S3_CONDITIONAL_ON,
	STORE_S3_CONDITIONAL_OFF	/* put_if_absent looks before it puts */
} StoreS3Conditional;

/* All is copied but credentials.  0 and NULL stand for defaults. */
typedef struct StoreS3Options
{
	const char *endpoint;		/* "https://host[:port]"; NULL: that of AWS in the region */
	const char *region;			/* NULL: us-east-1 */
	const char *bucket;
	const char *prefix;			/* parts joined by slashes, without one at the end; NULL: none */
	StoreS3Style style;
	StoreS3Conditional conditional_puts;
	S3CredentialsProvider *credentials; /* the store's, if it could be opened: it closes them */
	int			io_concurrency; /* requests at once; 16 */
	int			timeout_ms;		/* of one request, beside what its bytes take at 1 MB a second; 30 s */
	int			deadline_ms;	/* of a call with its tries, beside the same; 60 s */
	int			max_retries;	/* of one request; -1: none; 6 */
	int			hedge_percent;	/* a GET slower than this share of the last ones gets a second beside it; 0: never */
	size_t		merge_gap;		/* 128 kB */
	size_t		part_bytes;		/* of a multipart upload; at least 5 MiB; 8 MiB */
	HttpClientOptions http;		/* ca_file, connect_ms (5 s), descriptors; the rest is set here */
} StoreS3Options;

/*
 * Makes no request, opens no connection and asks no credentials.  SV_INVALID
 * for options that cannot be, SV_NO_MEMORY.
 */
extern SvStatus store_s3_open(ObjectStore **store, const StoreS3Options *options, SvError *err);

#endif							/* STORE_S3_H */
