/*
 * pg_thresholds.h
 *		When to compact: the settings skyvault.* behind lsm_settings.h, and the
 *		table options of the same names that override them.
 *
 * One table in pg_thresholds.c has them all.
 */
#ifndef PG_THRESHOLDS_H
#define PG_THRESHOLDS_H

#include "postgres.h"

#include "lsm/lsm_settings.h"

/* Defines the settings, for pg_settings_define. */
extern void pg_thresholds_define(void);

/* As the settings have them. */
extern LsmSettings pg_thresholds(void);

/* The name of the index-th table option; NULL after the last. */
extern const char *pg_threshold_option(int index);

/*
 * Overrides *settings by a table option; false if text is not a value of it.
 * What is allowed says pg_threshold_hint, palloc'd.
 */
extern bool pg_threshold_parse(const char *option, const char *text, LsmSettings *settings);
extern char *pg_threshold_hint(const char *option);

#endif							/* PG_THRESHOLDS_H */
