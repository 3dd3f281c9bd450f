/*
 * store_together.h
 *		Gets of several stores that are under way at once.
 */
#ifndef STORE_TOGETHER_H
#define STORE_TOGETHER_H

#include "store/object_store.h"

/* A get of one store, as store_get has it. */
typedef struct StoreGet
{
	ObjectStore *store;
	const StoreRange *ranges;
	int			nranges;
	const StoreCall *call;
} StoreGet;

/*
 * All ranges of all gets, or an error: then *which is the index of the get that met
 * it, *failed of its range, -1 if that was none of them; nothing is under way any
 * more.  Stores that have requests wait for them together, as many as each would
 * have by itself; each has its own tries and time limits.  A store without (a
 * directory) reads what it was asked for while the others are under way.
 *
 * Waits are by the first call's wait callback, and its progress callback is the one
 * that is called.
 */
extern SvStatus store_get_together(const StoreGet *gets, int n, int *which, int *failed, SvError *err);

#endif							/* STORE_TOGETHER_H */
