/*
 * object_store.c
 *		Checks what callers ask for, then hands it to the driver; store_fetch.c has
 *		the rest of it.
 */
#include "store/object_store.h"

#include <string.h>

#include "store/store_driver.h"
#include "store/store_fetch.h"
#include "store/store_merge.h"

static bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '.' || c == '_' || c == '-';
}

bool
store_part_is_valid(const char *part, size_t len)
{
	if (len == 0 || len > STORE_MAX_PART_BYTES)
		return false;
	if (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.')))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (!name_char(part[i]))
			return false;
	}
	return true;
}

static SvStatus
check_name(const char *name, SvError *err)
{
	const char *part = name;

	if (strlen(name) > STORE_MAX_NAME_BYTES)
		return sv_fail(err, SV_INVALID, "object name is longer than %d bytes: \"%.64s...\"",
					   STORE_MAX_NAME_BYTES, name);
	for (;;)
	{
		size_t		len = strcspn(part, "/");

		if (!store_part_is_valid(part, len))
			return sv_fail(err, SV_INVALID, "invalid object name \"%s\"", name);
		if (part[len] == '\0')
			return SV_OK;
		part += len + 1;
	}
}

/* A prefix is the beginning of a name: its last part may be empty or unfinished. */
static SvStatus
check_prefix(const char *prefix, SvError *err)
{
	const char *part = prefix;

	if (strlen(prefix) > STORE_MAX_NAME_BYTES)
		return sv_fail(err, SV_INVALID, "object name prefix is longer than %d bytes: \"%.64s...\"",
					   STORE_MAX_NAME_BYTES, prefix);
	for (;;)
	{
		size_t		len = strcspn(part, "/");
		bool		is_last = part[len] == '\0';
		bool		unfinished = is_last && strspn(part, ".") == len && len <= 2;

		if (!unfinished && !store_part_is_valid(part, len))
			return sv_fail(err, SV_INVALID, "invalid object name prefix \"%s\"", prefix);
		if (is_last)
			return SV_OK;
		part += len + 1;
	}
}

SvStatus
store_begin_operation(StoreOperation operation, const char *name, const StoreCall *call, SvError *err)
{
	if (call != NULL && call->begin != NULL)
		call->begin(call->state, operation);
	return store_check_cancel(call, name, err);
}

/* The same on one object. */
static SvStatus
begin_call(StoreOperation operation, const char *name, const StoreCall *call, SvError *err)
{
	SvStatus	status = check_name(name, err);

	return status != SV_OK ? status : store_begin_operation(operation, name, call, err);
}

unsigned
store_capabilities(const ObjectStore *store)
{
	return store->capabilities;
}

size_t
store_merge_gap(const ObjectStore *store)
{
	return store->merge_gap;
}

/* -------------------------------------------------------------------------
 * Putting
 * ------------------------------------------------------------------------- */

SvStatus
store_put_if_absent(ObjectStore *store, const char *name, const SvSlice *parts, int nparts,
					const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(STORE_PUT, name, call, err);

	if (status != SV_OK)
		return status;
	if (nparts < 0)
		return sv_fail(err, SV_INVALID, "object \"%s\" cannot have %d parts", name, nparts);
	return store->ops->put_if_absent(store, name, parts, nparts, call, err);
}

SvStatus
store_put_if_match(ObjectStore *store, const char *name, SvSlice bytes, const char *etag,
				   char new_etag[STORE_ETAG_BYTES], const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(STORE_PUT, name, call, err);
	char		unwanted[STORE_ETAG_BYTES];

	if (status != SV_OK)
		return status;
	if (strlen(etag) >= STORE_ETAG_BYTES)
		return sv_fail(err, SV_INVALID, "etag of object \"%s\" is too long", name);
	if ((store->capabilities & STORE_CAN_PUT_IF_MATCH) == 0)
	{
		status = sv_fail(err, SV_UNSUPPORTED, "the store cannot replace object \"%s\" conditionally", name);
		sv_set_hint(err, "Use a store that knows conditional writes (If-Match).");
		return status;
	}
	return store->ops->put_if_match(store, name, bytes, etag, new_etag != NULL ? new_etag : unwanted,
									call, err);
}

SvStatus
store_upload_begin(ObjectStore *store, const char *name, StoreUpload **upload,
				   const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(STORE_PUT, name, call, err);

	*upload = NULL;
	if (status == SV_OK)
		status = store->ops->upload_begin(store, name, upload, call, err);
	if (status != SV_OK)
		return status;
	(*upload)->store = store;
	(*upload)->status = SV_OK;
	memcpy((*upload)->name, name, strlen(name) + 1);
	return SV_OK;
}

static SvStatus
check_upload(const StoreUpload *upload, SvError *err)
{
	if (upload->status == SV_OK)
		return SV_OK;
	return sv_fail(err, upload->status, "upload of object \"%s\" has failed before", upload->name);
}

SvStatus
store_upload_append(StoreUpload *upload, const void *data, size_t len, const StoreCall *call, SvError *err)
{
	SvStatus	status = check_upload(upload, err);

	if (status != SV_OK || len == 0)
		return status;
	status = store_begin_operation(STORE_PUT, upload->name, call, err);
	if (status == SV_OK)
		status = upload->store->ops->upload_append(upload, data, len, call, err);
	upload->status = status;
	return status;
}

