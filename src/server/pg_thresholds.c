/*
 * pg_thresholds.c
 *		When to compact, as settings and as table options.
 */
#include "postgres.h"

#include "server/pg_thresholds.h"

#include <limits.h>

#include "server/pg_settings.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

typedef enum ThresholdKind
{
	THRESHOLD_COUNT,
	THRESHOLD_SIZE,				/* setting in kB, field in bytes */
	THRESHOLD_SHARE,
	THRESHOLD_SWITCH
} ThresholdKind;

typedef struct Threshold
{
	const char *name;			/* of the option; the setting has skyvault. in front */
	ThresholdKind kind;
	bool		is_setting;		/* one that is defined here */
	bool		is_option;		/* of a table */
	size_t		field;			/* in LsmSettings */
	int			low;			/* what is allowed: counts, or kB */
	int			high;
	const char *description;
} Threshold;

#define FIELD(name) offsetof(LsmSettings, name)
#define MAX_SIZE_KB (INT_MAX / 2)

static const Threshold thresholds[] = {
	{"wal_runs", THRESHOLD_COUNT, true, false, FIELD(wal_runs), 2, 1000,
	"Runs of many tables that are split by table when there are so many."},
	{"wal_size", THRESHOLD_SIZE, true, false, FIELD(wal_bytes), 64, MAX_SIZE_KB,
	"Size of all runs of many tables at which they are split by table."},
	{"buffer_runs", THRESHOLD_COUNT, true, true, FIELD(buffer_runs), 1, 1000,
	"Unmerged runs of a table that are merged into level 1 when there are so many."},
	{"buffer_size", THRESHOLD_SIZE, true, true, FIELD(buffer_bytes), 64, MAX_SIZE_KB,
	"Size of a table's unmerged runs at which they are merged into level 1."},
	{"level1_size", THRESHOLD_SIZE, true, true, FIELD(level1_bytes), 64, MAX_SIZE_KB,
	"Size of a table's level 1 beyond which it goes down to level 2."},
	{"level_ratio", THRESHOLD_COUNT, true, true, FIELD(ratio), 2, 100,
	"How many times larger than a level the next one may be."},
	{"bottom_level", THRESHOLD_COUNT, true, true, FIELD(bottom_level), 1, LSM_MAX_LEVEL,
	"The level below which nothing goes."},
	{"garbage_share", THRESHOLD_SHARE, true, true, FIELD(garbage_share), 0, 2,
	"Share of expired entries and useless tombstones at which a run is rewritten; above 1 never."},
	{"trivial_moves", THRESHOLD_SWITCH, true, true, FIELD(trivial_moves), 0, 1,
	"Runs that overlap nothing in the next level go there as they are."},
	{"subcompactions", THRESHOLD_COUNT, true, true, FIELD(subcompactions), 1, LSM_MAX_SUBCOMPACTIONS,
	"The most parts that a compaction is done in, each by any worker that is free; 1: none."},
	{"subcompaction_size", THRESHOLD_SIZE, true, true, FIELD(subcompaction_bytes), 16, MAX_SIZE_KB,
	"The least size of such a part."},
	{"compaction_runs", THRESHOLD_COUNT, true, false, FIELD(max_inputs), 2, 1000,
	"The most runs that one compaction takes, unless it needs more."},
	{"compaction_size", THRESHOLD_SIZE, true, false, FIELD(max_bytes), 1024, MAX_SIZE_KB,
	"The most bytes that one compaction takes, unless it needs more."},
	{"run_size", THRESHOLD_SIZE, false, true, FIELD(run_bytes), 64, 512 * 1024, NULL},
};

#define THRESHOLDS lengthof(thresholds)

/* What the settings say: count or kB, share, switch. */
static int	integers[THRESHOLDS];
static double shares[THRESHOLDS];
static bool switches[THRESHOLDS];

static void *
field_of(const Threshold *threshold, LsmSettings *settings)
{
	return (char *) settings + threshold->field;
}

