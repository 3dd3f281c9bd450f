/*
 * store_front.c
 *		See store_front.h.
 */
#include "store/store_front.h"

#include <stdlib.h>

StoreFront
store_front(ObjectStore *inner, const ObjectStoreOps *ops)
{
	unsigned	lacks = ops->fetch_begin == NULL ? STORE_CAN_FETCH_AHEAD : 0;

	return (StoreFront) {
		.base = {
			.ops = ops,.capabilities = store_capabilities(inner) & ~lacks,.merge_gap = store_merge_gap(inner)
		},
		.inner = inner
	};
}

static ObjectStore *
inner_of(ObjectStore *base)
{
	return ((StoreFront *) base)->inner;
}

SvStatus
store_front_put_if_match(ObjectStore *base, const char *name, SvSlice bytes, const char *etag,
						 char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err)
{
	return store_put_if_match(inner_of(base), name, bytes, etag, new_etag, call, err);
}

SvStatus
store_front_get_small(ObjectStore *base, const char *name, size_t max_bytes, SvBuffer *content,
					  StoreObject *object, const StoreCall *call, SvError *err)
{
	return store_get_small(inner_of(base), name, max_bytes, content, object, call, err);
}

SvStatus
store_front_head(ObjectStore *base, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	return store_head(inner_of(base), name, object, call, err);
}

SvStatus
store_front_list(ObjectStore *base, const char *prefix, const char *after, StoreListCallback callback,
				 void *state, const StoreCall *call, SvError *err)
{
	return store_list(inner_of(base), prefix, after, callback, state, call, err);
}

SvStatus
store_front_sweep(ObjectStore *base, const char *prefix, int min_age_s, int *left,
				  const StoreCall *call, SvError *err)
{
	return store_sweep(inner_of(base), prefix, min_age_s, left, call, err);
}

SvStatus
store_front_upload_begin(ObjectStore *base, const char *name, size_t struct_bytes, StoreFrontUpload **upload,
						 const StoreCall *call, SvError *err)
{
	StoreFrontUpload *begun = calloc(1, struct_bytes);
	SvStatus	status;

	if (begun == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for uploading object \"%s\"", name);
	status = store_upload_begin(inner_of(base), name, &begun->inner, call, err);
	if (status == SV_OK)
		*upload = begun;
	else
		free(begun);
	return status;
}

/* What is not at hand: ranges, and which read they are of. */
typedef struct Missing
{
	StoreRange *ranges;
	int		   *reads;
	int			n;
} Missing;

static SvStatus
read_what_is_there(ObjectStore *base, StoreFrontReader reader, const StoreRead *reads, int nreads,
				   Missing *missing, const StoreCall *call, SvError *err)
{
	for (int i = 0; i < nreads; i++)
	{
		for (int j = 0; j < reads[i].nranges; j++)
		{
			const StoreRange *range = reads[i].ranges[j];
			bool		there = false;
			SvStatus	status = reader(base, range, &there, call, err);

			if (status != SV_OK)
				return status;
			if (!there)
			{
				missing->ranges[missing->n] = *range;
				missing->reads[missing->n++] = i;
			}
			else if (range->there != NULL)
				*range->there = true;
		}
	}
	return SV_OK;
}

SvStatus
store_front_get(ObjectStore *base, StoreFrontReader reader, const StoreRead *reads, int nreads, int *failed,
				const StoreCall *call, SvError *err)
{
	Missing		missing = {0};
	size_t		n = 0;
	int			at = -1;
	SvStatus	status;

	*failed = -1;
	for (int i = 0; i < nreads; i++)
		n += (size_t) reads[i].nranges;
	missing.ranges = malloc(n * sizeof(StoreRange));
	missing.reads = malloc(n * sizeof(int));
	if (missing.ranges == NULL || missing.reads == NULL)
		status = sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", reads[0].name);
	else
		status = read_what_is_there(base, reader, reads, nreads, &missing, call, err);
	if (status == SV_OK && missing.n > 0)
	{
		status = store_get(inner_of(base), missing.ranges, missing.n, &at, call, err);
		*failed = at >= 0 ? missing.reads[at] : -1;
	}
	free(missing.ranges);
	free(missing.reads);
	return status;
}
