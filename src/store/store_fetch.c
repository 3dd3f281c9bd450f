/*
 * store_fetch.c
 *		Fetches that their caller does not wait for: the part that all drivers share.
 *
 * A store knows its fetches, so that closing it ends them: they stay their
 * callers', without a store.
 */
#include "store/store_fetch.h"

#include <stdlib.h>

static void
link_fetch(StoreFetch *fetch, ObjectStore *store, const StoreRange *range, const StoreCall *call)
{
	fetch->store = store;
	fetch->range = *range;
	fetch->call = call != NULL ? *call : (StoreCall) {0};
	fetch->previous = NULL;
	fetch->next = store->fetches;
	if (store->fetches != NULL)
		store->fetches->previous = fetch;
	store->fetches = fetch;
}

static void
unlink_fetch(StoreFetch *fetch)
{
	if (fetch->next != NULL)
		fetch->next->previous = fetch->previous;
	if (fetch->previous != NULL)
		fetch->previous->next = fetch->next;
	else
		fetch->store->fetches = fetch->next;
	fetch->store = NULL;
}

SvStatus
store_fetch_begin(ObjectStore *store, const StoreRange *range, StoreFetch **fetch, const StoreCall *call,
				  SvError *err)
{
	SvStatus	status;

	*fetch = NULL;
	if (store->ops->fetch_begin == NULL || range->len == 0)
		return SV_OK;
	status = store_check_range(range, NULL, err);
	if (status == SV_OK)
		status = store_begin_operation(STORE_GET, range->name, call, err);
	if (status == SV_OK)
		status = store->ops->fetch_begin(store, range, fetch, call, err);
	if (status == SV_OK && *fetch != NULL)
		link_fetch(*fetch, store, range, call);
	return status;
}

void
store_fetch_drive(StoreFetch *fetch)
{
	if (fetch->store != NULL && fetch->store->ops->fetch_drive != NULL)
		fetch->store->ops->fetch_drive(fetch);
}

SvStatus
store_fetch_finish(StoreFetch *fetch, const StoreCall *call, SvError *err)
{
	ObjectStore *store = fetch->store;
	SvStatus	status;

	if (store == NULL)
	{
		status = sv_fail(err, SV_IO, "the store was closed while object \"%s\" was read", fetch->range.name);
		free(fetch);
		return status;
	}
	status = store_begin_operation(STORE_GET, fetch->range.name, call, err);
	if (status == SV_OK)
		status = store->ops->fetch_finish(fetch, call, err);
	store_fetch_drop(fetch);
	return status;
}

void
store_fetch_drop(StoreFetch *fetch)
{
	if (fetch == NULL)
		return;
	if (fetch->store != NULL)
	{
		fetch->store->ops->fetch_end(fetch);
		unlink_fetch(fetch);
	}
	free(fetch);
}

void
store_fetch_close(ObjectStore *store)
{
	while (store->fetches != NULL)
	{
		StoreFetch *fetch = store->fetches;

		store->ops->fetch_end(fetch);
		unlink_fetch(fetch);
	}
}
