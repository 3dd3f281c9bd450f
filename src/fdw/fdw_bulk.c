/*
 * fdw_bulk.c
 *		See fdw_bulk.h.
 */
#include "postgres.h"

#include "fdw/fdw_bulk.h"

#include "executor/executor.h"
#include "fdw/fdw_bulk_plan.h"
#include "forest/row_shape.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Of what is held back while bulk loads are off: rows of a COPY. */
#define BATCH_BYTES (1024 * 1024)

/* Keys and values are copied to pieces of this size; longer ones alone. */
#define PIECE_BYTES (128 * 1024)

struct FdwBulk
{
	MemoryContext context;		/* of what is held back alone */
	ForestWrite *rows;			/* in the order they came */
	int			n;
	int			room;			/* in rows[] */
	size_t		bytes;			/* that they take */
	size_t		limit;
	char	   *piece;			/* where the next bytes go */
	size_t		piece_left;
};

static size_t
bytes_limit(void)
{
	return setting_bulk_threshold_kb < 0 ? BATCH_BYTES : (size_t) setting_bulk_threshold_kb * 1024;
}

FdwBulk *
fdw_bulk_begin(FdwModify *state, ResultRelInfo *rinfo, bool calls_volatile)
{
	MemoryContext query_context = state->mtstate->ps.state->es_query_cxt;
	FdwBulk    *bulk;

	if (setting_bulk_threshold_kb < 0 && (!state->from_copy || state->table.strict_insert))
		return NULL;
	if (fdw_bulk_obstacle(state->mtstate, rinfo, calls_volatile) != NULL)
		return NULL;
	bulk = MemoryContextAllocZero(query_context, sizeof(FdwBulk));
	bulk->context = AllocSetContextCreate(query_context, "skyvault rows", ALLOCSET_DEFAULT_SIZES);
	bulk->limit = bytes_limit();
	return bulk;
}

/* ---- holding back ---- */

static SvSlice
keep_bytes(FdwBulk *bulk, SvSlice bytes)
{
	char	   *copy;

	if (bytes.len > bulk->piece_left)
	{
		bulk->piece_left = Max(bytes.len, PIECE_BYTES);
		bulk->piece = MemoryContextAllocHuge(bulk->context, bulk->piece_left);
	}
	copy = bulk->piece;
	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	bulk->piece += bytes.len;
	bulk->piece_left -= bytes.len;
	return sv_slice(copy, bytes.len);
}

static void
make_room(FdwBulk *bulk)
{
	if (bulk->n < bulk->room)
		return;
	if (bulk->room == 0)
		bulk->rows = MemoryContextAlloc(bulk->context, sizeof(ForestWrite) * (bulk->room = 128));
	else
		bulk->rows = repalloc_huge(bulk->rows, sizeof(ForestWrite) * (bulk->room *= 2));
}

static void
hold_row(FdwBulk *bulk, const ForestWrite *put)
{
	ForestWrite *row;

	make_room(bulk);
	row = &bulk->rows[bulk->n++];
	*row = *put;
	row->key = keep_bytes(bulk, put->key);
	row->value = keep_bytes(bulk, put->value);
	bulk->bytes += put->key.len + put->value.len + sizeof(ForestWrite);
}

static void
forget_rows(FdwBulk *bulk)
{
	MemoryContextReset(bulk->context);
	bulk->rows = NULL;
	bulk->n = 0;
	bulk->room = 0;
	bulk->bytes = 0;
	bulk->piece = NULL;
	bulk->piece_left = 0;
}

/* ---- to the delta ---- */

/* The row of a key, for a message. */
static TupleTableSlot *
decode_row(FdwModify *state, const ForestWrite *put)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(state->relation), &TTSOpsVirtual);

	row_decode(row_shape(state->relation), put->key, put->value, NULL, slot->tts_values, slot->tts_isnull);
	return ExecStoreVirtualTuple(slot);
}

/* A key that exists is an error, also one that another row of the statement has. */
static void
insert_strictly(FdwModify *state, ForestWrite *rows, int n)
{
	Snapshot	snapshot = fdw_modify_snapshot(state->mtstate->ps.state);

	for (int i = 0; i < n; i++)
	{
		ForestValue newest;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(state->row_context);
		(void) forest_lock_key(&state->table, rows[i].key, snapshot, &newest);
		if (newest.found)
			fdw_modify_report_duplicate(state, decode_row(state, &rows[i]));
		forest_write(&state->table, &rows[i], 1);
	}
}

static void
write_rows(FdwModify *state, FdwBulk *bulk)
{
	MemoryContext old;

	if (bulk->n == 0)
		return;
	MemoryContextReset(state->row_context);
	old = MemoryContextSwitchTo(state->row_context);
	if (state->table.strict_insert)
		insert_strictly(state, bulk->rows, bulk->n);
	else
		forest_write(&state->table, bulk->rows, bulk->n);
	MemoryContextSwitchTo(old);
	forget_rows(bulk);
}

/* ---- rows of the statement ---- */

void
fdw_bulk_add(FdwModify *state, TupleTableSlot *slot)
{
	FdwBulk    *bulk = state->bulk;
	ForestWrite put = fdw_modify_put(state, slot);

	hold_row(bulk, &put);
	if (bulk->bytes > bulk->limit)
		write_rows(state, bulk);
}

void
fdw_bulk_end(FdwModify *state)
{
	if (state->bulk != NULL)
		write_rows(state, state->bulk);
}
