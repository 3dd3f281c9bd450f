/*
 * load_publish.h
 *		Makes the runs of a load part of the forest, in the user's transaction.
 */
#ifndef LOAD_PUBLISH_H
#define LOAD_PUBLISH_H

#include "postgres.h"

#include "forest/forest_load.h"

/*
 * Takes the table lock, looks at what others have done meanwhile, registers the
 * runs and takes those rows out of the delta whose keys they hold: how many goes to
 * *delta_rows.  Ends with a CommandCounterIncrement.
 */
extern void load_publish(const ForestTable *table, const LoadBuilt *built,
						 const ForestLoadOptions *options, uint64 *delta_rows);

#endif							/* LOAD_PUBLISH_H */
