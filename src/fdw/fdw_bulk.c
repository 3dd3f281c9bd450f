/*
 * fdw_bulk.c
 *		See fdw_bulk.h.
 */
#include "postgres.h"

#include "fdw/fdw_bulk.h"

#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "fdw/fdw_bulk_plan.h"
#include "forest/forest_catalog.h"
#include "forest/forest_load.h"
#include "forest/load_request.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Of what is held back while bulk loads are off: rows of a COPY. */
#define BATCH_BYTES (1024 * 1024)

/* What is kept for the next row's value. */
#define ROOM_BYTES (256 * 1024)

/* Keys and values are copied to pieces of this size; longer ones alone. */
#define PIECE_BYTES (128 * 1024)

/* The least memory that a load is worth beginning with. */
#define LOAD_MIN_KB (16 * 1024)

/* What the tables of one statement share: those that rows are routed to, or the one. */
typedef struct BulkStatement
{
	EState	   *estate;
	struct BulkStatement *next;
	size_t		held;			/* bytes of all its tables */
	int			loads;			/* that were begun */
	int			max_loads;
	List	   *tables;			/* FdwModify */
	bool		ended;
	MemoryContextCallback forget;
} BulkStatement;

struct FdwBulk
{
	BulkStatement *statement;
	ForestLoad *load;			/* takes all rows, once it has begun */
	LoadLine	progress;		/* of the load */
	const char *command;		/* for it */
	StringInfoData key;			/* room for those of one row */
	StringInfoData value;
	bool		on_request;		/* of skyvault_load */
	bool		replaces;		/* what the table has */
	MemoryContext context;		/* of what is held back alone */
	ForestWrite *rows;			/* in the order they came */
	int			n;
	int			room;			/* in rows[] */
	size_t		bytes;			/* that they take */
	char	   *piece;			/* where the next bytes go */
	size_t		piece_left;
};

/* ---- statements ---- */

static BulkStatement *statements = NULL;

/* The executor state goes, after an error too. */
static void
forget_statement(void *arg)
{
	for (BulkStatement **link = &statements; *link != NULL; link = &(*link)->next)
		if (*link == arg)
		{
			*link = (*link)->next;
			return;
		}
}

/* The foreign tables that the statement may put rows into. */
static int
count_targets(Relation root)
{
	int			n = 0;
	ListCell   *cell;

	if (root->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return 1;
	foreach(cell, find_all_inheritors(RelationGetRelid(root), NoLock, NULL))
		n += get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE ? 1 : 0;
	return Max(n, 1);
}

static BulkStatement *
statement_of(const ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	EState	   *estate = mtstate->ps.state;
	const ResultRelInfo *root = mtstate->rootResultRelInfo != NULL ? mtstate->rootResultRelInfo : rinfo;
	BulkStatement *statement;

	for (statement = statements; statement != NULL; statement = statement->next)
		if (statement->estate == estate)
			return statement;
	statement = MemoryContextAllocZero(estate->es_query_cxt, sizeof(BulkStatement));
	statement->estate = estate;
	statement->max_loads = Min(count_targets(root->ri_RelationDesc), Max(maintenance_work_mem / LOAD_MIN_KB, 1));
	statement->next = statements;
	statements = statement;
	statement->forget.func = forget_statement;
	statement->forget.arg = statement;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &statement->forget);
	return statement;
}

static size_t
bytes_limit(void)
{
	return setting_bulk_threshold_kb < 0 ? BATCH_BYTES : (size_t) setting_bulk_threshold_kb * 1024;
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
	size_t		bytes;

	make_room(bulk);
	row = &bulk->rows[bulk->n++];
	*row = *put;
	row->key = keep_bytes(bulk, put->key);
	row->value = keep_bytes(bulk, put->value);
	bytes = put->key.len + put->value.len + sizeof(ForestWrite);
	bulk->bytes += bytes;
	bulk->statement->held += bytes;
}

