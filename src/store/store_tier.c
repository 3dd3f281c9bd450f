/*
 * store_tier.c
 *		The tiered store: what is written and removed goes through to the tier.
 */
#include "store/store_tier.h"

#include <stdlib.h>

#include "store/store_copy.h"
#include "store/store_tier_pass.h"
#include "store/store_tier_read.h"

CacheRunId
store_tier_object(const ObjectStore *base, const char *name)
{
	return store_copy_object(&((const TierStore *) base)->identity, name);
}

/* An object that is being written to the tier. */
typedef struct TierWrite
{
	DiskTier   *tier;
	CacheRunId	object;
	StoreCutter	cutter;
} TierWrite;

static void
write_through(void *state, uint32_t number, SvSlice bytes)
{
	TierWrite  *write = state;
	DiskRange	range = {.object = write->object,.number = number};

	disk_tier_write_through(write->tier, &range, bytes);
}

/* Whether what this call writes will be read as runs are. */
static bool
writes_data(const TierStore *store, const StoreCall *call)
{
	return disk_tier_state(store->tier) == DISK_TIER_ON &&
		(call == NULL || (call->caller != STORE_SNAPSHOT && call->caller != STORE_GC));
}

static void
begin_write(TierWrite *write, TierStore *store, const char *name)
{
	*write = (TierWrite) {
		.tier = store->tier,
		.object = store_tier_object(&store->front.base, name),
		.cutter = store_cutter(write_through, write)
	};
}

/* Without memory they go as they grow old. */
static void
drop_many(TierStore *store, const char *const *names, int n, bool gone)
{
	CacheRunId *objects = malloc((size_t) n * sizeof(CacheRunId));

	if (objects == NULL)
		return;
	for (int i = 0; i < n; i++)
		objects[i] = store_tier_object(&store->front.base, names[i]);
	disk_tier_drop(store->tier, objects, n, gone);
	free(objects);
}

/* -------------------------------------------------------------------------
 * Putting
 * ------------------------------------------------------------------------- */

static SvStatus
tier_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
				   const StoreCall *call, SvError *err)
{
	TierStore  *store = (TierStore *) base;
	SvStatus	status = store_put_if_absent(store->front.inner, name, parts, nparts, call, err);
	TierWrite	write;

	if (status != SV_OK || !writes_data(store, call))
		return status;
	begin_write(&write, store, name);
	for (int i = 0; i < nparts; i++)
		store_cut(&write.cutter, parts[i]);
	store_cut_end(&write.cutter);
	return SV_OK;
}

typedef struct TierUpload
{
	StoreFrontUpload front;
	bool		writes;			/* to the tier */
	TierWrite	write;
} TierUpload;

static SvStatus
tier_upload_begin(ObjectStore *base, const char *name, StoreUpload **upload,
				  const StoreCall *call, SvError *err)
{
	TierStore  *store = (TierStore *) base;
	StoreFrontUpload *begun;
	TierUpload *tiered;
	SvStatus	status = store_front_upload_begin(base, name, sizeof(TierUpload), &begun, call, err);

	if (status != SV_OK)
		return status;
	tiered = (TierUpload *) begun;
	tiered->writes = writes_data(store, call);
	if (tiered->writes)
		begin_write(&tiered->write, store, name);
	*upload = &begun->base;
	return SV_OK;
}

static SvStatus
tier_upload_append(StoreUpload *base, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	TierUpload *upload = (TierUpload *) base;
	SvStatus	status = store_upload_append(upload->front.inner, data, len, call, err);

	if (status == SV_OK && upload->writes)
		store_cut(&upload->write.cutter, sv_slice(data, len));
	return status;
}

/* What was written of an object that does not come to be, or has another's content, leaves the tier. */
static void
end_upload(TierUpload *upload, bool succeeded)
{
	const char *name = upload->front.base.name;

	if (upload->writes)
		store_cut_end(&upload->write.cutter);
	if (upload->writes && !succeeded)
		drop_many((TierStore *) upload->front.base.store, &name, 1, true);
	free(upload);
}

static SvStatus
tier_upload_finish(StoreUpload *base, const StoreCall *call, SvError *err)
{
	TierUpload *upload = (TierUpload *) base;
	SvStatus	status = store_upload_finish(upload->front.inner, call, err);

	end_upload(upload, status == SV_OK);
	return status;
}

static void
tier_upload_abort(StoreUpload *base, const StoreCall *call)
{
	TierUpload *upload = (TierUpload *) base;

	store_upload_abort(upload->front.inner, call);
	end_upload(upload, false);
}

/* -------------------------------------------------------------------------
 * The rest
 * ------------------------------------------------------------------------- */

/* A removal that failed may have happened. */
static SvStatus
tier_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	TierStore  *store = (TierStore *) base;
	SvStatus	status = store_remove(store->front.inner, name, call, err);

	drop_many(store, &name, 1, true);
	return status;
}

static SvStatus
tier_remove_many(ObjectStore *base, const char *const *names, int n, int *removed,
				 const StoreCall *call, SvError *err)
{
	TierStore  *store = (TierStore *) base;
	SvStatus	status = store_remove_many(store->front.inner, names, n, removed, call, err);

	drop_many(store, names, n, true);
	return status;
}

static void
tier_close(ObjectStore *base)
{
	TierStore  *store = (TierStore *) base;

	store_close(store->front.inner);
	free(store);
}

static const ObjectStoreOps tier_ops = {
	.put_if_absent = tier_put_if_absent,
	.put_if_match = store_front_put_if_match,
	.upload_begin = tier_upload_begin,
	.upload_append = tier_upload_append,
	.upload_finish = tier_upload_finish,
	.upload_abort = tier_upload_abort,
	.get = store_tier_get,
	.steps_begin = store_tier_steps_begin,
	.steps_go = store_tier_steps_go,
	.steps_end = store_tier_steps_end,
	.get_small = store_front_get_small,
	.head = store_front_head,
	.remove = tier_remove,
	.remove_many = tier_remove_many,
	.list = store_front_list,
	.sweep = store_front_sweep,
	.close = tier_close,
	.fetch_begin = store_tier_fetch_begin,
	.fetch_drive = store_tier_fetch_drive,
	.fetch_finish = store_tier_fetch_finish,
	.fetch_end = store_tier_fetch_end
};

SvStatus
store_tier_open(ObjectStore **store, ObjectStore *inner, DiskTier *tier, const char *identity, SvError *err)
{
	TierStore  *opened = calloc(1, sizeof(TierStore));

	*store = NULL;
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a store with a disk cache");
	opened->front = store_front(inner, &tier_ops);
	opened->tier = tier;
	opened->identity = store_identity(identity);
	*store = &opened->front.base;
	return SV_OK;
}

void
store_tier_retire(ObjectStore *store, const char *const *names, int n)
{
	if (store->ops == &tier_ops && n > 0)
		drop_many((TierStore *) store, names, n, false);
}

void
store_tier_forget(ObjectStore *store, const char *const *names, int n)
{
	if (store->ops == &tier_ops && n > 0)
		drop_many((TierStore *) store, names, n, true);
}

ObjectStore *
store_tier_inner(ObjectStore *store)
{
	return store->ops == &tier_ops ? ((TierStore *) store)->front.inner : store;
}
