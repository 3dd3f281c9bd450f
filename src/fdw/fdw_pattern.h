/*
 * fdw_pattern.h
 *		The bytes that every match of a pattern begins with, and the range of
 *		strings that begin with them.
 *
 * LIKE and ^@ compare bytes, under every deterministic collation: so a range of
 * bytes is right for them where the column's order is another one, too.
 */
#ifndef FDW_PATTERN_H
#define FDW_PATTERN_H

#include "postgres.h"

/*
 * The prefix of a LIKE pattern, text or bytea, as a palloc'd datum; *exact (may
 * be NULL): whatever begins with it matches.
 */
extern Datum fdw_pattern_prefix(Datum pattern, bool *exact);

/*
 * The least string of bytes above all those that begin with the prefix, as a
 * palloc'd datum that need not be valid text; false: nothing is above them.
 */
extern bool fdw_pattern_after(Datum prefix, Datum *after);

#endif							/* FDW_PATTERN_H */
