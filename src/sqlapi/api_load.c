/*
 * api_load.c
 *		skyvault_load.
 *
 * It runs an INSERT or a COPY FROM, as the caller: so casts, defaults,
 * constraints and privileges are Postgres's own.  What is different is asked
 * of the wrapper by a LoadRequest.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "forest/forest_swap.h"
#include "forest/forest_table.h"
#include "forest/load_request.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "server/pg_compat.h"
#include "sqlapi/api_args.h"
#include "sqlapi/api_keep.h"
#include "sqlapi/api_map.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(skyvault_load);

/* By argument. */
enum
{
	ARG_REL,
	ARG_SOURCE,
	ARG_FORMAT,
	ARG_COLUMNS,
	ARG_REPLACE,
	ARG_OPTIONS,
	ARG_KEEP
};

static const char *
text_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* " (a, b)", or nothing for all columns. */
static void
append_columns(StringInfo sql, FunctionCallInfo fcinfo)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(ARG_COLUMNS))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(ARG_COLUMNS), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a column's name must not be null")));
		appendStringInfo(sql, "%s%s", i == 0 ? " (" : ", ", quote_identifier(NameStr(*DatumGetName(names[i]))));
	}
	if (n > 0)
		appendStringInfoChar(sql, ')');
}

static void
check_is_query(const char *source)
{
	List	   *statements = raw_parser(source, RAW_PARSE_DEFAULT);

	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("source is not one query"),
				 errhint("For a file, name its format: text, csv or binary.")));
}

/* As the options might end COPY's list of them. */
static void
check_is_copy(const char *sql)
{
	List	   *statements = raw_parser(sql, RAW_PARSE_DEFAULT);

	if (list_length(statements) != 1 || !IsA(linitial_node(RawStmt, statements)->stmt, CopyStmt))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("options are not a list of options of COPY")));
}

static void
append_insert(StringInfo sql, FunctionCallInfo fcinfo, const char *table, const char *source)
{
	if (!PG_ARGISNULL(ARG_OPTIONS))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options are for files")));
	check_is_query(source);
	appendStringInfo(sql, "INSERT INTO %s", table);
	append_columns(sql, fcinfo);
	appendStringInfo(sql, "\n%s", source);
}

static void
append_copy(StringInfo sql, FunctionCallInfo fcinfo, const char *table, const char *file, const char *format)
{
	if (strcmp(format, "text") != 0 && strcmp(format, "csv") != 0 && strcmp(format, "binary") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format \"%s\" is not known", format),
				 errhint("The formats are query, text, csv and binary.")));
	appendStringInfo(sql, "COPY %s", table);
	append_columns(sql, fcinfo);
	appendStringInfo(sql, " FROM %s WITH (FORMAT %s", quote_literal_cstr(file), format);
	if (!PG_ARGISNULL(ARG_OPTIONS))
		appendStringInfo(sql, ", %s", text_to_cstring(PG_GETARG_TEXT_PP(ARG_OPTIONS)));
	appendStringInfoChar(sql, ')');
	check_is_copy(sql->data);
}

/* What INSERT needs, the statement looks at itself. */
static void
check_may_replace(Relation rel)
{
	AclResult	result = pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_TRUNCATE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE, RelationGetRelationName(rel));
}

static uint64
run(const char *sql, Oid relid, bool replace)
{
	LoadRequest request = {.relid = relid,.replace = replace};
	uint64		rows;

	SPI_connect();
	load_request_push(&request);
	PG_TRY();
	{
		int			result = SPI_execute(sql, false, 0);

		if (result < 0)
			elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	}
	PG_FINALLY();
	{
		load_request_pop(&request);
	}
	PG_END_TRY();
	rows = SPI_processed;
	SPI_finish();
	return rows;
}

static char *
statement(FunctionCallInfo fcinfo, Relation target)
{
	const char *source = text_arg(fcinfo, ARG_SOURCE, "source");
	const char *format = text_arg(fcinfo, ARG_FORMAT, "format");
	const char *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(target)),
												   RelationGetRelationName(target));
	StringInfoData sql;

	initStringInfo(&sql);
	if (strcmp(format, "query") == 0)
		append_insert(&sql, fcinfo, table, source);
	else
		append_copy(&sql, fcinfo, table, source, format);
	return sql.data;
}

static uint64
load(FunctionCallInfo fcinfo, bool replace)
{
	Relation	rel = api_relation_lock(api_relation_arg(fcinfo, ARG_REL), RowExclusiveLock);
	Oid			relid = RelationGetRelid(rel);
	char	   *sql;

	(void) forest_table_for_read(relid);	/* an error if it is none of ours */
	if (replace)
		check_may_replace(rel);
	sql = statement(fcinfo, rel);
	table_close(rel, NoLock);
	return run(sql, relid, replace);
}

static void
check_may_keep(Relation rel)
{
	check_may_replace(rel);
	api_relation_check_owner(RelationGetRelid(rel));
	if (rel->trigdesc != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the content of foreign table \"%s\"", RelationGetRelationName(rel)),
				 errdetail("It has triggers.")));
}

/*
 * The rows go to the table that is to keep the old content, and then both exchange
 * theirs.  So the table is read and written until then; only its definition is
 * locked, which has to be the other one's at the end as well, and with it the next
 * one who would keep it.
 */
static uint64
load_and_keep(FunctionCallInfo fcinfo, const char *name)
{
	Relation	rel;
	Relation	kept;
	Oid			relid = api_relation_arg(fcinfo, ARG_REL);
	Oid			kept_relid;
	char	   *sql;
	uint64		rows;

	forest_swap_check_isolation();
	api_relation_check_owner(relid);
	rel = api_relation_lock(relid, ShareUpdateExclusiveLock);
	check_may_keep(rel);
	CheckTableNotInUse(rel, "exchange the content of");
	kept = api_keep_create(rel, name);
	kept_relid = RelationGetRelid(kept);
	sql = statement(fcinfo, kept);
	table_close(kept, NoLock);
	table_close(rel, NoLock);
	rows = run(sql, kept_relid, false);

	rel = api_relation_lock(relid, AccessExclusiveLock);
	kept = table_open(kept_relid, NoLock);
	forest_swap(rel, kept);
	table_close(kept, NoLock);
	table_close(rel, NoLock);
	return rows;
}

/*
 * (rel regclass, source text, format text, columns name[], replace boolean, options text, keep text): runs as
 * the caller
 */
Datum
skyvault_load(PG_FUNCTION_ARGS)
{
	bool		replace = !PG_ARGISNULL(ARG_REPLACE) && PG_GETARG_BOOL(ARG_REPLACE);

	if (PG_ARGISNULL(ARG_KEEP))
		PG_RETURN_INT64((int64) load(fcinfo, replace));
	if (!replace)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep is for loads that replace the content"),
				 errhint("Say replace => true.")));
	PG_RETURN_INT64((int64) load_and_keep(fcinfo, text_arg(fcinfo, ARG_KEEP, "keep")));
}