static void
forget_rows(FdwBulk *bulk)
{
	MemoryContextReset(bulk->context);
	bulk->statement->held -= bulk->bytes;
	bulk->rows = NULL;
	bulk->n = 0;
	bulk->room = 0;
	bulk->bytes = 0;
	bulk->piece = NULL;
	bulk->piece_left = 0;
}

/* ---- to the delta ---- */

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
			fdw_modify_report_duplicate_key(state, rows[i].key);
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

/* ---- to a load ---- */

static bool
may_load(const FdwModify *state)
{
	const BulkStatement *statement = state->bulk->statement;

	return setting_bulk_threshold_kb >= 0 && statement->loads < statement->max_loads &&
		forest_load_possible(&state->table);
}

static void
report_duplicate(void *state, SvSlice key)
{
	fdw_modify_report_duplicate_key(state, key);
}

static void
add_to_load(FdwBulk *bulk, const ForestWrite *put)
{
	forest_load_add(bulk->load, put->key, put->value, put->expires_at);
}

static void
begin_load(FdwModify *state)
{
	FdwBulk    *bulk = state->bulk;
	MemoryContext old = MemoryContextSwitchTo(state->mtstate->ps.state->es_query_cxt);
	ForestLoadOptions options = {
		.replace = bulk->replaces,
		.strict = state->table.strict_insert,
		.duplicate = report_duplicate,
		.duplicate_state = state,
		.memory_bytes = (Size) maintenance_work_mem * 1024 / bulk->statement->max_loads
	};

	bulk->progress = load_progress_begin(CurrentMemoryContext, bulk->command, state->table.relid);
	options.progress = bulk->progress;
	bulk->load = forest_load_begin(&state->table, &options);
	bulk->statement->loads++;
	load_progress_phase(bulk->progress, LOAD_READING);
	for (int i = 0; i < bulk->n; i++)
		add_to_load(bulk, &bulk->rows[i]);
	forget_rows(bulk);
	MemoryContextSwitchTo(old);
}

static void
finish_load(FdwBulk *bulk)
{
	ForestLoad *load = bulk->load;
	ForestLoadResult result;

	bulk->load = NULL;
	forest_load_finish(load, &result);
	load_progress_end(bulk->progress);
}

/* Too much is held back: the table with the most of it has to act. */
static void
relieve(BulkStatement *statement)
{
	FdwModify  *largest = NULL;
	ListCell   *cell;

	foreach(cell, statement->tables)
	{
		FdwModify  *state = lfirst(cell);

		if (largest == NULL || state->bulk->bytes > largest->bulk->bytes)
			largest = state;
	}
	if (may_load(largest))
		begin_load(largest);
	else
		write_rows(largest, largest->bulk);
}

/* ---- the statement ---- */

static FdwBulk *
create(FdwModify *state, ResultRelInfo *rinfo, bool on_request)
{
	MemoryContext query_context = state->mtstate->ps.state->es_query_cxt;
	MemoryContext old = MemoryContextSwitchTo(query_context);
	FdwBulk    *bulk = palloc0(sizeof(FdwBulk));

	bulk->statement = statement_of(state->mtstate, rinfo);
	bulk->statement->tables = lappend(bulk->statement->tables, state);
	bulk->on_request = on_request;
	bulk->command = on_request ? "skyvault_load" : state->from_copy ? "COPY" : "INSERT";
	initStringInfo(&bulk->key);
	initStringInfo(&bulk->value);
	bulk->context = AllocSetContextCreate(query_context, "skyvault rows", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
	return bulk;
}

static void
check_may_replace(const FdwModify *state, const char *obstacle)
{
	TriggerDesc *triggers = state->relation->trigdesc;

	if (obstacle == NULL && triggers != NULL &&
		(triggers->trig_truncate_before_statement || triggers->trig_truncate_after_statement))
		obstacle = "triggers";
	if (obstacle == NULL && !forest_load_possible(&state->table))
		obstacle = "it needs a scheduler in this database, a server that was written to before this transaction, "
			"an isolation level below SERIALIZABLE, and a store that standbys and backups have too";
	if (obstacle != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the content of foreign table \"%s\"", RelationGetRelationName(state->relation)),
				 errdetail("A bulk load is not possible: %s.", obstacle),
				 errhint("Use TRUNCATE and INSERT.")));
}

