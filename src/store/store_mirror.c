/*
 * store_mirror.c
 *		The mirrored store.
 */
#include "store/store_mirror.h"

#include <stdlib.h>
#include <string.h>

#include "cache/disk_files.h"
#include "store/mirror_files.h"
#include "store/store_copy.h"
#include "store/store_front.h"

/* Fetched at once by store_mirror_fill. */
#define FILL_BYTES ((size_t) 128 * DISK_RANGE_BYTES)
/* Read between two looks at the cancel callback. */
#define STEP_BYTES ((size_t) 16 * DISK_RANGE_BYTES)

typedef struct MirrorStore
{
	StoreFront	front;
	MirrorFiles *files;
	StoreIdentity identity;
} MirrorStore;

static CacheRunId
object_id(const MirrorStore *store, const char *name)
{
	return store_copy_object(&store->identity, name);
}

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

static SvStatus
read_range(ObjectStore *base, const StoreRange *range, bool *there, const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	CacheRunId	object = object_id(store, range->name);
	SvStatus	status = SV_OK;

	*there = true;
	for (size_t done = 0; done < range->len && *there && status == SV_OK; done += STEP_BYTES)
	{
		size_t		step = range->len - done < STEP_BYTES ? range->len - done : STEP_BYTES;

		status = store_check_cancel(call, range->name, err);
		if (status == SV_OK)
			*there = mirror_files_read(store->files, object, range->offset + done, step,
									   (uint8_t *) range->dst + done);
	}
	return status;
}

static SvStatus
mirror_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
		   const StoreCall *call, SvError *err)
{
	return store_front_get(base, read_range, reads, nreads, failed, call, err);
}

/* -------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------- */

/* A local file that is written beside an object.  write is NULL when there is none, or it cannot be written. */
typedef struct LocalWrite
{
	MirrorWrite *write;
	StoreCutter cutter;
} LocalWrite;

static void
write_range(void *state, uint32_t number, SvSlice bytes)
{
	(void) number;
	mirror_write_append(state, bytes);
}

static void
begin_local(LocalWrite *local, MirrorStore *store, const char *name, const StoreCall *call)
{
	SvError		err;

	*local = (LocalWrite) {0};
	if (call != NULL && (call->caller == STORE_SNAPSHOT || call->caller == STORE_GC))
		return;
	if (mirror_write_begin(store->files, object_id(store, name), &local->write, &err) == SV_OK)
		local->cutter = store_cutter(write_range, local->write);
}

static void
append_local(LocalWrite *local, SvSlice bytes)
{
	if (local->write != NULL)
		store_cut(&local->cutter, bytes);
}

/* A file that could not be written is missing, and store_mirror_fill will say why. */
static void
end_local(LocalWrite *local, bool succeeded)
{
	bool		is_whole = local->cutter.bytes != NULL;
	SvError		err;

	if (local->write == NULL)
		return;
	store_cut_end(&local->cutter);
	if (succeeded && is_whole)
		(void) mirror_write_finish(local->write, &err);
	else
		mirror_write_abort(local->write);
}

static SvStatus
mirror_put_if_absent(ObjectStore *base, const char *name, const SvSlice *parts, int nparts,
					 const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	SvStatus	status = store_put_if_absent(store->front.inner, name, parts, nparts, call, err);
	LocalWrite	local;

	if (status != SV_OK)
		return status;
	begin_local(&local, store, name, call);
	for (int i = 0; i < nparts; i++)
		append_local(&local, parts[i]);
	end_local(&local, true);
	return SV_OK;
}

typedef struct MirrorUpload
{
	StoreFrontUpload front;
	LocalWrite	local;
} MirrorUpload;

static SvStatus
mirror_upload_begin(ObjectStore *base, const char *name, StoreUpload **upload,
					const StoreCall *call, SvError *err)
{
	StoreFrontUpload *begun;
	SvStatus	status = store_front_upload_begin(base, name, sizeof(MirrorUpload), &begun, call, err);

	if (status != SV_OK)
		return status;
	begin_local(&((MirrorUpload *) begun)->local, (MirrorStore *) base, name, call);
	*upload = &begun->base;
	return SV_OK;
}

static SvStatus
mirror_upload_append(StoreUpload *base, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	MirrorUpload *upload = (MirrorUpload *) base;
	SvStatus	status = store_upload_append(upload->front.inner, data, len, call, err);

	if (status == SV_OK)
		append_local(&upload->local, sv_slice(data, len));
	return status;
}

static SvStatus
mirror_upload_finish(StoreUpload *base, const StoreCall *call, SvError *err)
{
	MirrorUpload *upload = (MirrorUpload *) base;
	SvStatus	status = store_upload_finish(upload->front.inner, call, err);

	end_local(&upload->local, status == SV_OK);
	free(upload);
	return status;
}

