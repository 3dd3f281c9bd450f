/*
 * store_driver.h
 *		What a driver implements.  Private to the store layer.
 *
 * object_store.c checks names, prefixes and ranges and asks the cancel
 * callback once before it calls a driver, so drivers may rely on that:
 * every name is valid, no range wraps around, at least one range has bytes.
 * Ranges of no bytes are skipped.  A driver puts struct ObjectStore first in
 * its own struct.
 */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include "store/object_store.h"

/* Limits that all stores can hold: S3 allows 1024 with the prefix, file systems 255 a part. */
#define STORE_MAX_NAME_BYTES 512
#define STORE_MAX_PART_BYTES 255

typedef struct ObjectStoreOps
{
	SvStatus	(*put_if_absent) (ObjectStore *store, const char *name,
								  const SvSlice *parts, int nparts,
								  const StoreCall *call, SvError *err);
	SvStatus	(*get) (ObjectStore *store, const char *name,
						const StoreRange *ranges, int nranges,
						const StoreCall *call, SvError *err);
	SvStatus	(*head) (ObjectStore *store, const char *name, uint64_t *bytes,
						 const StoreCall *call, SvError *err);
	SvStatus	(*remove) (ObjectStore *store, const char *name,
						   const StoreCall *call, SvError *err);
	SvStatus	(*list) (ObjectStore *store, const char *prefix,
						 StoreListCallback callback, void *state,
						 const StoreCall *call, SvError *err);
	void		(*close) (ObjectStore *store);
} ObjectStoreOps;

struct ObjectStore
{
	const ObjectStoreOps *ops;
};

/* Whether these bytes can be one part of a name between slashes. */
extern bool store_part_is_valid(const char *part, size_t len);

/* SV_CANCELLED if the call is to stop, else SV_OK.  name is for the message. */
extern SvStatus store_check_cancel(const StoreCall *call, const char *name, SvError *err);

#endif							/* STORE_DRIVER_H */