void
fdw_bulk_begin(FdwModify *state, ResultRelInfo *rinfo, bool calls_volatile)
{
	const LoadRequest *request = load_request_take(RelationGetRelid(state->relation));
	const char *obstacle;

	if (request == NULL && setting_bulk_threshold_kb < 0 && (!state->from_copy || state->table.strict_insert))
		return;
	obstacle = fdw_bulk_obstacle(state->mtstate, rinfo, calls_volatile, request != NULL);
	if (request != NULL && request->replace)
		check_may_replace(state, obstacle);
	if (obstacle != NULL)
		return;
	state->bulk = create(state, rinfo, request != NULL);
	if (request != NULL && request->replace)
	{
		state->bulk->replaces = true;
		begin_load(state);
	}
}

/* One row that is large is no reason to keep so much room. */
static void
shrink_room(StringInfo room)
{
	MemoryContext old;

	if (room->maxlen <= ROOM_BYTES)
		return;
	old = MemoryContextSwitchTo(GetMemoryChunkContext(room->data));
	pfree(room->data);
	initStringInfo(room);
	MemoryContextSwitchTo(old);
}

void
fdw_bulk_add(FdwModify *state, TupleTableSlot *slot)
{
	FdwBulk    *bulk = state->bulk;
	ForestWrite put = fdw_modify_put_in(state, slot, &bulk->key, &bulk->value);

	if (bulk->load != NULL)
		add_to_load(bulk, &put);
	else
		hold_row(bulk, &put);
	shrink_room(&bulk->value);
	if (bulk->statement->held > bytes_limit())
		relieve(bulk->statement);
}

static int
compare_tables(const ListCell *a, const ListCell *b)
{
	int32		left = ((const FdwModify *) lfirst(a))->table.table_id;
	int32		right = ((const FdwModify *) lfirst(b))->table.table_id;

	return (left > right) - (left < right);
}

/*
 * Two statements that load the same partitions meet at the locks that their loads
 * take.  They come to the partitions in the order of their rows: so the locks
 * are taken in another one, which is the same for both, and only when all that
 * takes long is done.
 */
static void
lock_tables(BulkStatement *statement)
{
	ListCell   *cell;

	foreach(cell, statement->tables)
	{
		const FdwModify *state = lfirst(cell);

		if (state->bulk->load != NULL)
			forest_load_build(state->bulk->load);
	}
	list_sort(statement->tables, compare_tables);
	foreach(cell, statement->tables)
	{
		const FdwModify *state = lfirst(cell);

		if (state->bulk->load != NULL || state->bulk->n > 0)
			catalog_lock_table(state->table.table_id,
							   state->bulk->load != NULL ? ShareRowExclusiveLock : RowExclusiveLock);
	}
}

/* Core ends one table after the other, when the last row has come. */
void
fdw_bulk_end(FdwModify *state)
{
	BulkStatement *statement = state->bulk != NULL ? state->bulk->statement : NULL;
	ListCell   *cell;

	if (statement == NULL || statement->ended)
		return;
	statement->ended = true;
	if (list_length(statement->tables) > 1)
		lock_tables(statement);
	foreach(cell, statement->tables)
	{
		FdwModify  *each = lfirst(cell);

		write_rows(each, each->bulk);
		if (each->bulk->load != NULL)
			finish_load(each->bulk);
	}
}

bool
fdw_bulk_loads(const FdwModify *state)
{
	return state->bulk != NULL && state->bulk->load != NULL;
}

bool
fdw_bulk_on_request(const FdwModify *state)
{
	return state->bulk != NULL && state->bulk->on_request;
}
