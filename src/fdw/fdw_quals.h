/*
 * fdw_quals.h
 *		Which restriction clauses select keys.
 *
 * A clause is a key clause if it compares a key column with something that
 * has no columns of the same relation, by an operator of the column type's
 * default btree operator class, and if comparing the encoded bytes gives
 * exactly the operator's answer.  So is a comparison of a row that begins with
 * key columns, and LIKE and ^@.  Key clauses are taken out of the scan's local
 * conditions, unless they are lossy: those select keys that meet them, and others.
 *
 * An OR each of whose arms has key clauses makes alternatives: together with the other
 * clauses each arm selects keys, and a scan reads what any of them selects.
 */
#ifndef FDW_QUALS_H
#define FDW_QUALS_H

#include "postgres.h"

#include "forest/row_shape.h"
#include "nodes/pathnodes.h"

/* Stored in plans as integers. */
typedef enum FdwKeyKind
{
	FDW_KEY_EQUAL,				/* column = operand */
	FDW_KEY_ANY,				/* column = ANY (operand) */
	FDW_KEY_ABOVE,				/* column > operand */
	FDW_KEY_FROM,				/* column >= operand */
	FDW_KEY_BELOW,				/* column < operand */
	FDW_KEY_UPTO,				/* column <= operand */
	FDW_KEY_STARTS,				/* column ^@ operand */
	FDW_KEY_LIKE,				/* column LIKE operand */
	FDW_KEY_AND_NEXT			/* no clause: another column of the row that the bound before is about */
} FdwKeyKind;

typedef struct FdwKeyColumn
{
	AttrNumber	attno;
	Oid			atttype;		/* the column's, and the others of its attributes */
	int32		atttypmod;
	Oid			attcollation;
	Oid			type;			/* no domain */
	Oid			opfamily;		/* InvalidOid: has no btree order */
	Oid			opcintype;
	bool		ordered;		/* bytes are in the operator class's order */
} FdwKeyColumn;

typedef struct FdwKeyClause
{
	int			key;			/* index of the key column */
	FdwKeyKind	kind;
	Expr	   *operand;
	List	   *more;			/* of a row, the operands of the key columns behind it */
	bool		lossy;			/* the condition has to be tested as well */
	bool		begins;			/* another alternative; the first one begins without it */
	RestrictInfo *rinfo;		/* of an arm's clause, that of the OR */
} FdwKeyClause;

/* In the kinds of a plan: where another alternative begins. */
#define FDW_KEY_BEGINS 0x100

static inline FdwKeyKind
fdw_key_kind(int stored)
{
	return (FdwKeyKind) (stored & ~FDW_KEY_BEGINS);
}

static inline bool
fdw_key_kind_is_equality(FdwKeyKind kind)
{
	return kind == FDW_KEY_EQUAL || kind == FDW_KEY_ANY;
}

/* The relation's key columns, palloc'd; their number goes to *nkeys. */
extern FdwKeyColumn *fdw_quals_key_columns(Relation relation, int *nkeys);

/* Whether expr is key column `column` of the relation, possibly relabelled. */
extern bool fdw_quals_is_column(const Expr *expr, Index relid, const FdwKeyColumn *column);

/* The clause as a key clause, or NULL. */
extern FdwKeyClause *fdw_quals_match(PlannerInfo *root, RelOptInfo *rel,
									 const FdwKeyColumn *columns, int nkeys,
									 RestrictInfo *rinfo);

/*
 * Of the RestrictInfos, the key clauses that one scan can use together, as a
 * list of FdwKeyClause in key order: equalities on the first *nequal columns,
 * one each, then all bounds on the column after them.  Alternatives follow one
 * another, each in this order, in which a clause is there anew; then *nequal is
 * that of the one with the fewest.  A clause that is not lossy is decided by them.
 */
extern List *fdw_quals_usable(PlannerInfo *root, RelOptInfo *rel,
							  const FdwKeyColumn *columns, int nkeys,
							  List *rinfos, int *nequal);

/* The clauses' RestrictInfos, each once: all of them, or those that need no other test. */
extern List *fdw_quals_rinfos(List *usable, bool decided);

/* The same of clauses that were matched. */
extern List *fdw_quals_of_matches(List *matches, int nkeys, int *nequal);

/* Whether a clause says of a key column that it is not null, which needs no test. */
extern bool fdw_quals_is_certain(RelOptInfo *rel, const FdwKeyColumn *columns, int nkeys,
								 const RestrictInfo *rinfo);

/* What a plan has of the usable clauses: each operand, the index of its key column, its kind. */
extern void fdw_quals_split(List *usable, List **operands, List **keys, List **kinds);

#endif							/* FDW_QUALS_H */
