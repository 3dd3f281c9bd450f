/*
 * forest_filter_trigger.h
 *		The triggers of skyvault.delta, which feed the filter.
 */
#ifndef FOREST_FILTER_TRIGGER_H
#define FOREST_FILTER_TRIGGER_H

#include "postgres.h"

#include "utils/relcache.h"

/* Whether rows of the delta, which is open, cannot be inserted without the filter being told. */
extern bool forest_filter_is_fed(Relation delta);

/* Chains object_access_hook, so that ALTER TABLE ... DISABLE TRIGGER is noticed. */
extern void forest_filter_install_hook(void);

#endif							/* FOREST_FILTER_TRIGGER_H */
