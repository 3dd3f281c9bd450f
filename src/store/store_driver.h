/*
 * store_driver.h
 *		What a driver implements, and what all drivers share.  Private to the
 *		store layer.
 *
 * object_store.c checks names, prefixes and ranges and asks the cancel
 * callback once before it calls a driver, so drivers may rely on that: every
 * name is valid, no range wraps around, none is empty.  Out parameters that
 * callers may leave out are never NULL here.  A driver puts struct ObjectStore
 * first in its own struct, and accounts for its own requests.
 */
#ifndef STORE_DRIVER_H
#define STORE_DRIVER_H

#include "store/object_store.h"
#include "store/store_call.h"

/* Limits that all stores can hold: S3 allows 1024 with the prefix, file systems 255 a part. */
#define STORE_MAX_NAME_BYTES 512
#define STORE_MAX_PART_BYTES 255

/*
 * No merged read is longer, so that several run at once: a store answers four of
 * 2 MiB sooner than one of 8.  A range that is longer by itself stays whole.
 */
#define STORE_MAX_MERGED_BYTES ((size_t) 2 * 1024 * 1024)

/* One contiguous read of an object, that serves some ranges: all of them lie inside, by ascending offset. */
typedef struct StoreRead
{
	const char *name;
	uint64_t	offset;
	size_t		len;
	const StoreRange *const *ranges;
	int			nranges;
} StoreRead;

/* A get in steps: a driver's own struct. */
typedef struct StoreDriverSteps StoreDriverSteps;

typedef struct ObjectStoreOps
{
	SvStatus	(*put_if_absent) (ObjectStore *store, const char *name,
								  const SvSlice *parts, int nparts,
								  const StoreCall *call, SvError *err);
	/* NULL without STORE_CAN_PUT_IF_MATCH. */
	SvStatus	(*put_if_match) (ObjectStore *store, const char *name, SvSlice bytes, const char *etag,
								 char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err);
	SvStatus	(*upload_begin) (ObjectStore *store, const char *name, StoreUpload **upload,
								 const StoreCall *call, SvError *err);
	SvStatus	(*upload_append) (StoreUpload *upload, const void *data, size_t len,
								  const StoreCall *call, SvError *err);
	/* Frees upload. */
	SvStatus	(*upload_finish) (StoreUpload *upload, const StoreCall *call, SvError *err);
	void		(*upload_abort) (StoreUpload *upload, const StoreCall *call);
	/* At least one read.  On an error *failed is the index of a read, or -1. */
	SvStatus	(*get) (ObjectStore *store, const StoreRead *reads, int nreads, int *failed,
						const StoreCall *call, SvError *err);
	/*
	 * NULL, all three, where gets have no steps (store_steps.h).  begin may answer NULL
	 * for one that has none; reads stay where they are until the end, which frees it and
	 * answers the index of a read that failed, or -1.
	 */
	SvStatus	(*steps_begin) (ObjectStore *store, const StoreRead *reads, int nreads, StoreDriverSteps **steps,
								const StoreCall *call, SvError *err);
	SvStatus	(*steps_go) (StoreDriverSteps *steps, bool *done, const StoreCall *call, SvError *err);
	int			(*steps_end) (StoreDriverSteps *steps, const StoreCall *call);
	SvStatus	(*get_small) (ObjectStore *store, const char *name, size_t max_bytes, SvBuffer *content,
							  StoreObject *object, const StoreCall *call, SvError *err);
	SvStatus	(*head) (ObjectStore *store, const char *name, StoreObject *object,
						 const StoreCall *call, SvError *err);
	SvStatus	(*remove) (ObjectStore *store, const char *name,
						   const StoreCall *call, SvError *err);
	/* NULL: one by one. */
	SvStatus	(*remove_many) (ObjectStore *store, const char *const *names, int n, int *removed,
								const StoreCall *call, SvError *err);
	/* after is "" for all. */
	SvStatus	(*list) (ObjectStore *store, const char *prefix, const char *after,
						 StoreListCallback callback, void *state,
						 const StoreCall *call, SvError *err);
	/* NULL: a put that died has left nothing to do.  *left is 0. */
	SvStatus	(*sweep) (ObjectStore *store, const char *prefix, int min_age_s, int *left,
						  const StoreCall *call, SvError *err);
	void		(*close) (ObjectStore *store);
	/*
	 * NULL, all of them, where nothing can be asked for ahead.  begin may answer NULL;
	 * the fetch is malloc'd; store_fetch.c fills in its StoreFetch (store_fetch.h) and frees it.
	 * end is called once for each, after a finish too, and ends what is still under way.
	 */
	SvStatus	(*fetch_begin) (ObjectStore *store, const StoreRange *range, StoreFetch **fetch,
								const StoreCall *call, SvError *err);
	void		(*fetch_drive) (StoreFetch *fetch);
	SvStatus	(*fetch_finish) (StoreFetch *fetch, const StoreCall *call, SvError *err);
	void		(*fetch_end) (StoreFetch *fetch);
} ObjectStoreOps;

struct ObjectStore
{
	const ObjectStoreOps *ops;
	unsigned	capabilities;
	size_t		merge_gap;
	StoreFetch *fetches;		/* that have not ended */
};

/* What every operation begins with; name is for the message. */
extern SvStatus store_begin_operation(StoreOperation operation, const char *name, const StoreCall *call,
									  SvError *err);

/* SV_INVALID for a bad name or range; known_name is one that need not be looked at again, or NULL. */
extern SvStatus store_check_range(const StoreRange *range, const char *known_name, SvError *err);

/* The same of all of a get; *wanted: how many of them have bytes.  *failed is set on errors only. */
extern SvStatus store_check_ranges(const StoreRange *ranges, int nranges, int *wanted, int *failed, SvError *err);

/* First in a driver's own struct; filled in by object_store.c when upload_begin has returned. */
struct StoreUpload
{
	ObjectStore *store;
	SvStatus	status;			/* of the first append that failed */
	char		name[STORE_MAX_NAME_BYTES + 1];
};

/* Whether these bytes can be one part of a name between slashes. */
extern bool store_part_is_valid(const char *part, size_t len);

#endif							/* STORE_DRIVER_H */
