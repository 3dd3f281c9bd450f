/*
 * forest_run.h
 *		Open runs: lookups and iterators over the SST of one run.
 *
 * Readers are kept open per backend, least recently used first to go, and
 * found by the run's object name.  All of these raise errors: XX001 naming the
 * object if its bytes are not what was written, or if it is gone (on a standby
 * that is 40001: the primary was allowed to delete it), 58030 if the store
 * cannot be read.
 */
#ifndef FOREST_RUN_H
#define FOREST_RUN_H

#include "postgres.h"

#include "lsm/lsm_forest.h"
#include "lsm/lsm_merge.h"
#include "sst/sst_entry.h"

/*
 * The table's entry for a key in a run.  entry->value is valid until the next
 * call of this function; entry->key is the caller's.
 */
extern bool forest_run_get(Oid server_oid, const LsmSourceRun *source, SvSlice key, SstEntry *entry);

/*
 * Iterates over the table's entries with low <= key < high in a run.  Lives in
 * CurrentMemoryContext and keeps the run open until that is reset.
 */
typedef struct ForestRunIterator ForestRunIterator;

extern ForestRunIterator *forest_run_iterate(Oid server_oid, const LsmSourceRun *source,
											 const SvSlice *low, const SvSlice *high, bool backward);

/* An LsmSource over the iterator; errors are raised, not returned. */
extern LsmSource forest_run_source(ForestRunIterator *iterator);

#endif							/* FOREST_RUN_H */
