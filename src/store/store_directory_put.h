/*
 * store_directory_put.h
 *		Writing, for the directory driver: the operations of ObjectStoreOps.
 */
#ifndef STORE_DIRECTORY_PUT_H
#define STORE_DIRECTORY_PUT_H

#include <sys/stat.h>

#include "store/store_directory_path.h"

/* What this file is, as an etag: differs between all contents that put_if_match gives one name. */
extern void store_directory_etag(const struct stat *st, char etag[STORE_ETAG_BYTES]);

extern SvStatus store_directory_put_if_absent(ObjectStore *store, const char *name,
											  const SvSlice *parts, int nparts,
											  const StoreCall *call, SvError *err);
extern SvStatus store_directory_put_if_match(ObjectStore *store, const char *name, SvSlice bytes,
											 const char *etag, char new_etag[STORE_ETAG_BYTES],
											 const StoreCall *call, SvError *err);
extern SvStatus store_directory_upload_begin(ObjectStore *store, const char *name, StoreUpload **upload,
											 const StoreCall *call, SvError *err);
extern SvStatus store_directory_upload_append(StoreUpload *upload, const void *data, size_t len,
											  const StoreCall *call, SvError *err);
extern SvStatus store_directory_upload_finish(StoreUpload *upload, const StoreCall *call, SvError *err);
extern void store_directory_upload_abort(StoreUpload *upload, const StoreCall *call);

#endif							/* STORE_DIRECTORY_PUT_H */
