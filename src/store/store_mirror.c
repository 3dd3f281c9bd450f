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
#include "store/store_driver.h"

/* Fetched at once by store_mirror_fill. */
#define FILL_BYTES ((size_t) 128 * DISK_RANGE_BYTES)
/* Read between two looks at the cancel callback. */
#define STEP_BYTES ((size_t) 16 * DISK_RANGE_BYTES)

typedef struct MirrorStore
{
	ObjectStore base;
	ObjectStore *inner;
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

/* What is not there locally: ranges, and which read they are of. */
typedef struct Missing
{
	StoreRange *ranges;
	int		   *reads;
	int			n;
} Missing;

/* Sets *there if the whole range is. */
static SvStatus
read_range(MirrorStore *store, const StoreRange *range, bool *there, const StoreCall *call, SvError *err)
{
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
read_local(MirrorStore *store, const StoreRead *reads, int nreads, Missing *missing, const StoreCall *call,
		   SvError *err)
{
	for (int i = 0; i < nreads; i++)
	{
		for (int j = 0; j < reads[i].nranges; j++)
		{
			const StoreRange *range = reads[i].ranges[j];
			bool		there;
			SvStatus	status = read_range(store, range, &there, call, err);

			if (status != SV_OK)
				return status;
			if (there)
				continue;
			missing->ranges[missing->n] = *range;
			missing->reads[missing->n++] = i;
		}
	}
	return SV_OK;
}

static SvStatus
mirror_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
		   const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	Missing		missing = {0};
	int			n = 0;
	int			at = -1;
	SvStatus	status;

	*failed = -1;
	for (int i = 0; i < nreads; i++)
		n += reads[i].nranges;
	missing.ranges = malloc((size_t) n * sizeof(StoreRange));
	missing.reads = malloc((size_t) n * sizeof(int));
	if (missing.ranges == NULL || missing.reads == NULL)
		status = sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", reads[0].name);
	else
		status = read_local(store, reads, nreads, &missing, call, err);
	if (status == SV_OK && missing.n > 0)
	{
		status = store_get(store->inner, missing.ranges, missing.n, &at, call, err);
		*failed = at >= 0 ? missing.reads[at] : -1;
	}
	free(missing.ranges);
	free(missing.reads);
	return status;
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
	SvStatus	status = store_put_if_absent(store->inner, name, parts, nparts, call, err);
	LocalWrite	local;

	if (status != SV_OK)
		return status;
	begin_local(&local, store, name, call);
	for (int i = 0; i < nparts; i++)
		append_local(&local, parts[i]);
	end_local(&local, true);
	return SV_OK;
}

static SvStatus
mirror_put_if_match(ObjectStore *base, const char *name, SvSlice bytes, const char *etag,
					char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err)
{
	return store_put_if_match(((MirrorStore *) base)->inner, name, bytes, etag, new_etag, call, err);
}

typedef struct MirrorUpload
{
	StoreUpload base;
	StoreUpload *inner;
	LocalWrite	local;
} MirrorUpload;

static SvStatus
mirror_upload_begin(ObjectStore *base, const char *name, StoreUpload **upload,
					const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	MirrorUpload *opened = calloc(1, sizeof(MirrorUpload));
	SvStatus	status;

	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for uploading object \"%s\"", name);
	status = store_upload_begin(store->inner, name, &opened->inner, call, err);
	if (status != SV_OK)
	{
		free(opened);
		return status;
	}
	begin_local(&opened->local, store, name, call);
	*upload = &opened->base;
	return SV_OK;
}

static SvStatus
mirror_upload_append(StoreUpload *base, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	MirrorUpload *upload = (MirrorUpload *) base;
	SvStatus	status = store_upload_append(upload->inner, data, len, call, err);

	if (status == SV_OK)
		append_local(&upload->local, sv_slice(data, len));
	return status;
}

static SvStatus
mirror_upload_finish(StoreUpload *base, const StoreCall *call, SvError *err)
{
	MirrorUpload *upload = (MirrorUpload *) base;
	SvStatus	status = store_upload_finish(upload->inner, call, err);

	end_local(&upload->local, status == SV_OK);
	free(upload);
	return status;
}

static void
mirror_upload_abort(StoreUpload *base, const StoreCall *call)
{
	MirrorUpload *upload = (MirrorUpload *) base;

	store_upload_abort(upload->inner, call);
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

		status = store_get(store->inner, &range, 1, NULL, call, err);
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

static SvStatus
mirror_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content,
				 StoreObject *object, const StoreCall *call, SvError *err)
{
	return store_get_small(((MirrorStore *) base)->inner, name, max_bytes, content, object, call, err);
}

static SvStatus
mirror_head(ObjectStore *base, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	return store_head(((MirrorStore *) base)->inner, name, object, call, err);
}

/* A removal that failed may have happened. */
static SvStatus
mirror_remove(ObjectStore *base, const char *name, const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	SvStatus	status = store_remove(store->inner, name, call, err);

	mirror_files_remove(store->files, object_id(store, name));
	return status;
}

static SvStatus
mirror_remove_many(ObjectStore *base, const char *const *names, int n, int *removed,
				   const StoreCall *call, SvError *err)
{
	MirrorStore *store = (MirrorStore *) base;
	SvStatus	status = store_remove_many(store->inner, names, n, removed, call, err);

	for (int i = 0; i < n; i++)
		mirror_files_remove(store->files, object_id(store, names[i]));
	return status;
}

static SvStatus
mirror_list(ObjectStore *base, const char *prefix, const char *after, StoreListCallback callback,
			void *state, const StoreCall *call, SvError *err)
{
	return store_list(((MirrorStore *) base)->inner, prefix, after, callback, state, call, err);
}

static void
mirror_close(ObjectStore *base)
{
	MirrorStore *store = (MirrorStore *) base;

	store_close(store->inner);
	mirror_files_close(store->files);
	free(store);
}

static const ObjectStoreOps mirror_ops = {
	.put_if_absent = mirror_put_if_absent,
	.put_if_match = mirror_put_if_match,
	.upload_begin = mirror_upload_begin,
	.upload_append = mirror_upload_append,
	.upload_finish = mirror_upload_finish,
	.upload_abort = mirror_upload_abort,
	.get = mirror_get,
	.get_small = mirror_get_small,
	.head = mirror_head,
	.remove = mirror_remove,
	.remove_many = mirror_remove_many,
	.list = mirror_list,
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
	opened->base.ops = &mirror_ops;
	opened->base.capabilities = store_capabilities(inner);
	opened->base.merge_gap = store_merge_gap(inner);
	opened->inner = inner;
	opened->identity = store_identity(options->identity);
	*store = &opened->base;
	return SV_OK;
}

bool
store_is_mirror(const ObjectStore *store)
{
	return store->ops == &mirror_ops;
}
