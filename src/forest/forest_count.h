/*
 * forest_count.h
 *		How many keys of a range a snapshot sees, without reading what the registry
 *		tells already.
 */
#ifndef FOREST_COUNT_H
#define FOREST_COUNT_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_table.h"
#include "utils/snapshot.h"

/*
 * The number of entries that forest_scan_begin (forest_read.h), with the same
 * arguments, would hand out.  Errors as there.
 */
extern int64 forest_count(const ForestTable *table, Snapshot snapshot, const SvSlice *low, const SvSlice *high);

#endif							/* FOREST_COUNT_H */
