/*
 * forest_storage.c
 *		Table options about the form of runs.
 */
#include "postgres.h"

#include "forest/forest_storage.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_foreign_table.h"
#include "forest/forest_table.h"
#include "server/pg_settings.h"
#include "server/pg_thresholds.h"
#include "utils/guc.h"
#include "utils/syscache.h"

bool
forest_storage_parse(const char *option, const char *text, int *value)
{
	if (strcmp(option, "compression_level") == 0)
		return parse_int(text, value, 0, NULL) && *value >= 0 && *value <= STORAGE_MAX_LEVEL;
	if (strcmp(option, "filter_bits") == 0)
		return parse_int(text, value, 0, NULL) && *value >= 0 && *value <= STORAGE_MAX_FILTER_BITS;
	Assert(strcmp(option, "dictionary") == 0);
	return parse_int(text, value, GUC_UNIT_BYTE, NULL) &&
		(*value == 0 || (*value >= SST_MIN_DICTIONARY_BYTES && *value <= STORAGE_MAX_DICTIONARY_KB * 1024));
}

static void
take_option(List *options, const char *option, int *value)
{
	const char *text = forest_option(options, option);
	int			parsed;

	if (text != NULL && forest_storage_parse(option, text, &parsed))
		*value = parsed;
}

/* NIL for a table that is gone, too. */
static List *
table_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNTABLEREL, ObjectIdGetDatum(relid));
	List	   *options = NIL;
	bool		isnull;
	Datum		datum;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(FOREIGNTABLEREL, tuple, Anum_pg_foreign_table_ftoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}

ForestStorage
forest_storage(Oid relid)
{
	ForestStorage storage = {
		.zstd_level = setting_compression_level,
		.filter_bits = SST_FILTER_DEFAULT_BITS
	};
	List	   *options = table_options(relid);

	take_option(options, "compression_level", &storage.zstd_level);
	take_option(options, "dictionary", &storage.dictionary_bytes);
	take_option(options, "filter_bits", &storage.filter_bits);
	return storage;
}

void
forest_thresholds(Oid relid, LsmSettings *settings)
{
	List	   *options = table_options(relid);
	const char *name;

	for (int i = 0; (name = pg_threshold_option(i)) != NULL; i++)
	{
		const char *text = forest_option(options, name);

		if (text != NULL)
			(void) pg_threshold_parse(name, text, settings);
	}
}
