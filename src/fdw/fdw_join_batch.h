/*
 * fdw_join_batch.h
 *		The outer rows of a batched join that are joined at once, and what their
 *		keys led to.
 */
#ifndef FDW_JOIN_BATCH_H
#define FDW_JOIN_BATCH_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "fdw/fdw_join_table.h"
#include "fdw/fdw_lookup.h"
#include "lib/stringinfo.h"

typedef struct FdwJoinBatch
{
	MemoryContext context;		/* what rows refer to, and answers; reset with each batch */
	TupleDesc	desc;			/* its first ncolumns are those of the outer rows */
	int			ncolumns;
	int			nreferences;	/* columns that are passed by reference */
	int		   *references;

	int			room;			/* rows for which there is room */
	Datum	   *values;			/* of all rows, ncolumns each */
	bool	   *isnull;
	int		   *keys_end;		/* of each row, the end of its keys; they begin where those of the row before end */

	int			keys_room;
	SvSlice    *keys;
	int		   *key_end;		/* of each key, in key_bytes */
	int		   *table_of;		/* of each key, the index of its table */
	StringInfoData key_bytes;

	int			nrows;
	int			nkeys;
	Size		bytes;			/* of rows, about */
	const ForestValue *answers; /* by key */
} FdwJoinBatch;

/* Empty, in CurrentMemoryContext. */
extern void fdw_join_batch_init(FdwJoinBatch *batch, TupleDesc desc, int ncolumns);

/* What a row takes at least. */
extern Size fdw_join_batch_row_bytes(const FdwJoinBatch *batch);

/* Empties it, with room for so many rows. */
extern void fdw_join_batch_reset(FdwJoinBatch *batch, int rows);

/* Adds a key to those of the next row: what has been appended to key_bytes since the last. */
extern void fdw_join_batch_add_key(FdwJoinBatch *batch, int table);

/* Adds a row, which it copies, after its keys. */
extern void fdw_join_batch_add(FdwJoinBatch *batch, const Datum *values, const bool *isnull);

static inline int
fdw_join_batch_first_key(const FdwJoinBatch *batch, int row)
{
	return row == 0 ? 0 : batch->keys_end[row - 1];
}

/* Looks up all keys, of which there is one at least, each in its own of the tables. */
extern void fdw_join_batch_look_up(FdwJoinBatch *batch, const FdwJoinTable *tables, int ntables,
								   Snapshot snapshot);

#endif							/* FDW_JOIN_BATCH_H */
