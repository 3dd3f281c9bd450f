/*
 * fdw_quals_or.h
 *		Alternatives: key clauses in the arms of an OR (fdw_quals.h).
 */
#ifndef FDW_QUALS_OR_H
#define FDW_QUALS_OR_H

#include "postgres.h"

#include "fdw/fdw_quals.h"

/*
 * Alternatives of one OR among the RestrictInfos, each together with `matches`, what the
 * others are as key clauses; the one that leaves least to read.  NIL: there is none, and
 * *nequal is as it was.
 */
extern List *fdw_quals_or(PlannerInfo *root, RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
						  List *rinfos, List *matches, int *nequal);

#endif							/* FDW_QUALS_OR_H */
