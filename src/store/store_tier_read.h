/*
 * store_tier_read.h
 *		Reading by way of the disk tier.  Private to store_tier.c.
 */
#ifndef STORE_TIER_READ_H
#define STORE_TIER_READ_H

#include "store/store_copy.h"
#include "store/store_front.h"
#include "store/store_tier.h"

typedef struct TierStore
{
	StoreFront	front;
	DiskTier   *tier;
	StoreIdentity identity;
} TierStore;

/* The store's get (store_driver.h). */
extern SvStatus store_tier_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
							   const StoreCall *call, SvError *err);

/* The same in steps. */
extern SvStatus store_tier_steps_begin(ObjectStore *base, const StoreRead *reads, int nreads,
									   StoreDriverSteps **steps, const StoreCall *call, SvError *err);
extern SvStatus store_tier_steps_go(StoreDriverSteps *steps, bool *done, const StoreCall *call, SvError *err);
extern int	store_tier_steps_end(StoreDriverSteps *steps, const StoreCall *call);

#endif							/* STORE_TIER_READ_H */
