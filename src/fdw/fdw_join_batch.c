/*
 * fdw_join_batch.c
 *		See fdw_join_batch.h.
 *
 * Rows are kept as values, not as tuples: they are then neither formed nor
 * deformed, and what is passed by value is not copied twice.
 */
#include "postgres.h"

#include "fdw/fdw_join_batch.h"

#include "utils/datum.h"
#include "utils/memutils.h"

void
fdw_join_batch_init(FdwJoinBatch *batch, TupleDesc desc, int ncolumns)
{
	memset(batch, 0, sizeof(FdwJoinBatch));
	batch->context = AllocSetContextCreate(CurrentMemoryContext, "skyvault batched join",
										   ALLOCSET_DEFAULT_SIZES);
	batch->desc = desc;
	batch->ncolumns = ncolumns;
	batch->references = palloc(sizeof(int) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
		if (!TupleDescAttr(desc, i)->attbyval)
			batch->references[batch->nreferences++] = i;
	initStringInfo(&batch->key_bytes);
}

Size
fdw_join_batch_row_bytes(const FdwJoinBatch *batch)
{
	return (sizeof(Datum) + sizeof(bool)) * batch->ncolumns + sizeof(SvSlice) + 3 * sizeof(int);
}

/* Nothing of what was there is kept. */
static void *
make_room(MemoryContext context, void *old, Size n, Size bytes)
{
	if (old != NULL)
		pfree(old);
	return MemoryContextAllocHuge(context, Max(n * bytes, 1));
}

void
fdw_join_batch_reset(FdwJoinBatch *batch, int rows)
{
	MemoryContext context = GetMemoryChunkContext(batch->references);

	MemoryContextReset(batch->context);
	batch->answers = NULL;
	batch->nrows = 0;
	batch->nkeys = 0;
	batch->bytes = 0;
	resetStringInfo(&batch->key_bytes);
	if (rows <= batch->room)
		return;
	batch->values = make_room(context, batch->values, (Size) rows * batch->ncolumns, sizeof(Datum));
	batch->isnull = make_room(context, batch->isnull, (Size) rows * batch->ncolumns, sizeof(bool));
	batch->keys_end = make_room(context, batch->keys_end, rows, sizeof(int));
	batch->room = rows;
	if (rows <= batch->keys_room)
		return;
	batch->keys = make_room(context, batch->keys, rows, sizeof(SvSlice));
	batch->key_end = make_room(context, batch->key_end, rows, sizeof(int));
	batch->table_of = make_room(context, batch->table_of, rows, sizeof(int));
	batch->keys_room = rows;
}

/* Of a row's keys there is one, unless it may be in several partitions. */
static void
make_more_room_for_keys(FdwJoinBatch *batch)
{
	Size		room = (Size) batch->keys_room * 2;

	batch->keys = repalloc_huge(batch->keys, room * sizeof(SvSlice));
	batch->key_end = repalloc_huge(batch->key_end, room * sizeof(int));
	batch->table_of = repalloc_huge(batch->table_of, room * sizeof(int));
	batch->keys_room = (int) room;
}

void
fdw_join_batch_add_key(FdwJoinBatch *batch, int table)
{
	int			begin = batch->nkeys > 0 ? batch->key_end[batch->nkeys - 1] : 0;

	if (batch->nkeys == batch->keys_room)
		make_more_room_for_keys(batch);
	batch->bytes += batch->key_bytes.len - begin;
	batch->table_of[batch->nkeys] = table;
	batch->key_end[batch->nkeys++] = batch->key_bytes.len;
}

void
fdw_join_batch_add(FdwJoinBatch *batch, const Datum *values, const bool *isnull)
{
	Datum	   *own_values = batch->values + (Size) batch->nrows * batch->ncolumns;
	bool	   *own_isnull = batch->isnull + (Size) batch->nrows * batch->ncolumns;
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	memcpy(own_values, values, sizeof(Datum) * batch->ncolumns);
	memcpy(own_isnull, isnull, sizeof(bool) * batch->ncolumns);
	for (int i = 0; i < batch->nreferences; i++)
	{
		int			column = batch->references[i];
		int16		len = TupleDescAttr(batch->desc, column)->attlen;

		if (isnull[column])
			continue;
		own_values[column] = datumCopy(values[column], false, len);
		batch->bytes += datumGetSize(own_values[column], false, len);
	}
	batch->bytes += fdw_join_batch_row_bytes(batch);
	batch->keys_end[batch->nrows++] = batch->nkeys;
	MemoryContextSwitchTo(old);
}

void
fdw_join_batch_look_up(FdwJoinBatch *batch, const FdwJoinTable *tables, int ntables, Snapshot snapshot)
{
	const ForestTable **tables_of;
	MemoryContext old;
	int			begin = 0;

	/* Their bytes move no more. */
	for (int i = 0; i < batch->nkeys; i++)
	{
		batch->keys[i] = sv_slice(batch->key_bytes.data + begin, batch->key_end[i] - begin);
		begin = batch->key_end[i];
	}
	old = MemoryContextSwitchTo(batch->context);
	if (ntables == 1)
		batch->answers = fdw_lookup_keys(&tables[0].table, batch->keys, batch->nkeys, snapshot);
	else
	{
		tables_of = MemoryContextAllocHuge(batch->context, sizeof(ForestTable *) * batch->nkeys);
		for (int i = 0; i < batch->nkeys; i++)
			tables_of[i] = &tables[batch->table_of[i]].table;
		batch->answers = forest_batch_get(forest_batch_begin(), tables_of, false, batch->keys, batch->nkeys, snapshot);
	}
	MemoryContextSwitchTo(old);
}
