/*
 * key_sort.h
 *		Sorting keys of a batch.
 */
#ifndef KEY_SORT_H
#define KEY_SORT_H

#include "postgres.h"

#include "base/sv_slice.h"

/* A key while it is sorted; for key_sort.c only. */
typedef struct KeySortItem
{
	uint64		window;			/* the bytes after the common prefix, zeros where the key ends */
	int			position;
} KeySortItem;

/*
 * Brings the n positions of keys in `order` into ascending byte order of the
 * keys, those of equal keys ascending.  room: for 2 n items, while it runs.
 * Looks for interrupts, and leaves positions in any order then.
 */
extern void key_sort(const SvSlice *keys, int *order, int n, KeySortItem *room);

#endif							/* KEY_SORT_H */
