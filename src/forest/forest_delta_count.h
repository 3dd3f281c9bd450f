/*
 * forest_delta_count.h
 *		How much of the delta is a table's, at most: for the planner.
 */
#ifndef FOREST_DELTA_COUNT_H
#define FOREST_DELTA_COUNT_H

#include "postgres.h"

/*
 * Entries of the delta's index that are the table's, of rows that are dead as well, as
 * long as their index entries are there; counted up to `most`.  Looks at no row, so
 * that it costs a descent and a page or two of the index.
 */
extern int	delta_count_entries(int32 table_id, int most);

#endif							/* FOREST_DELTA_COUNT_H */
