/*
 * store_fault.c
 *		Failures on demand.
 *
 * Inner calls go through the dispatcher, which checks them once more: a
 * driver never sees a call that it would not see without this wrapper.
 */
#include "store/store_fault.h"

#include <stdlib.h>

#include "store/store_driver.h"

typedef struct FaultStore
{
	ObjectStore base;
	ObjectStore *inner;
	uint64_t	calls[STORE_OPERATIONS];
	StoreFault *faults;
	size_t		nfaults;
} FaultStore;

static const char *const operation_names[STORE_OPERATIONS] = {
	[STORE_PUT] = "put",
	[STORE_GET] = "get",
	[STORE_HEAD] = "head",
	[STORE_REMOVE] = "remove",
	[STORE_LIST] = "list"
};

/* Counts a call and returns the fault that it meets, or NULL. */
static const StoreFault *
meet_fault(FaultStore *store, StoreOperation operation)
{
	uint64_t	number = ++store->calls[operation];

	for (size_t i = 0; i < store->nfaults; i++)
	{
		const StoreFault *fault = &store->faults[i];

		if (fault->operation == operation && fault->first <= number && number <= fault->last)
			return fault;
	}
	return NULL;
}

static bool
is_kind(const StoreFault *fault, StoreFaultKind kind)
{
	return fault != NULL && fault->kind == kind;
}

/* SV_NOT_FOUND has no message, like everywhere. */
static SvStatus
injected(const StoreFault *fault, const char *name, SvError *err)
{
	if (fault->status == SV_NOT_FOUND)
		return SV_NOT_FOUND;
	return sv_fail(err, fault->status, "injected failure of %s for \"%s\"%s",
				   operation_names[fault->operation], name,
				   fault->kind == STORE_FAULT_LOST_REPLY ? " after it was done" : "");
}

/* The outcome of a call that was passed on. */
static SvStatus
outcome(const StoreFault *fault, SvStatus status, const char *name, SvError *err)
{
	if (status == SV_OK && is_kind(fault, STORE_FAULT_LOST_REPLY))
		return injected(fault, name, err);
	return status;
}

static SvStatus
fault_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
					const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_PUT);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	return outcome(fault, store_put_if_absent(store->inner, name, parts, nparts, call, err),
				   name, err);
}

static void
tear(const StoreRange *ranges, int nranges)
{
	const StoreRange *last = &ranges[nranges - 1];
	uint8_t    *bytes;

	while (last->len == 0)
		last--;
	bytes = last->dst;
	for (size_t i = last->len / 2; i < last->len; i++)
		bytes[i] ^= 0xFF;
}

static SvStatus
fault_get(ObjectStore *base, const char *name, const StoreRange *ranges, int nranges,
		  const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_GET);
	SvStatus	status;

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	status = store_get(store->inner, name, ranges, nranges, call, err);
	if (status == SV_OK && is_kind(fault, STORE_FAULT_TORN_READ))
		tear(ranges, nranges);
	return outcome(fault, status, name, err);
}

static SvStatus
fault_head(ObjectStore *base, const char *name, uint64_t *bytes,
		   const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_HEAD);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	return outcome(fault, store_head(store->inner, name, bytes, call, err), name, err);
}

static SvStatus
fault_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_REMOVE);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	return outcome(fault, store_remove(store->inner, name, call, err), name, err);
}

static SvStatus
fault_list(ObjectStore *base, const char *prefix, StoreListCallback callback, void *state,
		   const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_LIST);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, prefix, err);
	return outcome(fault, store_list(store->inner, prefix, callback, state, call, err),
				   prefix, err);
}

static void
fault_close(ObjectStore *base)
{
	FaultStore *store = (FaultStore *) base;

	store_close(store->inner);
	free(store->faults);
	free(store);
}

static const ObjectStoreOps fault_ops = {
	.put_if_absent = fault_put_if_absent,
	.get = fault_get,
	.head = fault_head,
	.remove = fault_remove,
	.list = fault_list,
	.close = fault_close
};

SvStatus
store_fault_open(ObjectStore **store, ObjectStore *inner, SvError *err)
{
	FaultStore *opened = calloc(1, sizeof(FaultStore));

	*store = NULL;
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a store that injects faults");
	opened->base.ops = &fault_ops;
	opened->inner = inner;
	*store = &opened->base;
	return SV_OK;
}

SvStatus
store_fault_add(ObjectStore *base, const StoreFault *fault, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	bool		torn = fault->kind == STORE_FAULT_TORN_READ;
	StoreFault *faults;

	if (fault->first == 0 || fault->first > fault->last || torn != (fault->status == SV_OK) ||
		(torn && fault->operation != STORE_GET))
		return sv_fail(err, SV_INVALID, "fault contradicts itself");
	faults = realloc(store->faults, (store->nfaults + 1) * sizeof(StoreFault));
	if (faults == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: %zu faults", store->nfaults + 1);
	store->faults = faults;
	store->faults[store->nfaults++] = *fault;
	return SV_OK;
}

uint64_t
store_fault_calls(const ObjectStore *store, StoreOperation operation)
{
	return ((const FaultStore *) store)->calls[operation];
}
