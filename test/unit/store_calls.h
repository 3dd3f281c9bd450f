/*
 * store_calls.h
 *		Calls of an object store as tests like to write them.
 */
#ifndef STORE_CALLS_H
#define STORE_CALLS_H

#include <stdio.h>
#include <string.h>

#include "store/object_store.h"

static inline SvStatus
put_text(ObjectStore *store, const char *name, const char *content, SvError *err)
{
	SvSlice		part = sv_slice(content, strlen(content));

	return store_put_if_absent(store, name, &part, 1, NULL, err);
}

static inline bool
holds(ObjectStore *store, const char *name, const char *content)
{
	char		buf[256];
	StoreRange	range = {name, 0, strlen(content), buf};
	StoreObject object;
	SvError		err;

	return store_head(store, name, &object, NULL, &err) == SV_OK && object.bytes == strlen(content) &&
		store_get(store, &range, 1, NULL, NULL, &err) == SV_OK &&
		memcmp(buf, content, strlen(content)) == 0;
}

static inline bool
count_one(void *state, const StoreListed *object)
{
	(void) object;
	++*(int *) state;
	return true;
}

/* How many objects the store has, or -1. */
static inline int
listed(ObjectStore *store)
{
	int			count = 0;
	SvError		err;

	return store_list(store, "", NULL, count_one, &count, NULL, &err) == SV_OK ? count : -1;
}

/* A StoreCall callback that says stop when it has been asked so often. */
static inline bool
cancel_after(void *state)
{
	int		   *left = state;

	return (*left)-- <= 0;
}

#endif							/* STORE_CALLS_H */
