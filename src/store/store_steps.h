/*
 * store_steps.h
 *		A get that goes on in steps, so that gets of several stores can be under way
 *		at once (store_together.h).  Private to the store layer.
 *
 * As store_get otherwise: the same checks, the same merged reads, the same answers.
 * Ranges, names and destinations stay where they are until the end.
 */
#ifndef STORE_STEPS_H
#define STORE_STEPS_H

#include "store/store_driver.h"
#include "store/store_merge.h"

typedef struct StoreSteps
{
	ObjectStore *store;
	const StoreRange *ranges;
	StoreMerged merged;
	StoreDriverSteps *driver;	/* NULL: the driver has no steps for this one, and gets all in the first */
	bool		done;
	int			failed_read;	/* -1: none */
} StoreSteps;

/* Sends what can be sent, and waits for nothing but keys that have to be renewed.  If SV_OK, the caller ends it. */
extern SvStatus store_steps_begin(StoreSteps *steps, ObjectStore *store, const StoreRange *ranges, int nranges,
								  const StoreCall *call, SvError *err);

/*
 * Goes on.  If there was nothing to do it has called the call's wait callback, once;
 * steps->done says whether all is there.  Anything but SV_OK is the end of the get.
 */
extern SvStatus store_steps_go(StoreSteps *steps, const StoreCall *call, SvError *err);

/* Ends what is under way.  The answer is the index of a range that failed, -1: none. */
extern int	store_steps_end(StoreSteps *steps, const StoreCall *call);

#endif							/* STORE_STEPS_H */
