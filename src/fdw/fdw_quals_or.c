/*
 * fdw_quals_or.c
 *		See fdw_quals_or.h.
 *
 * (k = 1 OR k > 5) AND c is (k = 1 AND c) OR (k > 5 AND c): each arm, with what all have
 * in common, selects keys as conditions without an OR do, and the keys of all arms are
 * read, once each.  Of several ORs one is taken: what all of them select together, arm by
 * arm, grows too fast.
 */
#include "postgres.h"

#include "fdw/fdw_quals_or.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"

/* More arms are left to be tested row by row. */
#define MOST_ARMS 1000

/* The clauses of an arm: RestrictInfos, and what has an OR in it. */
static List *
clauses_of_arm(Node *arm)
{
	return is_andclause(arm) ? ((BoolExpr *) arm)->args : list_make1(arm);
}

static FdwKeyClause *
copy_clause(const FdwKeyClause *clause)
{
	FdwKeyClause *copy = palloc(sizeof(FdwKeyClause));

	*copy = *clause;
	return copy;
}

typedef struct Alternative
{
	List	   *usable;			/* copies */
	int			nequal;
	bool		has_own;		/* one of the arm's own clauses is used */
	bool		decides;		/* all of the arm's clauses are, without being lossy */
} Alternative;

static void
make_alternative(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
				 RestrictInfo *or, Node *arm, List *matches, Alternative *alternative)
{
	List	   *clauses = clauses_of_arm(arm);
	List	   *all = list_copy(matches);
	int			decided = 0;
	ListCell   *cell;

	memset(alternative, 0, sizeof(Alternative));
	foreach(cell, clauses)
	{
		FdwKeyClause *clause = !IsA(lfirst(cell), RestrictInfo) ? NULL :
			fdw_quals_match(root, rel, columns, nkeys, lfirst(cell));

		if (clause == NULL)
			continue;
		clause->rinfo = or;
		all = lappend(all, clause);
	}
	foreach(cell, fdw_quals_of_matches(all, nkeys, &alternative->nequal))
	{
		FdwKeyClause *clause = lfirst(cell);

		alternative->usable = lappend(alternative->usable, copy_clause(clause));
		if (clause->rinfo != or)
			continue;
		alternative->has_own = true;
		decided += clause->lossy ? 0 : 1;
	}
	alternative->decides = decided == list_length(clauses);
}

/* Whether all alternatives decide the clause. */
static bool
is_decided(const Alternative *alternatives, int n, const RestrictInfo *or, const RestrictInfo *rinfo)
{
	for (int i = 0; i < n; i++)
	{
		bool		decided = false;
		ListCell   *cell;

		foreach(cell, alternatives[i].usable)
		{
			const FdwKeyClause *clause = lfirst(cell);

			decided |= clause->rinfo == rinfo && !clause->lossy;
		}
		if (rinfo == or ? !alternatives[i].decides : !decided)
			return false;
	}
	return true;
}

static List *
put_together(const Alternative *alternatives, int n, const RestrictInfo *or)
{
	List	   *usable = NIL;
	List	   *decided = NIL;
	ListCell   *cell;

	for (int i = 0; i < n; i++)
	{
		((FdwKeyClause *) linitial(alternatives[i].usable))->begins = i > 0;
		usable = list_concat(usable, alternatives[i].usable);
	}
	foreach(cell, fdw_quals_rinfos(usable, false))
		if (is_decided(alternatives, n, or, lfirst(cell)))
			decided = lappend(decided, lfirst(cell));
	foreach(cell, usable)
	{
		FdwKeyClause *clause = lfirst(cell);

		clause->lossy = !list_member_ptr(decided, clause->rinfo);
	}
	return usable;
}

/* The alternatives of the OR; NIL: one of its arms says nothing about keys. */
static List *
alternatives_of(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
				RestrictInfo *or, List *matches, int *nequal)
{
	List	   *arms = ((BoolExpr *) or->orclause)->args;
	int			n = list_length(arms);
	Alternative *alternatives;
	ListCell   *cell;

	if (n > MOST_ARMS)
		return NIL;
	alternatives = palloc(sizeof(Alternative) * n);
	*nequal = nkeys;
	foreach(cell, arms)
	{
		Alternative *alternative = &alternatives[foreach_current_index(cell)];

		make_alternative(root, rel, columns, nkeys, or, lfirst(cell), matches, alternative);
		if (!alternative->has_own)
			return NIL;
		*nequal = Min(*nequal, alternative->nequal);
	}
	return put_together(alternatives, n, or);
}

List *
fdw_quals_or(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
			 List *rinfos, List *matches, int *nequal)
{
	List	   *best = NIL;
	double		best_selectivity = 1;
	ListCell   *cell;

	foreach(cell, rinfos)
	{
		RestrictInfo *or = lfirst_node(RestrictInfo, cell);
		List	   *found;
		double		selectivity;
		int			own;

		/* What must be hidden from a security barrier's user is hidden by each of the arm's clauses. */
		if (or->orclause == NULL || or->pseudoconstant)
			continue;
		found = alternatives_of(root, rel, columns, nkeys, or, matches, &own);
		if (found == NIL)
			continue;
		selectivity = clause_selectivity(root, (Node *) or, rel->relid, JOIN_INNER, NULL);
		if (best != NIL && (own < *nequal || (own == *nequal && selectivity >= best_selectivity)))
			continue;
		best = found;
		best_selectivity = selectivity;
		*nequal = own;
	}
	return best;
}