static void
define_one(int i)
{
	const Threshold *threshold = &thresholds[i];
	LsmSettings defaults = LSM_SETTINGS_DEFAULTS;
	const void *field = field_of(threshold, &defaults);
	char	   *name = MemoryContextStrdup(TopMemoryContext, psprintf("skyvault.%s", threshold->name));

	/* Newer versions of Postgres want variables to have their defaults already. */
	switch (threshold->kind)
	{
		case THRESHOLD_COUNT:
			integers[i] = *(const int *) field;
			DefineCustomIntVariable(name, threshold->description, NULL, &integers[i], integers[i],
									threshold->low, threshold->high, PGC_SIGHUP, 0, NULL, NULL, NULL);
			break;
		case THRESHOLD_SIZE:
			integers[i] = (int) (*(const uint64 *) field / 1024);
			DefineCustomIntVariable(name, threshold->description, NULL, &integers[i], integers[i],
									threshold->low, threshold->high,
									PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
			break;
		case THRESHOLD_SHARE:
			shares[i] = *(const double *) field;
			DefineCustomRealVariable(name, threshold->description, NULL, &shares[i], shares[i],
									 threshold->low, threshold->high,
									 PGC_SIGHUP, 0, NULL, NULL, NULL);
			break;
		case THRESHOLD_SWITCH:
			switches[i] = *(const bool *) field;
			DefineCustomBoolVariable(name, threshold->description, NULL, &switches[i], switches[i],
									 PGC_SIGHUP, 0, NULL, NULL, NULL);
			break;
	}
}

void
pg_thresholds_define(void)
{
	for (int i = 0; i < THRESHOLDS; i++)
		if (thresholds[i].is_setting)
			define_one(i);
}

LsmSettings
pg_thresholds(void)
{
	LsmSettings settings = LSM_SETTINGS_DEFAULTS;

	for (int i = 0; i < THRESHOLDS; i++)
	{
		void	   *field = field_of(&thresholds[i], &settings);

		if (!thresholds[i].is_setting)
			continue;
		switch (thresholds[i].kind)
		{
			case THRESHOLD_COUNT:
				*(int *) field = integers[i];
				break;
			case THRESHOLD_SIZE:
				*(uint64 *) field = (uint64) integers[i] * 1024;
				break;
			case THRESHOLD_SHARE:
				*(double *) field = shares[i];
				break;
			case THRESHOLD_SWITCH:
				*(bool *) field = switches[i];
				break;
		}
	}
	settings.run_bytes = (uint64) setting_run_size_kb * 1024;
	return settings;
}

const char *
pg_threshold_option(int index)
{
	for (int i = 0; i < THRESHOLDS; i++)
		if (thresholds[i].is_option && index-- == 0)
			return thresholds[i].name;
	return NULL;
}

static const Threshold *
find_option(const char *option)
{
	for (int i = 0; i < THRESHOLDS; i++)
		if (thresholds[i].is_option && strcmp(thresholds[i].name, option) == 0)
			return &thresholds[i];
	elog(ERROR, "option \"%s\" is no threshold", option);
}

static bool
parse_integer(const Threshold *threshold, const char *text, int unit, int *value)
{
	return parse_int(text, value, unit, NULL) && *value >= threshold->low && *value <= threshold->high;
}

bool
pg_threshold_parse(const char *option, const char *text, LsmSettings *settings)
{
	const Threshold *threshold = find_option(option);
	void	   *field = field_of(threshold, settings);
	int			integer;
	double		share;

	switch (threshold->kind)
	{
		case THRESHOLD_COUNT:
			if (!parse_integer(threshold, text, 0, &integer))
				return false;
			*(int *) field = integer;
			return true;
		case THRESHOLD_SIZE:
			if (!parse_integer(threshold, text, GUC_UNIT_KB, &integer))
				return false;
			*(uint64 *) field = (uint64) integer * 1024;
			return true;
		case THRESHOLD_SHARE:
			if (!parse_real(text, &share, 0, NULL) || !(share >= threshold->low && share <= threshold->high))
				return false;
			*(double *) field = share;
			return true;
		case THRESHOLD_SWITCH:
			return parse_bool(text, (bool *) field);
	}
	return false;
}

char *
pg_threshold_hint(const char *option)
{
	const Threshold *threshold = find_option(option);

	switch (threshold->kind)
	{
		case THRESHOLD_COUNT:
			return psprintf("The value is a number from %d to %d.", threshold->low, threshold->high);
		case THRESHOLD_SIZE:
			return psprintf("The value is a size from %d kB to %d kB, such as \"64MB\".",
							threshold->low, threshold->high);
		case THRESHOLD_SHARE:
			return pstrdup("The value is a share from 0 to 1; above 1 means never.");
		case THRESHOLD_SWITCH:
			break;
	}
	return pstrdup("The value is a boolean, such as \"on\" or \"off\".");
}
