/*
 * fdw_join_members.c
 *		See fdw_join_members.h.
 */
#include "postgres.h"

#include "fdw/fdw_join_members.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "fdw/fdw_join_route.h"
#include "fdw/fdw_plan.h"
#include "foreign/fdwapi.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* One foreign table of ours, whose size has been estimated; nothing else is read of a relation before this is known. */
static bool
is_ours(const RelOptInfo *rel)
{
	return rel->rtekind == RTE_RELATION && rel->fdwroutine != NULL &&
		rel->fdwroutine->GetForeignRelSize == fdw_plan_rel_size && rel->fdw_private != NULL;
}

static bool
is_partitioned(const RelOptInfo *rel, const RangeTblEntry *rte)
{
	return rel->rtekind == RTE_RELATION && rte->relkind == RELKIND_PARTITIONED_TABLE && rte->inh &&
		rel->nparts > 0 && rel->part_rels != NULL;
}

/* What the column of a partition is in the table on top; 0: it is not there. */
static AttrNumber
attno_in(const PlannerInfo *root, const RelOptInfo *rel, const RelOptInfo *top, AttrNumber attno)
{
	Index		relid = rel->relid;

	while (relid != top->relid)
	{
		const AppendRelInfo *info = root->append_rel_array[relid];

		if (info == NULL || attno <= 0 || attno > info->num_child_cols)
			return 0;
		attno = info->parent_colnos[attno - 1];
		relid = info->parent_relid;
	}
	return attno;
}

/* Adds the table, whose key has to be that of those before it. */
static bool
add_table(const PlannerInfo *root, RelOptInfo *rel, const RelOptInfo *top, FdwJoinMembers *members)
{
	int			nkeys;
	const FdwKeyColumn *own = fdw_plan_key_columns(rel, &nkeys);
	FdwKeyColumn *columns = palloc(sizeof(FdwKeyColumn) * nkeys);

	for (int i = 0; i < nkeys; i++)
	{
		columns[i] = own[i];
		columns[i].attno = attno_in(root, rel, top, own[i].attno);
		if (columns[i].attno <= 0 || (members->rels != NIL &&
									  (nkeys != members->nkeys || columns[i].attno != members->columns[i].attno)))
			return false;
	}
	members->nkeys = nkeys;
	members->columns = columns;
	members->rels = lappend(members->rels, rel);
	members->tuples += rel->tuples;
	return true;
}

/* Whether a row's key says which partition it is in. */
static bool
is_routed(Oid relid, const FdwJoinMembers *members, Oid top)
{
	Relation	relation = table_open(relid, NoLock);
	const char **names = palloc(sizeof(char *) * members->nkeys);
	int			is[PARTITION_MAX_KEYS];
	bool		known;

	for (int i = 0; i < members->nkeys; i++)
		names[i] = get_attname(top, members->columns[i].attno, false);
	known = fdw_join_route_is_known(relation, names, members->nkeys, is);
	table_close(relation, NoLock);
	return known;
}

/* Adds all tables of the relation; *lookups: in how many of them a key is looked up. */
static bool
add_tables(PlannerInfo *root, RelOptInfo *rel, const RelOptInfo *top, FdwJoinMembers *members, double *lookups)
{
	const RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	int			nparts = 0;
	int			i = -1;

	*lookups = 1;
	if (is_ours(rel))
		return !rte->inh && add_table(root, rel, top, members);
	if (!is_partitioned(rel, rte))
		return false;
	*lookups = 0;
	while ((i = bms_next_member(rel->live_parts, i)) >= 0)
	{
		RelOptInfo *part = rel->part_rels[i];
		double		of_part;

		if (part == NULL || IS_DUMMY_REL(part))
			continue;
		if (!add_tables(root, part, top, members, &of_part))
			return false;
		*lookups += of_part;
		nparts++;
	}
	if (nparts > 1 && is_routed(rte->relid, members, planner_rt_fetch(top->relid, root)->relid))
		*lookups /= nparts;
	return true;
}

bool
fdw_join_members(PlannerInfo *root, RelOptInfo *inner, FdwJoinMembers *members)
{
	memset(members, 0, sizeof(FdwJoinMembers));
	if (inner->reloptkind != RELOPT_BASEREL || inner->rtekind != RTE_RELATION || IS_DUMMY_REL(inner) ||
		!bms_is_empty(inner->lateral_relids) || planner_rt_fetch(inner->relid, root)->tablesample != NULL)
		return false;
	return add_tables(root, inner, inner, members, &members->lookups) && members->rels != NIL;
}

List *
fdw_join_members_places(const FdwJoinMembers *members, const RelOptInfo *inner)
{
	List	   *places = NIL;
	ListCell   *cell;

	foreach(cell, members->rels)
		places = lappend_int(places, (int) ((RelOptInfo *) lfirst(cell))->relid - (int) inner->relid);
	return places;
}
