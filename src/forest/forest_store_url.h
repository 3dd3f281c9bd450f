/*
 * forest_store_url.h
 *		Option url of a server: where its store is.
 */
#ifndef FOREST_STORE_URL_H
#define FOREST_STORE_URL_H

#include "postgres.h"

typedef enum StoreKind
{
	STORE_KIND_DIRECTORY,
	STORE_KIND_S3
} StoreKind;

typedef struct StoreUrl
{
	StoreKind	kind;
	const char *path;			/* directory; relative: below the data directory */
	const char *bucket;			/* S3 */
	const char *prefix;			/* S3; "" or parts joined by slashes, without one at the end */
} StoreUrl;

/*
 * Parses 'file:DIRECTORY' or 's3://BUCKET[/PREFIX]'.  NULL if it is one of
 * them, else what is wrong, as a hint's sentence.  Strings are palloc'd.
 */
extern const char *forest_store_url_parse(const char *text, StoreUrl *url);

#endif							/* FOREST_STORE_URL_H */
