/*
 * load_request.c
 *		See load_request.h.
 */
#include "postgres.h"

#include "forest/load_request.h"

static LoadRequest *newest = NULL;

void
load_request_push(LoadRequest *request)
{
	request->taken = false;
	request->outer = newest;
	newest = request;
}

void
load_request_pop(LoadRequest *request)
{
	newest = request->outer;
}

const LoadRequest *
load_request_take(Oid relid)
{
	if (newest == NULL || newest->taken || newest->relid != relid)
		return NULL;
	newest->taken = true;
	return newest;
}
