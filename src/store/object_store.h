/*
 * object_store.h
 *		Named immutable objects, bytes only: one interface, several drivers.
 *
 * Names are relative paths of [A-Za-z0-9._-] parts joined by '/'; no part is
 * empty, "." or "..".  An object appears whole or not at all, and once put
 * has returned SV_OK it survives a crash of this machine (directory) or is as
 * durable as the store makes it.
 *
 * Every call is synchronous, uses malloc only, and keeps no lock between
 * calls.  One handle is used by one process and one thread.  Every call takes
 * a StoreCall (NULL for none): its cancel callback is asked between steps and
 * during waits, at least every 100 ms; when it says stop, the call ends with
 * SV_CANCELLED.  A put that ended with anything but SV_OK may or may not have
 * left an object under its name: names are never reused, so it is an orphan
 * for garbage collection, never half an object.
 *
 * Statuses: SV_NOT_FOUND for an object that is not there; SV_EXISTS for
 * put_if_absent on a name that is taken; SV_IO, SV_DENIED, SV_NO_SPACE from
 * the store with the object and the reason in the message; SV_INVALID for bad
 * names or ranges (a range past the end is SV_CORRUPT: the registry knows the
 * length).
 */
#ifndef OBJECT_STORE_H
#define OBJECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sv_slice.h"
#include "base/sv_status.h"

typedef struct ObjectStore ObjectStore;

typedef struct StoreCall
{
	bool		(*cancelled) (void *state);
	void	   *state;
} StoreCall;

/* One range of a get: len bytes at offset, into dst. */
typedef struct StoreRange
{
	uint64_t	offset;
	size_t		len;
	void	   *dst;
} StoreRange;

/* Called once per object in ascending name order; return false to end the listing early. */
typedef bool (*StoreListCallback) (void *state, const char *name, uint64_t bytes);

/* Writes a new object from nparts buffers, in order.  SV_EXISTS if the name is taken. */
extern SvStatus store_put_if_absent(ObjectStore *store, const char *name,
									const SvSlice *parts, int nparts,
									const StoreCall *call, SvError *err);

/* Reads nranges ranges of one object; all or an error. */
extern SvStatus store_get(ObjectStore *store, const char *name,
						  const StoreRange *ranges, int nranges,
						  const StoreCall *call, SvError *err);

/* The object's size in bytes. */
extern SvStatus store_head(ObjectStore *store, const char *name, uint64_t *bytes,
						   const StoreCall *call, SvError *err);

/* Removing what is not there is SV_OK. */
extern SvStatus store_remove(ObjectStore *store, const char *name,
							 const StoreCall *call, SvError *err);

/* All objects whose name begins with prefix. */
extern SvStatus store_list(ObjectStore *store, const char *prefix,
						   StoreListCallback callback, void *state,
						   const StoreCall *call, SvError *err);

extern void store_close(ObjectStore *store);

#endif							/* OBJECT_STORE_H */
