/*
 * s3_upload.h
 *		Streaming to S3: operations of ObjectStoreOps.  Private to the S3 driver.
 */
#ifndef S3_UPLOAD_H
#define S3_UPLOAD_H

#include "store/store_driver.h"

extern SvStatus s3_upload_begin(ObjectStore *store, const char *name, StoreUpload **upload,
								const StoreCall *call, SvError *err);
extern SvStatus s3_upload_append(StoreUpload *upload, const void *data, size_t len,
								 const StoreCall *call, SvError *err);
extern SvStatus s3_upload_finish(StoreUpload *upload, const StoreCall *call, SvError *err);
extern void s3_upload_abort(StoreUpload *upload, const StoreCall *call);

#endif							/* S3_UPLOAD_H */
