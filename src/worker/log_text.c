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
#include "forest/forest_sql.h"
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
 */
static const char table_lines_sql[] =
"SELECT jsonb_build_object('table', jsonb_build_object("
" 'id', t.id, 'schema', n.nspname, 'name', c.relname, 'key_signature', t.key_signature,"
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
" WHERE t.vault_id = $1::integer ORDER BY t.id";

char **
log_table_lines(int32 vault_id, bool with_floors, int *n, int64 *hash)
{
	ForestRows	rows = forest_sql_fixed(table_lines_sql, 2, forest_arg(vault_id), with_floors ? "true" : "false");
	uint64		all = 0;

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
