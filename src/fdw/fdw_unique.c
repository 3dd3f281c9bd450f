/*
 * fdw_unique.c
 *		See fdw_unique.h.
 */
#include "postgres.h"

#include "fdw/fdw_unique.h"

#include "catalog/pg_class.h"
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
	return previous_hook != NULL && previous_hook(root, rte, attno, vardata);
}

void
fdw_unique_install(void)
{
	previous_hook = get_relation_stats_hook;
	get_relation_stats_hook = note_unique;
}
