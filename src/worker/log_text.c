/*
 * log_text.c
 *		Lines of the objects that the changelog and snapshots are written to,
 *		and their names.
 */
#include "postgres.h"

#include "worker/log_text.h"

#include <inttypes.h>

#include "base/sv_hash.h"
#include "base/sv_sealed.h"
#include "forest/forest_changelog.h"
#include "forest/forest_sql.h"
#include "lib/stringinfo.h"
#include "server/pg_status.h"
#include "utils/builtins.h"

char *
log_uuid_text(const pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(uuid)));
}

char *
log_object_name(const pg_uuid_t *vault, int64 epoch, int64 number)
{
	return psprintf("%s/" INT64_FORMAT "/log/%016" PRIx64 ".log", log_uuid_text(vault), epoch, number);
}

char *
log_snapshot_name(const pg_uuid_t *vault, int64 epoch, int64 id, int64 job)
{
	return psprintf("%s/" INT64_FORMAT "/snapshot/%016" PRIx64 "-j" INT64_FORMAT ".snap",
					log_uuid_text(vault), epoch, id, job);
}

void
log_append(SvBuffer *text, const char *line)
{
	SvError		err;

	PG_STATUS_CHECK(sv_buffer_append(text, line, strlen(line), &err), &err);
	PG_STATUS_CHECK(sv_buffer_append(text, "\n", 1, &err), &err);
}

/*
 * What CREATE FOREIGN TABLE needs.  Columns keep their numbers, since rows are
 * stored by them.  Types are named with their schemas, as search_path has none.
 * m is whose content a relation had as of the change in question.
 */
static const char table_lines_sql[] =
"SELECT jsonb_build_object('table', jsonb_build_object("
" 'id', coalesce(m.was, t.id), 'schema', n.nspname, 'name', c.relname, 'key_signature', t.key_signature,"
" 'options', (SELECT coalesce(jsonb_object_agg(o.option_name, o.option_value), '{}')"
"             FROM pg_catalog.pg_options_to_table(f.ftoptions) AS o),"
" 'columns', (SELECT coalesce(jsonb_agg(jsonb_build_object('number', a.attnum, 'name', a.attname,"
"               'type', pg_catalog.format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,"
"               'collation', (SELECT jsonb_build_array(cn.nspname, l.collname) FROM pg_catalog.pg_collation AS l"
"                             JOIN pg_catalog.pg_namespace AS cn ON cn.oid = l.collnamespace"
"                             WHERE l.oid = a.attcollation AND l.collname <> 'default'),"
"               'missing', (SELECT o.option_value FROM pg_catalog.pg_options_to_table(a.attfdwoptions) AS o"
"                           WHERE o.option_name = 'missing'),"
"               'has_default', a.atthasdef) ORDER BY a.attnum), '[]')"
"             FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))"
" || CASE WHEN $2::boolean THEN jsonb_build_object('floor_seq', t.floor_seq) ELSE '{}' END)"
" FROM skyvault.\"table\" AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.relid"
" JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
" JOIN pg_catalog.pg_foreign_table AS f ON f.ftrelid = c.oid"
" LEFT JOIN unnest($3::integer[], $4::integer[]) AS m(id, was) ON m.id = t.id"
" WHERE t.vault_id = $1::integer ORDER BY coalesce(m.was, t.id)";

/* Takes back a swap of two contents: who has the one had the other before. */
static void
take_back(int64 *was, int n, int64 a, int64 b)
{
	for (int i = 0; i < n; i++)
	{
		if (was[i] == a)
			was[i] = b;
		else if (was[i] == b)
			was[i] = a;
	}
}

/*
 * Swaps that the snapshot sees and that come after the change: those without a
 * number come last, and of them two of the same table in serial order, in which
 * they had its lock.  Sets two arrays: ids, each once, and what they were.
 */
