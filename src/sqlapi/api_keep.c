/*
 * api_keep.c
 *		See api_keep.h.
 *
 * The statements are made of the catalogue as pg_dump makes them, with every name
 * qualified, and are run with nothing in the search_path that could take the place
 * of what they name.
 */
#include "postgres.h"

#include "sqlapi/api_keep.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "forest/forest_sql.h"
#include "forest/forest_swap.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"

#define PLACEHOLDER "skyvault dropped column "

/*
 * Of relation $1: the columns, with one more in the place of each that was dropped; where it is; and then what is
 * to be done with the table that user $2 has made of that, in order.
 */
static const char columns_sql[] =
"SELECT string_agg(CASE WHEN a.attisdropped THEN format('%I integer', '" PLACEHOLDER "' || a.attnum) ELSE"
"   format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))"
"   || coalesce(' OPTIONS (' || (SELECT string_agg(format('%I %L', o.option_name, o.option_value), ', ')"
"        FROM pg_options_to_table(a.attfdwoptions) AS o) || ')', '')"
"   || coalesce((SELECT format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_collation AS l"
"        JOIN pg_namespace AS n ON n.oid = l.collnamespace"
"        WHERE l.oid = a.attcollation AND l.oid <> t.typcollation), '')"
"   || CASE WHEN a.attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid))"
"           WHEN a.attgenerated <> '' THEN format(' GENERATED ALWAYS AS (%s)', pg_get_expr(d.adbin, d.adrelid))"
"           ELSE coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') END"
"   || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END END, ', ' ORDER BY a.attnum)"
" FROM pg_attribute AS a LEFT JOIN pg_type AS t ON t.oid = a.atttypid"
" LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
" WHERE a.attrelid = $1::oid AND a.attnum > 0";

static const char server_sql[] =
"SELECT format('SERVER %I', s.srvname) || coalesce(' OPTIONS (' ||"
"  (SELECT string_agg(format('%I %L', o.option_name, o.option_value), ', ')"
"   FROM pg_options_to_table(f.ftoptions) AS o) || ')', '')"
" FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = $1::oid";

static const char changes_sql[] =
"SELECT 'DROP COLUMN ' || quote_ident('" PLACEHOLDER "' || a.attnum) FROM pg_attribute AS a"
" WHERE a.attrelid = $1::oid AND a.attisdropped"
" UNION ALL SELECT format('ADD CONSTRAINT %I %s', c.conname, pg_get_constraintdef(c.oid)) FROM pg_constraint AS c"
" WHERE c.conrelid = $1::oid AND c.contype = 'c'"
" UNION ALL SELECT format('OWNER TO %I', r.rolname) FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner"
" WHERE c.oid = $1::oid AND r.oid <> $2::oid";

/* As the caller. */
static void
execute(const char *sql)
{
	SPI_connect();
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", sql);
	SPI_finish();
}

static void
make_table(Oid relid, const char *name)
{
	ForestRows	columns = forest_sql(columns_sql, 1, forest_arg(relid));
	ForestRows	server = forest_sql(server_sql, 1, forest_arg(relid));
	ForestRows	changes = forest_sql(changes_sql, 2, forest_arg(relid), forest_arg(GetUserId()));
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
	execute(psprintf("CREATE FOREIGN TABLE %s (%s) %s", name, forest_cell(&columns, 0, 0),
					 forest_cell(&server, 0, 0)));
	for (int i = 0; i < changes.nrows; i++)
		execute(psprintf("ALTER FOREIGN TABLE %s %s", name, forest_cell(&changes, i, 0)));
	AtEOXact_GUC(true, nest_level);
	CommandCounterIncrement();
}

/* An identity's sequence belongs to one column. */
static void
check_has_no_identity(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped && TupleDescAttr(desc, i)->attidentity != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the old content of foreign table \"%s\" cannot be kept", RelationGetRelationName(rel)),
					 errdetail("Column \"%s\" is an identity column.", NameStr(TupleDescAttr(desc, i)->attname)),
					 errhint("Make the other table yourself, load it, and call skyvault_swap().")));
}

Relation
api_keep_create(Relation rel, const char *name)
{
	RangeVar   *given = makeRangeVarFromNameList(compat_qualified_name_list(name));
	char	   *schema = given->schemaname;
	Oid			namespace;
	Relation	made;

	if (given->catalogname != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table name must not name a database")));
	check_has_no_identity(rel);
	if (schema == NULL)
		schema = get_namespace_name(RelationGetNamespace(rel));
	namespace = get_namespace_oid(schema, false);
	make_table(RelationGetRelid(rel), quote_qualified_identifier(schema, given->relname));
	made = table_open(get_relname_relid(given->relname, namespace), AccessExclusiveLock);
	forest_swap_check(rel, made);
	return made;
}
