/*
 * s3_put.h
 *		Writing to S3 with one request: operations of ObjectStoreOps, and what
 *		uploads in parts need of them.  Private to the S3 driver.
 */
#ifndef S3_PUT_H
#define S3_PUT_H

#include "store/s3_op.h"

/* Objects larger than this go up in parts. */
#define S3_SINGLE_BYTES ((uint64_t) 16 * 1024 * 1024)

extern SvStatus s3_put_if_absent(ObjectStore *store, const char *name, const SvSlice *parts, int nparts,
								 const StoreCall *call, SvError *err);
extern SvStatus s3_put_if_match(ObjectStore *store, const char *name, SvSlice bytes, const char *etag,
								char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err);

/* Whether writes are to carry If-None-Match. */
extern bool s3_is_conditional(const S3Store *store);

/* The store does not know conditional writes: true if it is to be asked without, from now on. */
extern bool s3_give_up_conditional(S3Store *store);

extern SvStatus s3_exists(const char *name, SvError *err);

/* SV_OK if nothing has this name, SV_EXISTS if something has. */
extern SvStatus s3_check_absent(S3Store *store, const char *name, const StoreCall *call, SvError *err);

#endif							/* S3_PUT_H */
