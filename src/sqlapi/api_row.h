/*
 * api_row.h
 *		Rows of (key, value) and (table, key, value) for a tuplestore.
 *
 * A tuple of these columns is laid out here: heap_form_tuple, which can do any,
 * takes longer for it than the lookup of the key.
 */
#ifndef API_ROW_H
#define API_ROW_H

#include "postgres.h"

#include "access/htup.h"
#include "base/sv_slice.h"
#include "utils/tuplestore.h"

typedef struct ApiRow
{
	Tuplestorestate *store;
	bool		has_table;
	HeapTupleData tuple;		/* its t_data is used again for each row */
	Size		capacity;		/* bytes at t_data */
} ApiRow;

/* Rows go to `store`, with the table's oid in front if has_table.  What is needed lives in CurrentMemoryContext. */
extern void api_row_init(ApiRow *row, Tuplestorestate *store, bool has_table);

/* Adds a row; a slice with data NULL is a null. */
extern void api_row_put(ApiRow *row, Oid table, SvSlice key, SvSlice value);

#endif							/* API_ROW_H */
