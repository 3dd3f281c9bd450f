/*
 * fdw_join_route.c
 *		See fdw_join_route.h.
 *
 * A key has one encoding, so values that are equal as bytes are the ones that partitions
 * are bounded by only if their order or hash is that of the type's default operator
 * classes: numeric's 1.0 and 1.00 are one key, and have to be in one partition.
 *
 * Bounds may have changed since the plan was made, by ATTACH PARTITION alone: then those
 * that count are where they were, and what is in the new one is not for this plan.
 */
#include "postgres.h"

#include "fdw/fdw_join_route.h"

#include "access/table.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"

/* A partitioned table. */
typedef struct Level
{
	bool		known;			/* by its bounds */
	PartitionKey key;
	PartitionBoundInfo bounds;
	int			is[PARTITION_MAX_KEYS];
	int			nparts;
	struct Level **levels;		/* of each partition that is partitioned itself */
	int		   *members;		/* of each other, its index; -1: it does not count */
} Level;

struct FdwJoinRoute
{
	EState	   *estate;
	const char *const *names;
	int			nkeys;
	const Oid  *members;
	int			nmembers;
	Level	   *top;
	int		   *found;
	int			nfound;
};

/* ---- whether ---- */

static int
index_of(const char *name, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

static bool
is_default_family(const PartitionKeyData *key, int column)
{
	Oid			am = key->strategy == PARTITION_STRATEGY_HASH ? HASH_AM_OID : BTREE_AM_OID;
	Oid			opclass = GetDefaultOpClass(getBaseType(key->parttypid[column]), am);

	return OidIsValid(opclass) && get_opclass_family(opclass) == key->partopfamily[column];
}

bool
fdw_join_route_is_known(Relation parent, const char *const *names, int nkeys, int *is)
{
	const PartitionKeyData *key = RelationGetPartitionKey(parent);

	for (int i = 0; i < key->partnatts; i++)
	{
		AttrNumber	attno = key->partattrs[i];

		if (attno <= 0 || !is_default_family(key, i))
			return false;
		is[i] = index_of(NameStr(TupleDescAttr(RelationGetDescr(parent), attno - 1)->attname), names, nkeys);
		if (is[i] < 0)
			return false;
	}
	return true;
}

/* ---- levels ---- */

static int
member_of(const FdwJoinRoute *route, Oid relid)
{
	for (int i = 0; i < route->nmembers; i++)
		if (route->members[i] == relid)
			return i;
	return -1;
}

/* The directory keeps its relation, with the bounds, to the end of the execution. */
static Level *
make_level(FdwJoinRoute *route, Relation parent)
{
	EState	   *estate = route->estate;
	Level	   *level = palloc0(sizeof(Level));
	PartitionDesc desc;

	if (estate->es_partition_directory == NULL)
		estate->es_partition_directory = CreatePartitionDirectory(estate->es_query_cxt, false);
	desc = PartitionDirectoryLookup(estate->es_partition_directory, parent);
	level->key = RelationGetPartitionKey(parent);
	level->bounds = desc->boundinfo;
	level->known = fdw_join_route_is_known(parent, route->names, route->nkeys, level->is);
	level->nparts = desc->nparts;
	level->levels = palloc0(sizeof(Level *) * desc->nparts);
	level->members = palloc(sizeof(int) * desc->nparts);
	for (int i = 0; i < desc->nparts; i++)
	{
		Relation	child;

		level->members[i] = -1;
		if (desc->is_leaf[i])
			level->members[i] = member_of(route, desc->oids[i]);
		else
		{
			child = table_open(desc->oids[i], AccessShareLock);
			level->levels[i] = make_level(route, child);
			table_close(child, NoLock);
		}
	}
	return level;
}

FdwJoinRoute *
fdw_join_route_init(EState *estate, Relation parent, const char *const *names, int nkeys, const Oid *members, int n)
{
	FdwJoinRoute *route = palloc0(sizeof(FdwJoinRoute));

	route->estate = estate;
	route->names = names;
	route->nkeys = nkeys;
	route->members = members;
	route->nmembers = n;
	route->found = palloc(sizeof(int) * n);
	route->top = make_level(route, parent);
	return route;
}

/* ---- values ---- */

static int
list_partition(const Level *level, Datum value)
{
	bool		equal;
	int			at = partition_list_bsearch(level->key->partsupfunc, level->key->partcollation, level->bounds,
											value, &equal);

	return at >= 0 && equal ? level->bounds->indexes[at] : -1;
}

static int
range_partition(const Level *level, Datum *values)
{
	bool		equal;
	int			at = partition_range_datum_bsearch(level->key->partsupfunc, level->key->partcollation, level->bounds,
												   level->key->partnatts, values, &equal);

	return level->bounds->indexes[at + 1];
}

static int
hash_partition(const Level *level, Datum *values)
{
	bool		isnull[PARTITION_MAX_KEYS] = {false};
	uint64		hash = compute_partition_hash_value(level->key->partnatts, level->key->partsupfunc,
													level->key->partcollation, values, isnull);

	return level->bounds->indexes[hash % level->bounds->nindexes];
}

/* The partition for the key's values; -1: there is none. */
static int
partition_of(const Level *level, const Datum *values)
{
	Datum		own[PARTITION_MAX_KEYS];
	int			found;

	for (int i = 0; i < level->key->partnatts; i++)
		own[i] = values[level->is[i]];
	switch (level->key->strategy)
	{
		case PARTITION_STRATEGY_HASH:
			return hash_partition(level, own);
		case PARTITION_STRATEGY_LIST:
			found = list_partition(level, own[0]);
			break;
		default:
			found = range_partition(level, own);
			break;
	}
	return found >= 0 ? found : level->bounds->default_index;
}

static void
find(FdwJoinRoute *route, const Level *level, const Datum *values)
{
	int			first = 0;
	int			end = level->nparts;

	if (level->nparts == 0)
		return;
	if (level->known)
	{
		first = partition_of(level, values);
		end = first + 1;
	}
	for (int i = Max(first, 0); i < end; i++)
	{
		if (level->levels[i] != NULL)
			find(route, level->levels[i], values);
		else if (level->members[i] >= 0)
			route->found[route->nfound++] = level->members[i];
	}
}

const int *
fdw_join_route_find(FdwJoinRoute *route, const Datum *values, int *n)
{
	route->nfound = 0;
	find(route, route->top, values);
	*n = route->nfound;
	return route->found;
}
