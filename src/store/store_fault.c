/*
 * store_fault.c
 *		Failures on demand.
 *
 * Inner calls go through the dispatcher, which checks them once more: a
 * driver never sees a call that it would not see without this wrapper.  But a
 * get was merged as the inner store likes it, and goes to the driver.
 */
#include "store/store_fault.h"

#include <stdlib.h>

#include "store/store_front.h"

typedef struct FaultStore
{
	StoreFront	front;
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
	return outcome(fault, store_put_if_absent(store->front.inner, name, parts, nparts, call, err),
				   name, err);
}

static SvStatus
fault_put_if_match(ObjectStore *base, const char *name, SvSlice bytes, const char *etag,
				   char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_PUT);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	return outcome(fault, store_put_if_match(store->front.inner, name, bytes, etag, new_etag, call, err),
				   name, err);
}

static SvStatus
fault_upload_begin(ObjectStore *base, const char *name, StoreUpload **upload,
				   const StoreCall *call, SvError *err)
{
	StoreFrontUpload *begun;
	SvStatus	status = store_front_upload_begin(base, name, sizeof(StoreFrontUpload), &begun, call, err);

	if (status == SV_OK)
		*upload = &begun->base;
	return status;
}

static SvStatus
fault_upload_append(StoreUpload *upload, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	return store_upload_append(((StoreFrontUpload *) upload)->inner, data, len, call, err);
}

static void
fault_upload_abort(StoreUpload *upload, const StoreCall *call)
{
	store_upload_abort(((StoreFrontUpload *) upload)->inner, call);
	free(upload);
}

static SvStatus
fault_upload_finish(StoreUpload *upload, const StoreCall *call, SvError *err)
{
	const StoreFault *fault = meet_fault((FaultStore *) upload->store, STORE_PUT);
	SvStatus	status;

	if (is_kind(fault, STORE_FAULT_FAIL))
	{
		status = injected(fault, upload->name, err);
		fault_upload_abort(upload, call);
		return status;
	}
	status = outcome(fault, store_upload_finish(((StoreFrontUpload *) upload)->inner, call, err),
					 upload->name, err);
	free(upload);
	return status;
}

static void
tear(void *bytes, size_t len)
{
	for (size_t i = len / 2; i < len; i++)
		((uint8_t *) bytes)[i] ^= 0xFF;
}

static SvStatus
fault_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
		  const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_GET);
	const StoreRange *last = reads[nreads - 1].ranges[reads[nreads - 1].nranges - 1];
	SvStatus	status;

	if (is_kind(fault, STORE_FAULT_FAIL))
	{
		*failed = 0;
		return injected(fault, reads[0].name, err);
	}
	status = store->front.inner->ops->get(store->front.inner, reads, nreads, failed, call, err);
	if (status == SV_OK && is_kind(fault, STORE_FAULT_TORN_READ))
		tear(last->dst, last->len);
	return outcome(fault, status, reads[0].name, err);
}

static SvStatus
fault_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content,
				StoreObject *object, const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_GET);
	size_t		before = content->len;
	SvStatus	status;

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	status = store_get_small(store->front.inner, name, max_bytes, content, object, call, err);
	if (status == SV_OK && is_kind(fault, STORE_FAULT_TORN_READ) && content->len > before)
		tear(content->data + before, content->len - before);
	return outcome(fault, status, name, err);
}

static SvStatus
fault_head(ObjectStore *base, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_HEAD);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	return outcome(fault, store_head(store->front.inner, name, object, call, err), name, err);
}

static SvStatus
fault_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_REMOVE);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, name, err);
	return outcome(fault, store_remove(store->front.inner, name, call, err), name, err);
}

static SvStatus
fault_remove_many(ObjectStore *base, const char *const *names, int n, int *removed,
				  const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_REMOVE);
	SvStatus	status;

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, names[0], err);
	status = outcome(fault, store_remove_many(store->front.inner, names, n, removed, call, err), names[0], err);
	if (is_kind(fault, STORE_FAULT_LOST_REPLY))
		*removed = 0;
	return status;
}

static SvStatus
fault_list(ObjectStore *base, const char *prefix, const char *after, StoreListCallback callback,
		   void *state, const StoreCall *call, SvError *err)
{
	FaultStore *store = (FaultStore *) base;
	const StoreFault *fault = meet_fault(store, STORE_LIST);

	if (is_kind(fault, STORE_FAULT_FAIL))
		return injected(fault, prefix, err);
	return outcome(fault, store_list(store->front.inner, prefix, after, callback, state, call, err),
				   prefix, err);
}

static void
fault_close(ObjectStore *base)
{
	FaultStore *store = (FaultStore *) base;

	store_close(store->front.inner);
	free(store->faults);
	free(store);
}

static const ObjectStoreOps fault_ops = {
	.put_if_absent = fault_put_if_absent,
	.put_if_match = fault_put_if_match,
	.upload_begin = fault_upload_begin,
	.upload_append = fault_upload_append,
	.upload_finish = fault_upload_finish,
	.upload_abort = fault_upload_abort,
	.get = fault_get,
	.get_small = fault_get_small,
	.head = fault_head,
	.remove = fault_remove,
	.remove_many = fault_remove_many,
	.list = fault_list,
	.sweep = store_front_sweep,
	.close = fault_close
};

SvStatus
store_fault_open(ObjectStore **store, ObjectStore *inner, SvError *err)
{
	FaultStore *opened = calloc(1, sizeof(FaultStore));

	*store = NULL;
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a store that injects faults");
	opened->front = store_front(inner, &fault_ops);
	*store = &opened->front.base;
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
