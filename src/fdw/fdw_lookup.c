/*
 * fdw_lookup.c
 *		See fdw_lookup.h.
 */
#include "postgres.h"

#include "fdw/fdw_lookup.h"

#include <limits.h>

const ForestValue *
fdw_lookup_keys(const ForestTable *table, const SvSlice *keys, int n, Snapshot snapshot)
{
	ForestValue *value;

	if (n > 1)
		return forest_batch_get(forest_batch_begin(), &table, true, keys, n, snapshot);
	value = palloc(sizeof(ForestValue));
	forest_get(table, keys[0], snapshot, value);
	return value;
}

int
fdw_lookup_limit(const ForestValue *answers, int n, Size bytes, int limit)
{
	Size		total = 0;

	for (int i = 0; i < n; i++)
		if (answers[i].found)
			total += answers[i].value.len;
	if (total > bytes)
		limit = Max(1, n / (int) Min(total / bytes + 1, INT_MAX));
	return limit;
}

void
fdw_rows_init(FdwRows *rows, const RowShape *shape, const List *needed)
{
	ListCell   *cell;

	rows->shape = shape;
	rows->needs_nothing = needed == NIL;
	rows->needed = NULL;
	if (!list_member_int(needed, 0))
	{
		foreach(cell, needed)
			rows->needed = bms_add_member(rows->needed, lfirst_int(cell));
	}
	rows->map = row_map_reader(shape, rows->needed);
	rows->reader = rows->map == NULL && !rows->needs_nothing ? row_reader(shape, rows->needed) : NULL;
}

void
fdw_rows_decode(FdwRows *rows, SvSlice key, SvSlice value, int natts, Datum *values, bool *isnull)
{
	if (rows->needs_nothing)
		memset(isnull, true, natts);
	else if (rows->map != NULL)
		row_decode_map(rows->map, key, value, values, isnull);
	else if (rows->reader != NULL)
		row_reader_decode(rows->reader, key, value, values, isnull);
	else
		row_decode(rows->shape, key, value, rows->needed, values, isnull);
}
