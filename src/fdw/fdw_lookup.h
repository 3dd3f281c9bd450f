/*
 * fdw_lookup.h
 *		Looking up keys, and rows from what was found: what scans and joins have
 *		in common.
 */
#ifndef FDW_LOOKUP_H
#define FDW_LOOKUP_H

#include "postgres.h"

#include "forest/forest_batch.h"
#include "forest/row_reader.h"
#include "nodes/pg_list.h"

/* Keys of one lookup; fewer when their values turn out to be large. */
#define FDW_BATCH_KEYS 1000

/* The i-th answer is that of key i.  Its memory, and that of the values, ends with CurrentMemoryContext. */
extern const ForestValue *fdw_lookup_keys(const ForestTable *table, const SvSlice *keys, int n,
										  Snapshot snapshot);

/* How many of the next keys to look up at once, at most, after n keys had these answers. */
extern int	fdw_lookup_limit(const ForestValue *answers, int n, Size bytes, int limit);

/* How rows of a table are decoded. */
typedef struct FdwRows
{
	const RowShape *shape;
	bool		needs_nothing;	/* no column is looked at */
	Bitmapset  *needed;			/* attribute numbers, NULL: all */
	RowMapReader *map;			/* NULL: the table is no map */
	RowReader  *reader;			/* NULL: it is one, or a rare kind of table */
} FdwRows;

/* `needed` are attribute numbers, 0 is all of them.  Borrows the shape; lives in CurrentMemoryContext. */
extern void fdw_rows_init(FdwRows *rows, const RowShape *shape, const List *needed);

/*
 * values[] and isnull[] have natts places.  Datums go to CurrentMemoryContext, or
 * are good until the next row.
 */
extern void fdw_rows_decode(FdwRows *rows, SvSlice key, SvSlice value, int natts,
							Datum *values, bool *isnull);

#endif							/* FDW_LOOKUP_H */
