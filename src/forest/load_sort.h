/*
 * load_sort.h
 *		Entries of a load, sorted: in memory, and in temporary files when there
 *		are more than fit.  Of equal keys the last one added survives.
 *
 * This is not tuplesort: rows are keys and values already, compared as bytes,
 * which a radix sort of their first differing bytes (key_sort.c) does for a
 * fraction of what comparisons cost; they are copied once, with no allocation
 * each; and the merge of the files is the one that runs are merged with.
 */
#ifndef LOAD_SORT_H
#define LOAD_SORT_H

#include "postgres.h"

#include "forest/load_build.h"

typedef struct LoadSort LoadSort;

/* Lives in a child of CurrentMemoryContext.  Memory for entries is taken as they come. */
extern LoadSort *load_sort_begin(Size memory_bytes, LoadDuplicate duplicate, void *duplicate_state);

/* Copies it. */
extern void load_sort_add(LoadSort *sort, const SstEntry *entry);

/* Whether all keys added so far ascend, none of them twice; what they take; the last one. */
extern bool load_sort_is_ascending(const LoadSort *sort);
extern Size load_sort_bytes(const LoadSort *sort);

/* No more entries are added; then all of them come, in order.  An entry is good until the next call. */
extern void load_sort_perform(LoadSort *sort);
extern bool load_sort_next(LoadSort *sort, SstEntry *entry);

/* Forgets all entries and keeps the memory: as after load_sort_begin. */
extern void load_sort_reset(LoadSort *sort);
extern void load_sort_end(LoadSort *sort);

#endif							/* LOAD_SORT_H */
