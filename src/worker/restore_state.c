/*
 * restore_state.c
 *		Applies the lines of snapshots and of the log.
 *
 * A change may be applied that is in the state already: runs are replaced by
 * id, floors only rise, and what is gone may be removed again.
 */
#include "postgres.h"

#include "worker/restore_state.h"

#include "base/sv_sealed.h"
#include "forest/forest_changelog.h"
#include "forest/forest_sql.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

static RestoreTable *
find_table(RestoreState *state, int32 table_id)
{
	RestoreTable *table;
	ListCell   *cell;

	foreach(cell, state->tables)
	{
		table = lfirst(cell);
		if (table->id == table_id)
			return table;
	}
	table = palloc0(sizeof(RestoreTable));
	table->id = table_id;
	state->tables = lappend(state->tables, table);
	return table;
}

char *
restore_as_array(SvSlice lines)
{
	StringInfoData array;
	SvSlice		line;

	initStringInfo(&array);
	appendStringInfoChar(&array, '[');
	while (sv_sealed_next(&lines, &line))
	{
		if (array.len > 1)
			appendStringInfoChar(&array, ',');
		appendBinaryStringInfo(&array, (const char *) line.data, (int) line.len);
	}
	appendStringInfoChar(&array, ']');
	return array.data;
}

const char *
restore_cell(const ForestRows *rows, int row, int column)
{
	const char *cell = forest_cell(rows, row, column);

	if (cell == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the snapshot or log has a line that lacks something"),
				 errhint("A newer version of skyvault may have written it.")));
	return cell;
}

/* Of the line l. */
#define TABLE_NAME "jsonb_build_array(l->'table'->>'schema', l->'table'->>'name')::text"

static void
apply_table(RestoreState *state, const ForestRows *rows, int row)
{
	RestoreTable *table = find_table(state, (int32) forest_cell_int64(rows, row, 1));

	table->definition = unconstify(char *, forest_cell(rows, row, 2));
	table->floor_seq = Max(table->floor_seq, forest_cell_int64(rows, row, 3));
	table->name = unconstify(char *, forest_cell(rows, row, 4));
	table->told = state->round;
	table->dropped = false;
}

/*
 * What had a name before that another table has in the same object was dropped,
 * or lost its content to that table and was dropped: its own change comes later.
 */
static void
give_up_names(RestoreState *state)
{
	ListCell   *outer;
	ListCell   *inner;

	foreach(outer, state->tables)
	{
		RestoreTable *old = lfirst(outer);

		if (old->told == state->round || old->name == NULL || old->dropped)
			continue;
		foreach(inner, state->tables)
		{
			RestoreTable *now = lfirst(inner);

			old->dropped |= now->told == state->round && strcmp(now->name, old->name) == 0;
		}
	}
}

#define INSERT_RUNS \
	"INSERT INTO skyvault.run SELECT (jsonb_populate_record(NULL::skyvault.run," \
	" r || jsonb_build_object('vault_id', $2::integer))).* FROM jsonb_array_elements($1::jsonb) AS l, "

void
restore_apply_snapshot(RestoreState *state, SvSlice lines, const char *name)
{
	char	   *array = restore_as_array(lines);
	ForestRows	rows = forest_sql("SELECT 1, l->'table'->>'id', l->'table', l->'table'->>'floor_seq', " TABLE_NAME
								  " FROM jsonb_array_elements($1::jsonb) AS l WHERE l ? 'table'", 1, array);

	for (int i = 0; i < rows.nrows; i++)
		apply_table(state, &rows, i);
	(void) forest_sql(INSERT_RUNS "LATERAL (SELECT l->'run') AS u(r) WHERE l ? 'run'",
					  2, array, forest_arg(state->vault_id));
}

/* Columns: kind, id, changes' added, removed, floor_seq, first table. */
static void
apply_change(RestoreState *state, const char *kind, const char *added, const char *removed,
			 int64 floor_seq, int64 table_id)
{
	if (floor_seq > 0)
	{
		RestoreTable *table = find_table(state, (int32) table_id);

		table->floor_seq = Max(table->floor_seq, floor_seq);
		table->dropped |= strcmp(kind, CHANGE_DROP) == 0;
		state->write_seq = Max(state->write_seq, floor_seq);
	}
	(void) forest_sql("DELETE FROM skyvault.run WHERE vault_id = $3::integer AND (id IN"
					  " (SELECT e::bigint FROM jsonb_array_elements($1::jsonb) AS e) OR id IN"
					  " (SELECT (e->>'id')::bigint FROM jsonb_array_elements($2::jsonb) AS e))",
					  3, removed, added, forest_arg(state->vault_id));
	(void) forest_sql(INSERT_RUNS "LATERAL (SELECT l) AS u(r)", 2, added, forest_arg(state->vault_id));
}

bool
restore_apply_log(RestoreState *state, SvSlice lines, int64 last_id, const char *name)
{
	ForestRows	rows = forest_sql("SELECT CASE WHEN l ? 'table' THEN 't' WHEN l ? 'change' THEN 'c' ELSE '?' END,"
								  " coalesce(l->'table'->>'id', l->'change'->>'id'), l->'table',"
								  " l->'table'->>'floor_seq', " TABLE_NAME ","
								  " l->'change'->>'kind', l->'change'->'changes'->'added',"
								  " l->'change'->'changes'->'removed',"
								  " l->'change'->'changes'->>'floor_seq', l->'change'->'table_ids'->>0"
								  " FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS e(l, n) ORDER BY n",
								  1, restore_as_array(lines));
	bool		defines = false;

	state->round++;
	for (int i = 0; i < rows.nrows; i++)
	{
		char		kind = forest_cell(&rows, i, 0)[0];
		int64		id = forest_cell_int64(&rows, i, 1);

		if (kind == 't')
			apply_table(state, &rows, i);
		else if (defines)
			give_up_names(state);
		defines = kind == 't';
		if (kind != 'c' || id <= state->id || id > last_id)
			continue;
		if (id != state->id + 1)
			return false;
		apply_change(state, restore_cell(&rows, i, 5), forest_cell(&rows, i, 6), forest_cell(&rows, i, 7),
					 forest_cell_int64(&rows, i, 8), forest_cell_int64(&rows, i, 9));
		state->id = id;
		CHECK_FOR_INTERRUPTS();
	}
	if (defines)
		give_up_names(state);
	return true;
}
