/*
 * fdw_unique.h
 *		The planner learns that a key of one column is unique.
 *
 * A foreign table has no unique index from which it would know; without this it
 * takes a join by the key of a table that was never analyzed for one that
 * multiplies rows.  Of a partitioned table it is, where it says which partition a row is in.
 */
#ifndef FDW_UNIQUE_H
#define FDW_UNIQUE_H

#include "postgres.h"

/* At server start: chains get_relation_stats_hook. */
extern void fdw_unique_install(void);

#endif							/* FDW_UNIQUE_H */
