/*
 * s3_list.h
 *		Listing a bucket of S3: an operation of ObjectStoreOps.  Private to the
 *		S3 driver.
 */
#ifndef S3_LIST_H
#define S3_LIST_H

#include "store/store_driver.h"

extern SvStatus s3_list(ObjectStore *store, const char *prefix, const char *after,
						StoreListCallback callback, void *state, const StoreCall *call, SvError *err);

#endif							/* S3_LIST_H */
