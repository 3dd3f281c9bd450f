/*
 * s3_store.h
 *		What the parts of the S3 driver share.  Private to it.
 */
#ifndef S3_STORE_H
#define S3_STORE_H

#include "store/s3_sign.h"
#include "store/store_driver.h"
#include "store/store_s3.h"

/* Latencies of GETs that a hedge is judged by. */
#define S3_LATENCIES 64

typedef struct S3Attempt S3Attempt;

typedef struct S3Store
{
	ObjectStore base;
	HttpClient *http;			/* NULL: not made yet, or another process's */
	HttpClientOptions http_options;
	S3CredentialsProvider *credentials;
	StoreS3Conditional conditional_puts;
	bool		is_https;
	char	   *host;			/* as it is signed: with the port, and the bucket if that is part of it */
	char	   *bucket_path;	/* "" or "/bucket" */
	char	   *bucket;
	char	   *region;
	char	   *prefix;			/* "" or with a slash at the end */
	int			io_concurrency;
	int			timeout_ms;
	int			deadline_ms;
	int			max_retries;
	int			hedge_percent;
	size_t		part_bytes;

	S3SigningKey signing_key;
	int64_t		clock_offset_s; /* what to add to our clock to have the store's */
	int			concurrency;	/* io_concurrency, or less: after SlowDown, and where descriptors are few */
	int			successes;		/* since concurrency last changed */
	uint64_t	lowered_us;		/* when SlowDown last lowered it; 0: never */
	uint64_t	latencies[S3_LATENCIES];
	unsigned	nlatencies;		/* ever */
	uint64_t	random;			/* for jitter */
	S3Attempt  *spare;			/* attempts for later requests */
} S3Store;

#endif							/* S3_STORE_H */
