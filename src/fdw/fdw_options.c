/*
 * fdw_options.c
 *		See fdw_options.h.
 */
#include "postgres.h"

#include "fdw/fdw_options.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "datatype/timestamp.h"
#include "fdw/fdw_server_options.h"
#include "forest/forest_storage.h"
#include "forest/forest_table.h"
#include "forest/row_missing.h"
#include "server/pg_thresholds.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

static void check_boolean(const char *name, const char *value);
static void check_key(const char *name, const char *value);
static void check_ttl(const char *name, const char *value);
static void check_insert(const char *name, const char *value);
static void check_batch_size(const char *name, const char *value);
static void check_missing(const char *name, const char *value);
static void check_storage(const char *name, const char *value);
static void check_threshold(const char *name, const char *value);

typedef struct FdwOption
{
	const char *name;
	Oid			catalog;		/* of the objects that may have it */
	void		(*check) (const char *name, const char *value);
} FdwOption;

static const FdwOption options_known[] = {
	{"url", ForeignServerRelationId, fdw_check_url},
	{"endpoint", ForeignServerRelationId, fdw_check_endpoint},
	{"region", ForeignServerRelationId, fdw_check_region},
	{"path_style", ForeignServerRelationId, check_boolean},
	{"signature", ForeignServerRelationId, fdw_check_signature},
	{"conditional_puts", ForeignServerRelationId, fdw_check_conditional_puts},
	{"tls_ca_file", ForeignServerRelationId, fdw_check_ca_file},
	{"credentials", ForeignServerRelationId, fdw_check_credentials},
	{"profile", ForeignServerRelationId, fdw_check_profile},
	{"mirror", ForeignServerRelationId, check_boolean},
	{"shared", ForeignServerRelationId, check_boolean},
	{"async_capable", ForeignServerRelationId, check_boolean},
	{"io_concurrency", ForeignServerRelationId, fdw_check_io_concurrency},
	{"batch_size", ForeignServerRelationId, check_batch_size},
	{"access_key_id", UserMappingRelationId, fdw_check_secret},
	{"secret_access_key", UserMappingRelationId, fdw_check_secret},
	{"session_token", UserMappingRelationId, fdw_check_secret},
	{"key", ForeignTableRelationId, check_key},
	{"ttl", ForeignTableRelationId, check_ttl},
	{"insert", ForeignTableRelationId, check_insert},
	{"batch_size", ForeignTableRelationId, check_batch_size},
	{ROW_MISSING_OPTION, AttributeRelationId, check_missing},
	{"async_capable", ForeignTableRelationId, check_boolean},
	{"compression_level", ForeignTableRelationId, check_storage},
	{"dictionary", ForeignTableRelationId, check_storage},
	{"filter_bits", ForeignTableRelationId, check_storage},
	{"buffer_runs", ForeignTableRelationId, check_threshold},
	{"buffer_size", ForeignTableRelationId, check_threshold},
	{"level1_size", ForeignTableRelationId, check_threshold},
	{"level_ratio", ForeignTableRelationId, check_threshold},
	{"bottom_level", ForeignTableRelationId, check_threshold},
	{"garbage_share", ForeignTableRelationId, check_threshold},
	{"trivial_moves", ForeignTableRelationId, check_threshold},
	{"subcompactions", ForeignTableRelationId, check_threshold},
	{"subcompaction_size", ForeignTableRelationId, check_threshold},
	{"run_size", ForeignTableRelationId, check_threshold},
};

void
fdw_options_bad_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

static void
check_boolean(const char *name, const char *value)
{
	bool		ignored;

	if (!parse_bool(value, &ignored))
		fdw_options_bad_value(name, value, "The value is a boolean, such as \"on\" or \"off\".");
}

/* Whether the columns exist is checked where the table is at hand. */
static void
check_key(const char *name, const char *value)
{
	char	   *copy = pstrdup(value);
	List	   *columns;

	if (!SplitIdentifierString(copy, ',', &columns) || columns == NIL)
		fdw_options_bad_value(name, value, "The value is a list of column names, separated by commas.");
	list_free(columns);
	pfree(copy);
}

/* Whether it is a value of the column is seen where the column is at hand. */
static void
check_missing(const char *name, const char *value)
{
}

static void
check_storage(const char *name, const char *value)
{
	int			ignored;

	if (forest_storage_parse(name, value, &ignored))
		return;
	if (strcmp(name, "dictionary") == 0)
		fdw_options_bad_value(name, value,
						 "The value is a size from 256 bytes to 256 kB, such as \"4kB\"; 0 turns it off.");
	if (strcmp(name, "filter_bits") == 0)
		fdw_options_bad_value(name, value, "The value is a number of bits from 0 (no filter) to 20.");
	fdw_options_bad_value(name, value, "The value is a zstd level from 1 to 19, or 0 for none.");
}

static void
check_threshold(const char *name, const char *value)
{
	LsmSettings ignored;

	if (!pg_threshold_parse(name, value, &ignored))
		fdw_options_bad_value(name, value, pg_threshold_hint(name));
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
		fdw_options_bad_value(name, value, "The value is an interval above zero, such as \"30 days\".");
}

static void
check_insert(const char *name, const char *value)
{
	if (strcmp(value, "replace") != 0 && strcmp(value, "strict") != 0)
		fdw_options_bad_value(name, value, "The value is \"replace\" or \"strict\".");
}

static void
check_batch_size(const char *name, const char *value)
{
	int			ignored;

	if (!forest_parse_batch_size(value, &ignored))
		fdw_options_bad_value(name, value, "The value is a number of rows from 1 to 100000.");
}

static const FdwOption *
find_option(const char *name, Oid catalog)
{
	for (int i = 0; i < lengthof(options_known); i++)
		if (options_known[i].catalog == catalog && strcmp(options_known[i].name, name) == 0)
			return &options_known[i];
	return NULL;
}

static void
report_unknown_option(const char *name, Oid catalog)
{
	StringInfoData valid;

	initStringInfo(&valid);
	for (int i = 0; i < lengthof(options_known); i++)
		if (options_known[i].catalog == catalog)
			appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", options_known[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 valid.len > 0 ? errhint("Valid options in this context are: %s", valid.data) :
			 errhint("There are no valid options in this context."),
			 errhidestmt(catalog == UserMappingRelationId)));	/* it may hold a secret */
}

void
fdw_options_validate(Datum options, Oid catalog)
{
	List	   *list = untransformRelOptions(options);
	ListCell   *cell;

	foreach(cell, list)
	{
		DefElem    *given = lfirst_node(DefElem, cell);
		const FdwOption *option = find_option(given->defname, catalog);

		if (option == NULL)
			report_unknown_option(given->defname, catalog);
		option->check(given->defname, defGetString(given));
	}
	if (catalog == ForeignServerRelationId)
		fdw_server_options_check(list);
	else if (catalog == UserMappingRelationId)
		fdw_mapping_options_check(list);
}
