/*
 * store_front.h
 *		What stores that stand before another one share: the calls that go to the
 *		inner store as they are, and gets of which a part is at hand.  Private to
 *		the store layer.
 */
#ifndef STORE_FRONT_H
#define STORE_FRONT_H

#include "store/store_driver.h"

/* First in the struct of such a store, which owns the inner one. */
typedef struct StoreFront
{
	ObjectStore base;
	ObjectStore *inner;
} StoreFront;

/* Takes over what the inner store can do. */
extern StoreFront store_front(ObjectStore *inner, const ObjectStoreOps *ops);

/* Calls of ObjectStoreOps that the inner store answers. */
extern SvStatus store_front_put_if_match(ObjectStore *base, const char *name, SvSlice bytes, const char *etag,
										 char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err);
extern SvStatus store_front_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content,
									  StoreObject *object, const StoreCall *call, SvError *err);
extern SvStatus store_front_head(ObjectStore *base, const char *name, StoreObject *object,
								 const StoreCall *call, SvError *err);
extern SvStatus store_front_list(ObjectStore *base, const char *prefix, const char *after,
								 StoreListCallback callback, void *state, const StoreCall *call, SvError *err);
extern SvStatus store_front_sweep(ObjectStore *base, const char *prefix, int min_age_s, int *left,
								  const StoreCall *call, SvError *err);

/* First in the struct of an upload. */
typedef struct StoreFrontUpload
{
	StoreUpload base;
	StoreUpload *inner;
} StoreFrontUpload;

/* Begins an upload of the inner store; the struct has so many bytes, the others of which are 0. */
extern SvStatus store_front_upload_begin(ObjectStore *base, const char *name, size_t struct_bytes,
										 StoreFrontUpload **upload, const StoreCall *call, SvError *err);

/*
 * Copies a range if all of it is at hand, and says so; the status is SV_OK if it is
 * not, too.
 */
typedef SvStatus (*StoreFrontReader) (ObjectStore *base, const StoreRange *range, bool *there,
									  const StoreCall *call, SvError *err);

/* A get in which the reader is asked for each range, and the inner store for those it has not, as they are. */
extern SvStatus store_front_get(ObjectStore *base, StoreFrontReader reader, const StoreRead *reads, int nreads,
								int *failed, const StoreCall *call, SvError *err);

#endif							/* STORE_FRONT_H */
