/*
 * store_fetch.h
 *		Fetches (object_store.h, store_fetch_begin) as drivers see them.  Private to
 *		the store layer.
 */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H

#include "store/store_driver.h"

/* First in a driver's own struct. */
struct StoreFetch
{
	ObjectStore *store;			/* NULL: it was closed */
	StoreRange	range;
	StoreCall	call;			/* a copy of begin's */
	StoreFetch *next;			/* of the store */
	StoreFetch *previous;
};

/* Ends all fetches of a store that is about to be closed. */
extern void store_fetch_close(ObjectStore *store);

#endif							/* STORE_FETCH_H */
