/*
 * forest_snapshot.c
 *		Which forest does a Postgres snapshot see?
 */
#include "postgres.h"

#include "forest/forest_snapshot.h"

#include "forest/forest_catalog.h"
#include "forest/forest_changelog.h"
#include "forest/forest_registry.h"
#include "lib/ilist.h"
#include "utils/memutils.h"

/* Forests kept although nobody uses them: the newest, and what an older snapshot may still ask for. */
#define CACHED_FORESTS 4

typedef struct CachedForest
{
	dlist_node	node;			/* in cached_forests, most recently used first */
	MemoryContext context;		/* holds this struct and the forest */
	const LsmForest *forest;
	Oid			registry;		/* relation oid of skyvault.run: another one after DROP and CREATE EXTENSION */
	int32		vault_id;
	int64		changelog_id;
	int			pins;			/* contexts that use it */
} CachedForest;

static dlist_head cached_forests = DLIST_STATIC_INIT(cached_forests);
static int	cached_count = 0;

static void
unpin(void *arg)
{
	CachedForest *cached = arg;

	cached->pins--;
}

/* The callback runs when the context that uses the forest is reset, at an error as well. */
static void
pin(CachedForest *cached)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = unpin;
	callback->arg = cached;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	cached->pins++;
}

static CachedForest *
find_cached(int32 vault_id, int64 changelog_id, Oid registry)
{
	dlist_iter	iter;

	dlist_foreach(iter, &cached_forests)
	{
		CachedForest *cached = dlist_container(CachedForest, node, iter.cur);

		if (cached->vault_id == vault_id && cached->changelog_id == changelog_id &&
			cached->registry == registry)
			return cached;
	}
	return NULL;
}

static void
evict(void)
{
	dlist_node *node = dlist_is_empty(&cached_forests) ? NULL : dlist_tail_node(&cached_forests);

	while (cached_count > CACHED_FORESTS && node != NULL)
	{
		CachedForest *cached = dlist_container(CachedForest, node, node);
		dlist_node *previous = dlist_has_prev(&cached_forests, node) ?
			dlist_prev_node(&cached_forests, node) : NULL;

		if (cached->pins == 0)
		{
			dlist_delete(&cached->node);
			cached_count--;
			MemoryContextDelete(cached->context);
		}
		node = previous;
	}
}

static CachedForest *
build_cached(int32 vault_id, int64 changelog_id, Oid registry, Snapshot snapshot)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault forest",
												  ALLOCSET_DEFAULT_SIZES);
	CachedForest *cached = MemoryContextAllocZero(context, sizeof(CachedForest));

	cached->context = context;
	cached->registry = registry;
	cached->vault_id = vault_id;
	cached->changelog_id = changelog_id;
	cached->forest = registry_read_forest(vault_id, snapshot, context);

	/* Complete: nothing that fails can leak it any more. */
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_head(&cached_forests, &cached->node);
	cached_count++;
	return cached;
}

const LsmForest *
forest_of_snapshot(int32 vault_id, Snapshot snapshot)
{
	ChangelogTip tip = changelog_tip(vault_id, snapshot);
	Oid			registry = catalog_oid(CATALOG_RUN);
	CachedForest *cached;

	if (tip.has_unnumbered)
		return registry_read_forest(vault_id, snapshot, CurrentMemoryContext);

	cached = find_cached(vault_id, tip.newest_id, registry);
	if (cached == NULL)
		cached = build_cached(vault_id, tip.newest_id, registry, snapshot);
	else
		dlist_move_head(&cached_forests, &cached->node);
	pin(cached);
	evict();
	return cached->forest;
}
