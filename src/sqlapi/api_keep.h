/*
 * api_keep.h
 *		A foreign table like another one, for a content that takes the place of
 *		its own, or that it gives up.
 */
#ifndef API_KEEP_H
#define API_KEEP_H

#include "postgres.h"

#include "utils/relcache.h"

/*
 * Makes it as the caller and gives it to the relation's owner: the same server, options,
 * columns, defaults, NOT NULL and CHECK constraints; no triggers and no privileges.
 * The name may have a schema, else it is in that of the relation; 42P07 if it is taken.
 * Columns keep their numbers, so that forest_swap takes the two, which is checked.
 * Returns it open, locked in AccessExclusive.
 */
extern Relation api_keep_create(Relation rel, const char *name);

#endif							/* API_KEEP_H */
