/*
 * fdw_join_route.h
 *		Which partitions of a joined table may have the row of a key.
 *
 * Where the columns that a table is partitioned by are among those of the key, the
 * bounds say it, on each level of partitions; on a level where they are not, all may.
 */
#ifndef FDW_JOIN_ROUTE_H
#define FDW_JOIN_ROUTE_H

#include "postgres.h"

#include "nodes/execnodes.h"
#include "utils/rel.h"

typedef struct FdwJoinRoute FdwJoinRoute;

/*
 * Whether the bounds of the table's partitions say where the row of a key is.  names[] are
 * those of the key columns, as is[i], which has room for PARTITION_MAX_KEYS, the index of
 * partition column i among them.
 */
extern bool fdw_join_route_is_known(Relation parent, const char *const *names, int nkeys, int *is);

/* Of the partitions members[], n of them, all of the parent's that count.  Lives as long as the estate. */
extern FdwJoinRoute *fdw_join_route_init(EState *estate, Relation parent, const char *const *names, int nkeys,
										 const Oid *members, int n);

/* Where the row of a key with these values may be, by the members' index; *n: how many.  Good until the next call. */
extern const int *fdw_join_route_find(FdwJoinRoute *route, const Datum *values, int *n);

#endif							/* FDW_JOIN_ROUTE_H */