static void
swapped_since(int32 vault_id, int64 last_id, char **ids, char **before)
{
	ForestRows	swaps = forest_sql_fixed("SELECT table_ids[1], table_ids[2] FROM skyvault.changelog"
										 " WHERE vault_id = $1::integer AND kind = '" CHANGE_SWAP "' AND"
										 " (id IS NULL OR id > $2::bigint) ORDER BY id DESC NULLS FIRST,"
										 " serial DESC", 2, forest_arg(vault_id), forest_arg(last_id));
	int			n = 0;
	int64	   *id = palloc(sizeof(int64) * (2 * swaps.nrows + 1));
	int64	   *was = palloc(sizeof(int64) * (2 * swaps.nrows + 1));
	StringInfoData now_text;
	StringInfoData was_text;

	for (int i = 0; i < 2 * swaps.nrows; i++)
	{
		int64		table = forest_cell_int64(&swaps, i / 2, i % 2);
		int			known = 0;

		while (known < n && id[known] != table)
			known++;
		if (known == n)
			id[n++] = table;
	}
	memcpy(was, id, sizeof(int64) * n);
	for (int i = 0; i < swaps.nrows; i++)
		take_back(was, n, forest_cell_int64(&swaps, i, 0), forest_cell_int64(&swaps, i, 1));
	initStringInfo(&now_text);
	initStringInfo(&was_text);
	for (int i = 0; i < n; i++)
	{
		appendStringInfo(&now_text, "%c" INT64_FORMAT, i == 0 ? '{' : ',', id[i]);
		appendStringInfo(&was_text, "%c" INT64_FORMAT, i == 0 ? '{' : ',', was[i]);
	}
	appendStringInfoString(&now_text, n == 0 ? "{}" : "}");
	appendStringInfoString(&was_text, n == 0 ? "{}" : "}");
	*ids = now_text.data;
	*before = was_text.data;
}

char **
log_table_lines(int32 vault_id, int64 last_id, int *n, int64 *hash)
{
	char	   *ids = "{}";
	char	   *before = "{}";
	ForestRows	rows;
	uint64		all = 0;

	if (last_id != LOG_NOW)
		swapped_since(vault_id, last_id, &ids, &before);
	rows = forest_sql_fixed(table_lines_sql, 4, forest_arg(vault_id), last_id == LOG_NOW ? "true" : "false",
							ids, before);

	for (int i = 0; i < rows.nrows; i++)
		all = all * UINT64CONST(0x9E3779B97F4A7C15) + sv_hash64(sv_slice(rows.cells[i], strlen(rows.cells[i])));
	*n = rows.nrows;
	*hash = (int64) all;
	return rows.cells;
}

char *
log_sequences(void)
{
	ForestRows	rows = forest_sql("SELECT jsonb_build_object("
								  "'write', (SELECT last_value FROM skyvault.write_seq),"
								  "'run', (SELECT last_value FROM skyvault.run_id_seq),"
								  "'table', (SELECT last_value FROM skyvault.table_id_seq))", 0);

	return unconstify(char *, forest_cell(&rows, 0, 0));
}

void
log_status_check(SvStatus status, const SvError *err)
{
	if (status != SV_OK)
		pg_status_report(ERROR, err);
}

const char *
log_check_object(ObjectStore *store, const StoreCall *call, const char *name, bool deep)
{
	SvAlloc		alloc = pg_status_alloc(CurrentMemoryContext);
	StoreObject object;
	SvBuffer	content;
	SvSlice		lines;
	SvStatus	status;
	SvError		err;
	bool		whole;

	sv_buffer_init(&content, &alloc);
	status = deep ? store_get_small(store, name, LOG_MAX_OBJECT_BYTES, &content, &object, call, &err) :
		store_head(store, name, &object, call, &err);
	if (status == SV_NOT_FOUND)
		return "missing";
	log_status_check(status, &err);
	if (!deep)
		return NULL;
	whole = sv_sealed_open(sv_buffer_slice(&content), name, &lines, &err) == SV_OK;
	sv_buffer_free(&content);
	return whole ? NULL : "damaged";
}