static void
mirror_upload_abort(StoreUpload *base, const StoreCall *call)
{
	MirrorUpload *upload = (MirrorUpload *) base;

	store_upload_abort(upload->front.inner, call);
	end_local(&upload->local, false);
	free(upload);
}

/* -------------------------------------------------------------------------
 * Filling and sweeping
 * ------------------------------------------------------------------------- */

static SvStatus
fetch(MirrorStore *store, const char *name, uint64_t bytes, uint8_t *piece, MirrorWrite *write,
	  const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	for (uint64_t offset = 0; offset < bytes && status == SV_OK; offset += FILL_BYTES)
	{
		StoreRange	range = {
			.name = name,
			.offset = offset,
			.len = (size_t) (bytes - offset < FILL_BYTES ? bytes - offset : FILL_BYTES),
			.dst = piece,
			.object_bytes = bytes
		};

		status = store_get(store->front.inner, &range, 1, NULL, call, err);
		if (status == SV_OK)
			mirror_write_append(write, sv_slice(piece, range.len));
	}
	return status;
}

SvStatus
store_mirror_fill(ObjectStore *base, const char *name, uint64_t bytes, bool *filled,
				  const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	CacheRunId	object = object_id(store, name);
	MirrorWrite *write;
	uint8_t    *piece;
	SvStatus	status;

	*filled = false;
	if (mirror_files_has(store->files, object, bytes))
		return SV_OK;
	piece = malloc(FILL_BYTES);
	if (piece == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for mirroring object \"%s\"", name);
	status = mirror_write_begin(store->files, object, &write, err);
	if (status == SV_OK)
	{
		status = fetch(store, name, bytes, piece, write, call, err);
		if (status == SV_OK)
			status = mirror_write_finish(write, err);
		else
			mirror_write_abort(write);
	}
	free(piece);
	*filled = status == SV_OK;
	return status;
}

SvStatus
store_mirror_sweep(ObjectStore *base, const char *const *names, int n, int min_age_s, int *removed, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	CacheRunId *live = malloc(((size_t) n + 1) * sizeof(CacheRunId));
	SvStatus	status;

	*removed = 0;
	if (live == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for sweeping a mirror");
	for (int i = 0; i < n; i++)
		live[i] = object_id(store, names[i]);
	status = mirror_files_sweep(store->files, live, n, min_age_s, removed, err);
	free(live);
	return status;
}

/* -------------------------------------------------------------------------
 * The rest
 * ------------------------------------------------------------------------- */

/* A removal that failed may have happened. */
static SvStatus
mirror_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	SvStatus	status = store_remove(store->front.inner, name, call, err);

	mirror_files_remove(store->files, object_id(store, name));
	return status;
}

static SvStatus
mirror_remove_many(ObjectStore *base, const char *const *names, int n, int *removed,
				   const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	SvStatus	status = store_remove_many(store->front.inner, names, n, removed, call, err);

	for (int i = 0; i < n; i++)
		mirror_files_remove(store->files, object_id(store, names[i]));
	return status;
}

static void
mirror_close(ObjectStore *base)
{
	MirrorStore *store = (MirrorStore *) base;

	store_close(store->front.inner);
	mirror_files_close(store->files);
	free(store);
}

static const ObjectStoreOps mirror_ops = {
	.put_if_absent = mirror_put_if_absent,
	.put_if_match = store_front_put_if_match,
	.upload_begin = mirror_upload_begin,
	.upload_append = mirror_upload_append,
	.upload_finish = mirror_upload_finish,
	.upload_abort = mirror_upload_abort,
	.get = mirror_get,
	.get_small = store_front_get_small,
	.head = store_front_head,
	.remove = mirror_remove,
	.remove_many = mirror_remove_many,
	.list = store_front_list,
	.sweep = store_front_sweep,
	.close = mirror_close
};

SvStatus
store_mirror_open(ObjectStore **store, ObjectStore *inner, const StoreMirrorOptions *options, SvError *err)
{
	MirrorStore *opened = calloc(1, sizeof(MirrorStore));
	SvStatus	status;

	*store = NULL;
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a store with a mirror");
	status = mirror_files_open(&opened->files, options->path, options->max_open_files, err);
	if (status != SV_OK)
	{
		free(opened);
		return status;
	}
	opened->front = store_front(inner, &mirror_ops);
	opened->identity = store_identity(options->identity);
	*store = &opened->front.base;
	return SV_OK;
}

bool
store_is_mirror(const ObjectStore *store)
{
	return store->ops == &mirror_ops;
}

void
store_mirror_forget(ObjectStore *base, const char *const *names, int n)
{
	for (int i = 0; i < n && store_is_mirror(base); i++)
		mirror_files_remove(((MirrorStore *) base)->files, object_id((MirrorStore *) base, names[i]));
}

ObjectStore *
store_mirror_inner(ObjectStore *store)
{
	return store_is_mirror(store) ? ((MirrorStore *) store)->front.inner : store;
}
