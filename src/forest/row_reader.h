/*
 * row_reader.h
 *		The rows of one table decoded one after the other: what row_decode does, for
 *		most rows at a fraction of its cost.
 */
#ifndef ROW_READER_H
#define ROW_READER_H

#include "forest/row_decode.h"

typedef struct RowReader RowReader;

/*
 * palloc'd; borrows shape and `needed`, see row_decode.  NULL: rows of such a
 * table have to be decoded by row_decode.
 */
extern RowReader *row_reader(const RowShape *shape, const Bitmapset *needed);

/* Has the results and errors of row_decode, but that datums are good until the next call at least. */
extern void row_reader_decode(RowReader *reader, SvSlice key, SvSlice value, Datum *values, bool *isnull);

#endif							/* ROW_READER_H */
