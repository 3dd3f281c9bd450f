/*
 * upload.c
 *		Uploads of the S3 driver, without a server: upload BYTES COUNT prints
 *		the median of COUNT in microseconds.
 *
 * Endpoint, bucket, region and keys are in the environment, as s3-server env
 * prints them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "store/store_s3.h"

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

static void
fail(const SvError *err)
{
	fprintf(stderr, "upload: %s\n", err->message);
	exit(1);
}

static ObjectStore *
open_store(void)
{
	S3CredentialsOptions keys = {
		.access_key_id = getenv("SKYVAULT_S3_ACCESS_KEY_ID"),
		.secret_access_key = getenv("SKYVAULT_S3_SECRET_ACCESS_KEY")
	};
	StoreS3Options options = {
		.endpoint = getenv("SKYVAULT_S3_ENDPOINT"),
		.region = getenv("SKYVAULT_S3_REGION"),
		.bucket = getenv("SKYVAULT_S3_BUCKET"),
		.prefix = "bench"
	};
	ObjectStore *store;
	SvError		err;

	if (s3_credentials_open(&options.credentials, &keys, &err) != SV_OK ||
		store_s3_open(&store, &options, &err) != SV_OK)
		fail(&err);
	return store;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	size_t		bytes = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	int			count = argc == 3 ? atoi(argv[2]) : 0;
	ObjectStore *store;
	uint8_t    *content;
	double	   *each;
	SvError		err;

	if (bytes == 0 || count < 1)
	{
		fprintf(stderr, "usage: %s BYTES COUNT\n", argv[0]);
		return 2;
	}
	store = open_store();
	content = malloc(bytes);
	each = malloc((size_t) count * sizeof(double));
	for (size_t i = 0; i < bytes; i++)
		content[i] = (uint8_t) (lrand48() >> 7);
	for (int i = 0; i < count; i++)
	{
		SvSlice		part = sv_slice(content, bytes);
		double		started = now_us();
		char		name[64];

		snprintf(name, sizeof(name), "upload-%ld-%.0f-%d", (long) getpid(), started, i);
		if (store_put_if_absent(store, name, &part, 1, NULL, &err) != SV_OK)
			fail(&err);
		each[i] = now_us() - started;
		if (store_remove(store, name, NULL, &err) != SV_OK)
			fail(&err);
	}
	qsort(each, (size_t) count, sizeof(double), compare);
	printf("%.1f\n", each[count / 2]);
	store_close(store);
	free(content);
	free(each);
	return 0;
}
