/*
 * object_store.c
 *		Checks what callers ask for, then hands it to the driver.
 */
#include "store/object_store.h"

#include <string.h>

#include "store/store_driver.h"

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
store_check_cancel(const StoreCall *call, const char *name, SvError *err)
{
	if (call == NULL || call->cancelled == NULL || !call->cancelled(call->state))
		return SV_OK;
	return sv_fail(err, SV_CANCELLED, "request to the object store for \"%s\" was cancelled", name);
}

/* What every operation on one object begins with. */
static SvStatus
begin_call(const char *name, const StoreCall *call, SvError *err)
{
	SvStatus	status = check_name(name, err);

	return status != SV_OK ? status : store_check_cancel(call, name, err);
}

SvStatus
store_put_if_absent(ObjectStore *store, const char *name, const SvSlice *parts, int nparts,
					const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(name, call, err);

	if (status != SV_OK)
		return status;
	if (nparts < 0)
		return sv_fail(err, SV_INVALID, "object \"%s\" cannot have %d parts", name, nparts);
	return store->ops->put_if_absent(store, name, parts, nparts, call, err);
}

SvStatus
store_get(ObjectStore *store, const char *name, const StoreRange *ranges, int nranges,
		  const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(name, call, err);
	bool		any_bytes = false;

	if (status != SV_OK)
		return status;
	if (nranges < 0)
		return sv_fail(err, SV_INVALID, "cannot read %d ranges of object \"%s\"", nranges, name);
	for (int i = 0; i < nranges; i++)
	{
		if (ranges[i].offset > INT64_MAX || ranges[i].len > INT64_MAX - ranges[i].offset)
			return sv_fail(err, SV_INVALID, "range of %zu bytes at offset %llu of object \"%s\" is too large",
						   ranges[i].len, (unsigned long long) ranges[i].offset, name);
		if (ranges[i].len > 0)
			any_bytes = true;
	}
	return any_bytes ? store->ops->get(store, name, ranges, nranges, call, err) : SV_OK;
}

SvStatus
store_head(ObjectStore *store, const char *name, uint64_t *bytes,
		   const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(name, call, err);

	return status != SV_OK ? status : store->ops->head(store, name, bytes, call, err);
}

SvStatus
store_remove(ObjectStore *store, const char *name, const StoreCall *call, SvError *err)
{
	SvStatus	status = begin_call(name, call, err);

	return status != SV_OK ? status : store->ops->remove(store, name, call, err);
}

SvStatus
store_list(ObjectStore *store, const char *prefix, StoreListCallback callback, void *state,
		   const StoreCall *call, SvError *err)
{
	SvStatus	status = check_prefix(prefix, err);

	if (status == SV_OK)
		status = store_check_cancel(call, prefix, err);
	return status != SV_OK ? status : store->ops->list(store, prefix, callback, state, call, err);
}

void
store_close(ObjectStore *store)
{
	if (store != NULL)
		store->ops->close(store);
}
