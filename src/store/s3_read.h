/*
 * s3_read.h
 *		Reading from S3: operations of ObjectStoreOps.  Private to the S3 driver.
 */
#ifndef S3_READ_H
#define S3_READ_H

#include "store/store_driver.h"

extern SvStatus s3_get(ObjectStore *store, const StoreRead *reads, int nreads, int *failed,
					   const StoreCall *call, SvError *err);
extern SvStatus s3_steps_begin(ObjectStore *store, const StoreRead *reads, int nreads, StoreDriverSteps **steps,
							   const StoreCall *call, SvError *err);
extern SvStatus s3_steps_go(StoreDriverSteps *steps, bool *done, const StoreCall *call, SvError *err);
extern int	s3_steps_end(StoreDriverSteps *steps, const StoreCall *call);
extern SvStatus s3_fetch_begin(ObjectStore *store, const StoreRange *range, StoreFetch **fetch,
							   const StoreCall *call, SvError *err);
extern void s3_fetch_drive(StoreFetch *fetch);
extern SvStatus s3_fetch_finish(StoreFetch *fetch, const StoreCall *call, SvError *err);
extern void s3_fetch_end(StoreFetch *fetch);
/* Of the store's fetches, how many have not got all of their answer, or its failure, yet. */
extern int	s3_fetches_running(const ObjectStore *store);
extern SvStatus s3_get_small(ObjectStore *store, const char *name, size_t max_bytes, SvBuffer *content,
							 StoreObject *object, const StoreCall *call, SvError *err);
extern SvStatus s3_head(ObjectStore *store, const char *name, StoreObject *object,
						const StoreCall *call, SvError *err);

#endif							/* S3_READ_H */
