/*
 * fdw_options.c
 *		See fdw_options.h.
 */
#include "postgres.h"

#include "fdw/fdw_options.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "datatype/timestamp.h"
#include "forest/forest_storage.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define FILE_SCHEME "file:"

static void check_url(const char *name, const char *value);
static void check_boolean(const char *name, const char *value);
static void check_key(const char *name, const char *value);
static void check_ttl(const char *name, const char *value);
static void check_insert(const char *name, const char *value);
static void check_storage(const char *name, const char *value);

const FdwOption fdw_options[] = {
	{"url", ForeignServerRelationId, check_url},
	{"shared", ForeignServerRelationId, check_boolean},
	{"key", ForeignTableRelationId, check_key},
	{"ttl", ForeignTableRelationId, check_ttl},
	{"insert", ForeignTableRelationId, check_insert},
	{"compression_level", ForeignTableRelationId, check_storage},
	{"dictionary", ForeignTableRelationId, check_storage},
	{"filter_bits", ForeignTableRelationId, check_storage},
	{NULL, InvalidOid, NULL}
};

static void
report_bad_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

static bool
has_parent_step(const char *path)
{
	const char *step = path;

	while (step != NULL)
	{
		size_t		len = strcspn(step, "/");

		if (len == 2 && strncmp(step, "..", 2) == 0)
			return true;
		step = step[len] == '/' ? step + len + 1 : NULL;
	}
	return false;
}

static void
check_url(const char *name, const char *value)
{
	const char *path;

	if (strncmp(value, FILE_SCHEME, strlen(FILE_SCHEME)) != 0 ||
		value[strlen(FILE_SCHEME)] == '\0')
		report_bad_value(name, value,
						 "The value is \"file:\" and a directory, which is below the data directory "
						 "unless it begins with a slash.");
	path = value + strlen(FILE_SCHEME);
	if (has_parent_step(path))
		report_bad_value(name, value, "The directory must not contain \"..\".");
	if (path[0] == '/' && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only superusers may use an absolute path in option \"%s\"", name),
				 errhint("A path without a leading slash is below the data directory.")));
}

static void
check_boolean(const char *name, const char *value)
{
	bool		ignored;

	if (!parse_bool(value, &ignored))
		report_bad_value(name, value, "The value is a boolean, such as \"on\" or \"off\".");
}

/* Whether the columns exist is checked where the table is at hand. */
static void
check_key(const char *name, const char *value)
{
	char	   *copy = pstrdup(value);
	List	   *columns;

	if (!SplitIdentifierString(copy, ',', &columns) || columns == NIL)
		report_bad_value(name, value, "The value is a list of column names, separated by commas.");
	list_free(columns);
	pfree(copy);
}

static void
check_storage(const char *name, const char *value)
{
	int			ignored;

	if (forest_storage_parse(name, value, &ignored))
		return;
	if (strcmp(name, "dictionary") == 0)
		report_bad_value(name, value,
						 "The value is a size from 256 bytes to 256 kB, such as \"4kB\"; 0 turns it off.");
	if (strcmp(name, "filter_bits") == 0)
		report_bad_value(name, value, "The value is a number of bits from 0 (no filter) to 20.");
	report_bad_value(name, value, "The value is a zstd level from 1 to 19, or 0 for none.");
}

/* As interval_in, but without raising its error. */
static bool
parse_interval(const char *value, Interval *result)
{
	struct pg_itm_in parts;
	char	   *copy = pstrdup(value);
	char		buffer[256];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			nfields;
	int			type;
	int			error;

	memset(&parts, 0, sizeof(parts));
	error = ParseDateTime(value, buffer, sizeof(buffer), fields, types, MAXDATEFIELDS, &nfields);
	if (error == 0)
		error = DecodeInterval(fields, types, nfields, INTERVAL_FULL_RANGE, &type, &parts);
	if (error == DTERR_BAD_FORMAT)
		error = DecodeISO8601Interval(copy, &type, &parts);
	return error == 0 && type == DTK_DELTA && itmin2interval(&parts, result) == 0;
}

static void
check_ttl(const char *name, const char *value)
{
	Interval	ttl;
	Interval	zero = {0};

	if (!parse_interval(value, &ttl) ||
		!DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(&ttl),
										  IntervalPGetDatum(&zero))))
		report_bad_value(name, value, "The value is an interval above zero, such as \"30 days\".");
}

static void
check_insert(const char *name, const char *value)
{
	if (strcmp(value, "replace") != 0 && strcmp(value, "strict") != 0)
		report_bad_value(name, value, "The value is \"replace\" or \"strict\".");
}

static const FdwOption *
find_option(const char *name, Oid catalog)
{
	for (const FdwOption *option = fdw_options; option->name != NULL; option++)
		if (option->catalog == catalog && strcmp(option->name, name) == 0)
			return option;
	return NULL;
}

static void
report_unknown_option(const char *name, Oid catalog)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (const FdwOption *option = fdw_options; option->name != NULL; option++)
		if (option->catalog == catalog)
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", option->name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 valid.len > 0 ? errhint("Valid options in this context are: %s", valid.data) :
			 errhint("There are no valid options in this context.")));
}

void
fdw_options_validate(Datum options, Oid catalog)
{
	ListCell   *cell;

	foreach(cell, untransformRelOptions(options))
	{
		DefElem    *given = lfirst_node(DefElem, cell);
		const FdwOption *option = find_option(given->defname, catalog);

		if (option == NULL)
			report_unknown_option(given->defname, catalog);
		option->check(given->defname, defGetString(given));
	}
}
