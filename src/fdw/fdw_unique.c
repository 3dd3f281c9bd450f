/*
 * fdw_unique.c
 *		See fdw_unique.h.
 */
#include "postgres.h"

#include "fdw/fdw_unique.h"

#include "catalog/pg_class.h"
#include "fdw/fdw_join_members.h"
#include "fdw/fdw_plan.h"
#include "utils/selfuncs.h"

static get_relation_stats_hook_type previous_hook = NULL;

static bool
is_whole_key(const RelOptInfo *rel, AttrNumber attno)
{
	const FdwKeyColumn *columns;
	int			nkeys;

	/* Partitions too: their rows are asked for by themselves. */
	if (rel == NULL || rel->fdwroutine == NULL || rel->fdwroutine->GetForeignRelSize != fdw_plan_rel_size ||
		rel->fdw_private == NULL)
		return false;
	columns = fdw_plan_key_columns(rel, &nkeys);
	return nkeys == 1 && columns[0].attno == attno;
}

static RelOptInfo *
rel_of(PlannerInfo *root, const RangeTblEntry *rte)
{
	for (int i = 1; i < root->simple_rel_array_size; i++)
		if (root->simple_rte_array[i] == rte)
			return root->simple_rel_array[i];
	return NULL;
}

/* The same of a partitioned table, if a key says which partition its row is in. */
static bool
is_whole_key_of_partitions(PlannerInfo *root, const RangeTblEntry *rte, AttrNumber attno)
{
	RelOptInfo *rel = rel_of(root, rte);
	FdwJoinMembers members;

	return rel != NULL && fdw_join_members(root, rel, &members) && members.nkeys == 1 &&
		members.columns[0].attno == attno && members.lookups <= 1;
}

/*
 * Statistics are looked for as ever: this adds to them.  Of an index on a table
 * core asks with a vardata that nobody has filled in (brincostestimate), so
 * nothing of it is read before the relation is known to be a foreign table.
 */
static bool
note_unique(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attno, VariableStatData *vardata)
{
	if (rte->relkind == RELKIND_FOREIGN_TABLE && !rte->inh && is_whole_key(vardata->rel, attno))
		vardata->isunique = true;
	else if (rte->relkind == RELKIND_PARTITIONED_TABLE && rte->inh && is_whole_key_of_partitions(root, rte, attno))
		vardata->isunique = true;
	return previous_hook != NULL && previous_hook(root, rte, attno, vardata);
}

void
fdw_unique_install(void)
{
	previous_hook = get_relation_stats_hook;
	get_relation_stats_hook = note_unique;
}
