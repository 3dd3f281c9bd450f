/*
 * store_fault.h
 *		A store that passes calls on to another one, and fails those that a
 *		script names.
 *
 * Calls of each operation are counted from 1 as they arrive; a fault names
 * the calls first to last of one operation.  The first fault added that
 * matches a call is the one that happens.  STORE_PUT counts put_if_absent,
 * put_if_match and the finish of an upload; STORE_GET get and get_small;
 * STORE_REMOVE remove and remove_many.
 */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include "store/object_store.h"

typedef enum StoreFaultKind
{
	STORE_FAULT_FAIL,			/* the call is not passed on */
	STORE_FAULT_LOST_REPLY,		/* the call is passed on; if it succeeds, its outcome is lost */
	STORE_FAULT_TORN_READ		/* a get succeeds, but the second half of its last range, or content, is wrong */
} StoreFaultKind;

typedef struct StoreFault
{
	StoreFaultKind kind;
	StoreOperation operation;	/* STORE_GET for a torn read */
	uint64_t	first;			/* from 1 */
	uint64_t	last;			/* inclusive; UINT64_MAX: all that follow */
	SvStatus	status;			/* what the caller sees; SV_OK for a torn read */
} StoreFault;

/* The new store owns inner and closes it; on failure inner stays the caller's. */
extern SvStatus store_fault_open(ObjectStore **store, ObjectStore *inner, SvError *err);

/* store must come from store_fault_open. */
extern SvStatus store_fault_add(ObjectStore *store, const StoreFault *fault, SvError *err);

/* How many calls of an operation have arrived, failed ones included. */
extern uint64_t store_fault_calls(const ObjectStore *store, StoreOperation operation);

#endif							/* STORE_FAULT_H */
