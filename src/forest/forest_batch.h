/*
 * forest_batch.h
 *		Looking up many keys in one operation: sorted, each once, run by run,
 *		each block once (ARCHITECTURE.md: "Life of a batch").
 */
#ifndef FOREST_BATCH_H
#define FOREST_BATCH_H

#include "postgres.h"

#include "forest/forest_read.h"

/*
 * Batches of one caller, one after the other.  What is begun lives in
 * CurrentMemoryContext, and ends with it at the latest; its memory is kept for
 * the next one of the process, up to some megabytes.
 */
typedef struct ForestBatch ForestBatch;

/* What a get takes for each key beside it and its value, about. */
#define FOREST_BATCH_KEY_BYTES 384

extern ForestBatch *forest_batch_begin(void);
extern void forest_batch_end(ForestBatch *batch);

/* Room for n things of so many bytes, for the caller's arrays, good until the end. */
extern void *forest_batch_room(ForestBatch *batch, Size n, Size bytes);

/*
 * Looks up keys[i] in tables[i], or with one_table all in tables[0], for n keys
 * in any order, repeats allowed, all under one snapshot; otherwise like
 * forest_get.  The i-th answer is that of key i.  Answers and their values are
 * good until the next get, or the end.
 */
extern const ForestValue *forest_batch_get(ForestBatch *batch, const ForestTable *const *tables,
										   bool one_table, const SvSlice *keys, int n,
										   Snapshot snapshot);

#endif							/* FOREST_BATCH_H */
