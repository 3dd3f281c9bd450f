/*
 * forest_batch.h
 *		Looking up many keys in one operation: sorted, each once, run by run,
 *		each block once (design: "Reading").
 */
#ifndef FOREST_BATCH_H
#define FOREST_BATCH_H

#include "postgres.h"

#include "forest/forest_read.h"

/*
 * Looks up keys[i] in tables[i] for n pairs in any order, repeats allowed, all
 * under one snapshot; otherwise like forest_get.  out[i] is the answer to
 * pair i.  The values are in one piece of memory of CurrentMemoryContext.
 */
extern void forest_multi_get(const ForestTable *const *tables, const SvSlice *keys, int n,
							 Snapshot snapshot, ForestValue *out);

#endif							/* FOREST_BATCH_H */
