/*
 * store_tier_pass.h
 *		Reading past the disk tier.  Private to the store layer.
 */
#ifndef STORE_TIER_PASS_H
#define STORE_TIER_PASS_H

#include "store/store_driver.h"

/*
 * Get of ObjectStoreOps for a call that is `passing`: ranges that the tier has
 * whole are copied, the others are read from the inner store as they are, and
 * nothing is added to the tier.  Claims nothing, so it waits for nobody.
 */
extern SvStatus store_tier_pass(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
								const StoreCall *call, SvError *err);

/*
 * Fetches of ObjectStoreOps.  Begun for a range of which the tier has less than half,
 * all of it: the caller's time is worth more than bytes that are there already.  Of
 * others the rest is read with them when they are needed.
 */
extern SvStatus store_tier_fetch_begin(ObjectStore *base, const StoreRange *range, StoreFetch **fetch,
									   const StoreCall *call, SvError *err);
extern void store_tier_fetch_drive(StoreFetch *fetch);
extern SvStatus store_tier_fetch_finish(StoreFetch *fetch, const StoreCall *call, SvError *err);
extern void store_tier_fetch_end(StoreFetch *fetch);

#endif							/* STORE_TIER_PASS_H */
