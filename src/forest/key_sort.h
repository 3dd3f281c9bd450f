/*
 * key_sort.h
 *		Sorting keys of a batch.
 */
#ifndef KEY_SORT_H
#define KEY_SORT_H

#include "postgres.h"

#include "base/sv_slice.h"

/*
 * Fills order[0..n) with the positions of the keys in ascending byte order,
 * equal keys by position.  Needs memory of 32 bytes a key while it runs, of
 * CurrentMemoryContext.
 */
extern void key_sort(const SvSlice *keys, int n, int *order);

#endif							/* KEY_SORT_H */
