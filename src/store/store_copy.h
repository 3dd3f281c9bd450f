/*
 * store_copy.h
 *		What stores share that keep local copies of remote objects: names and
 *		cutting into ranges.  Private to the store layer.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "base/sv_slice.h"
#include "cache/cache_wait.h"

/* What tells the objects of this store from those of others: a hash of where it is. */
typedef struct StoreIdentity
{
	uint64_t	hash[2];
} StoreIdentity;

extern StoreIdentity store_identity(const char *where);

/* An object's name in a local copy. */
extern CacheRunId store_copy_object(const StoreIdentity *identity, const char *name);

/*
 * Cuts the bytes of an object, as they come, into ranges of DISK_RANGE_BYTES.
 * A range is handed on when it is full, the last by store_cut_end; each is good
 * until write returns.
 */
typedef struct StoreCutter
{
	void		(*write) (void *state, uint32_t number, SvSlice bytes);
	void	   *state;
	uint32_t	number;			/* of the range that is being filled */
	size_t		len;			/* of it, in bytes */
	uint8_t    *bytes;			/* a range; NULL: no memory, and nothing is handed on */
} StoreCutter;

extern StoreCutter store_cutter(void (*write) (void *state, uint32_t number, SvSlice bytes), void *state);
extern void store_cut(StoreCutter *cutter, SvSlice bytes);

/* Hands on what is left, and frees. */
extern void store_cut_end(StoreCutter *cutter);

#endif							/* STORE_COPY_H */
