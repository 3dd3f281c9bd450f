/*
 * s3_remove.h
 *		Removing from S3: operations of ObjectStoreOps.  Private to the
 *		S3 driver.
 */
#ifndef S3_REMOVE_H
#define S3_REMOVE_H

#include "store/store_driver.h"

extern SvStatus s3_remove(ObjectStore *store, const char *name, const StoreCall *call, SvError *err);
extern SvStatus s3_remove_many(ObjectStore *store, const char *const *names, int n, int *removed,
							   const StoreCall *call, SvError *err);

#endif							/* S3_REMOVE_H */
