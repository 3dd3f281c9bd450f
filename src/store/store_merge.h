/*
 * store_merge.h
 *		Turns the ranges of a get into as few reads as the store likes.
 */
#ifndef STORE_MERGE_H
#define STORE_MERGE_H

#include "store/store_driver.h"

/* Ranges as reads. */
typedef struct StoreMerged
{
	StoreRead  *reads;
	int			nreads;
	const StoreRange **sorted;	/* to which the reads point */
} StoreMerged;

/* Of ranges that were checked, `wanted` > 0 of which have bytes.  If SV_OK, freed by store_merge_free. */
extern SvStatus store_merge(const ObjectStore *store, const StoreRange *ranges, int nranges, int wanted,
							StoreMerged *merged, SvError *err);
extern void store_merge_free(StoreMerged *merged);

/*
 * store_get for ranges that were checked, `wanted` > 0 of which have bytes.
 * *failed is set on errors only.
 */
extern SvStatus store_merge_get(ObjectStore *store, const StoreRange *ranges, int nranges, int wanted,
								int *failed, const StoreCall *call, SvError *err);

/* Copies len bytes that were read at offset of the read's object to the ranges that want some of them. */
extern void store_scatter(const StoreRead *read, uint64_t offset, const void *data, size_t len);

#endif							/* STORE_MERGE_H */
