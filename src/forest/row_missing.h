/*
 * row_missing.h
 *		What a column reads in rows that are older than itself.
 *
 * A stored row is not rewritten when a column is added.  As with a heap, the
 * default that the column is added with is computed once, then, and kept, as
 * column option "missing": rows that have no word of the column read that, from
 * then on whatever becomes of the default.  Rows that are written while a
 * column has the option say so if it is NULL.
 *
 * The option is the text of the value, as the type's output function writes it
 * under the settings of value_form.h.
 */
#ifndef ROW_MISSING_H
#define ROW_MISSING_H

#include "postgres.h"

#include "utils/relcache.h"

#define ROW_MISSING_OPTION "missing"

/* The option in pg_attribute.attfdwoptions (isnull: there are none), or NULL. */
extern char *row_missing_option(Datum attfdwoptions, bool isnull);

/* The option of a relation's column, palloc'd, or NULL. */
extern char *row_missing_text(Relation rel, AttrNumber attno);

/*
 * The value, palloc'd, of a column of that type and name.  Errors are those of the type's
 * input function: what was a value once may be none later, as the label of an enum that was
 * renamed.  So this is for who needs the value, and for nobody who only uses the table.
 */
extern Datum row_missing_value(const char *text, Oid type, const char *column);

/* An error of an input function if a column's option is not a value of its type. */
extern void row_missing_check(Relation rel);

/*
 * For a column that was just added to a table with rows: gives it the option, if it has
 * a default that is not NULL, nor volatile; false: old rows read NULL.  The caller has
 * locked the relation against all others.
 */
extern bool row_missing_keep_default(Relation rel, AttrNumber attno);

#endif							/* ROW_MISSING_H */