SvStatus
store_upload_finish(StoreUpload *upload, const StoreCall *call, SvError *err)
{
	SvStatus	status = check_upload(upload, err);

	if (status == SV_OK)
		status = store_begin_operation(STORE_PUT, upload->name, call, err);
	if (status == SV_OK)
		return upload->store->ops->upload_finish(upload, call, err);
	store_upload_abort(upload, call);
	return status;
}

void
store_upload_abort(StoreUpload *upload, const StoreCall *call)
{
	upload->store->ops->upload_abort(upload, call);
}

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

SvStatus
store_check_range(const StoreRange *range, const char *known_name, SvError *err)
{
	SvStatus	status = range->name == known_name ? SV_OK : check_name(range->name, err);

	if (status != SV_OK)
		return status;
	if (range->offset > INT64_MAX || range->len > INT64_MAX - range->offset)
		return sv_fail(err, SV_INVALID, "range of %zu bytes at offset %llu of object \"%s\" is too large",
					   range->len, (unsigned long long) range->offset, range->name);
	return SV_OK;
}

/* Ranges of no bytes ask nothing: *wanted is how many others there are. */
SvStatus
store_check_ranges(const StoreRange *ranges, int nranges, int *wanted, int *failed, SvError *err)
{
	*wanted = 0;
	if (nranges < 0)
		return sv_fail(err, SV_INVALID, "cannot read %d ranges", nranges);
	for (int i = 0; i < nranges; i++)
	{
		SvStatus	status = store_check_range(&ranges[i], i > 0 ? ranges[i - 1].name : NULL, err);

		if (status != SV_OK)
		{
			*failed = i;
			return status;
		}
		*wanted += ranges[i].len > 0;
	}
	return SV_OK;
}

SvStatus
store_get(ObjectStore *store, const StoreRange *ranges, int nranges, int *failed,
		  const StoreCall *call, SvError *err)
{
	int			unwanted;
	int			wanted;
	SvStatus	status;

	if (failed == NULL)
		failed = &unwanted;
	*failed = -1;
	status = store_check_ranges(ranges, nranges, &wanted, failed, err);
	if (status != SV_OK || wanted == 0)
		return status;
	status = store_begin_operation(STORE_GET, ranges[0].name, call, err);
	return status != SV_OK ? status : store_merge_get(store, ranges, nranges, wanted, failed, call, err);
}

SvStatus
store_head(ObjectStore *store, const char *name, StoreObject *object, const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(STORE_HEAD, name, call, err);

	return status != SV_OK ? status : store->ops->head(store, name, object, call, err);
}

SvStatus
store_get_small(ObjectStore *store, const char *name, size_t max_bytes, SvBuffer *content,
				StoreObject *object, const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(STORE_GET, name, call, err);
	size_t		before = content->len;
	StoreObject unwanted;

	if (status != SV_OK)
		return status;
	status = store->ops->get_small(store, name, max_bytes, content, object != NULL ? object : &unwanted,
								   call, err);
	if (status != SV_OK)
		content->len = before;
	return status;
}

/* -------------------------------------------------------------------------
 * Removing, listing
 * ------------------------------------------------------------------------- */

SvStatus
store_remove(ObjectStore *store, const char *name, const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(STORE_REMOVE, name, call, err);

	return status != SV_OK ? status : store->ops->remove(store, name, call, err);
}

SvStatus
store_remove_many(ObjectStore *store, const char *const *names, int n, int *removed,
				  const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;
	int			unwanted;

	if (removed == NULL)
		removed = &unwanted;
	*removed = 0;
	for (int i = 0; i < n && status == SV_OK; i++)
		status = check_name(names[i], err);
	if (status != SV_OK || n <= 0)
		return status;
	status = store_begin_operation(STORE_REMOVE, names[0], call, err);
	if (status == SV_OK && store->ops->remove_many != NULL)
		return store->ops->remove_many(store, names, n, removed, call, err);
	while (status == SV_OK && *removed < n)
	{
		status = store_remove(store, names[*removed], call, err);
		*removed += status == SV_OK;
	}
	return status;
}

SvStatus
store_list(ObjectStore *store, const char *prefix, const char *after, StoreListCallback callback,
		   void *state, const StoreCall *call, SvError *err)
{
	SvStatus	status = check_prefix(prefix, err);

	if (status == SV_OK && after != NULL)
		status = check_prefix(after, err);
	if (status == SV_OK)
		status = store_begin_operation(STORE_LIST, prefix, call, err);
	if (status != SV_OK)
		return status;
	return store->ops->list(store, prefix, after != NULL ? after : "", callback, state, call, err);
}

SvStatus
store_sweep(ObjectStore *store, const char *prefix, int min_age_s, int *left, const StoreCall *call, SvError *err)
{
	SvStatus	status = check_prefix(prefix, err);

	*left = 0;
	if (status != SV_OK || store->ops->sweep == NULL)
		return status;
	status = store_begin_operation(STORE_LIST, prefix, call, err);
	return status != SV_OK ? status : store->ops->sweep(store, prefix, min_age_s, left, call, err);
}

void
store_close(ObjectStore *store)
{
	if (store == NULL)
		return;
	store_fetch_close(store);
	store->ops->close(store);
}
