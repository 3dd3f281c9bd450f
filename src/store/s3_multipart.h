/*
 * s3_multipart.h
 *		Objects that go up in parts.  Private to the S3 driver.
 */
#ifndef S3_MULTIPART_H
#define S3_MULTIPART_H

#include "store/s3_batch.h"

typedef struct S3Part
{
	S3Op		op;
	struct S3Part *next;
	int			number;			/* from 1 */
	char	   *query;
	SvSlice    *slices;			/* its body */
	int			nslices;
	uint8_t    *copy;			/* that body, if it is this part's; NULL: the caller's */
	bool		hashed;			/* op.md5 is known */
} S3Part;

/* S3's own limit, but for the last part. */
#define S3_LEAST_PART_BYTES ((size_t) 5 * 1024 * 1024)

typedef struct S3Multipart
{
	S3Store    *store;
	const char *name;			/* the caller's */
	char	   *upload_id;		/* escaped; NULL: not begun */
	S3Batch		batch;
	S3Part	   *first;			/* by number */
	S3Part	   *last;
	S3Part	   *untrimmed;		/* all before have been trimmed */
	int			nparts;
	uint64_t	bytes;
} S3Multipart;

/* Looks whether the name is taken, and begins.  On failure nothing has to be ended. */
extern SvStatus s3_multipart_begin(S3Multipart *multipart, S3Store *store, const char *name,
								   const StoreCall *call, SvError *err);

/* Queues a part; it takes over slices and copy (malloc'd; copy may be NULL), in any case. */
extern SvStatus s3_multipart_add(S3Multipart *multipart, SvSlice *slices, int nslices, uint8_t *copy, SvError *err);

/*
 * Frees what parts that have gone up do not need any more.  If *spare is NULL, it
 * gets the copy of one of them that has part_bytes, for the next part.
 */
extern void s3_multipart_trim(S3Multipart *multipart, size_t part_bytes, uint8_t **spare);

/* Waits for all parts and makes the object of them.  Ends the upload either way. */
extern SvStatus s3_multipart_finish(S3Multipart *multipart, const StoreCall *call, SvError *err);

/* Gives it up, and tells the store so if it takes that within a bounded time. */
extern void s3_multipart_abort(S3Multipart *multipart, const StoreCall *call);

/* put_if_absent of a large object. */
extern SvStatus s3_multipart_put(S3Store *store, const char *name, const SvSlice *parts, int nparts, uint64_t bytes,
								 const StoreCall *call, SvError *err);

#endif							/* S3_MULTIPART_H */
