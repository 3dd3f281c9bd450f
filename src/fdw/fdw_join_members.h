/*
 * fdw_join_members.h
 *		Planning batched joins: the foreign tables that the inner side consists of.
 *
 * It is one of ours, or a partitioned table all of whose partitions that count are, with
 * the same columns as their keys.
 */
#ifndef FDW_JOIN_MEMBERS_H
#define FDW_JOIN_MEMBERS_H

#include "postgres.h"

#include "fdw/fdw_quals.h"
#include "nodes/pathnodes.h"

typedef struct FdwJoinMembers
{
	List	   *rels;			/* the tables' RelOptInfos */
	int			nkeys;
	const FdwKeyColumn *columns;	/* the key's, as columns of the inner side */
	double		lookups;		/* tables that a key is looked up in, on average */
	double		tuples;
} FdwJoinMembers;

/* False: it is something else. */
extern bool fdw_join_members(PlannerInfo *root, RelOptInfo *inner, FdwJoinMembers *members);

/* Where they are in the range table, as FDW_JOIN_TABLES says it. */
extern List *fdw_join_members_places(const FdwJoinMembers *members, const RelOptInfo *inner);

#endif							/* FDW_JOIN_MEMBERS_H */
