/*
 * forest_cuts.h
 *		Keys that cut a range of a table into slices of about equal bytes, for
 *		several processes that scan it together.
 *
 * Whatever the keys, the slices are the range; they are only as good as what is known:
 * the blocks' first keys where the range is in few runs, whose tails are read for it, and
 * the runs' first keys where it is in many.  What is in the delta alone is not cut.
 */
#ifndef FOREST_CUTS_H
#define FOREST_CUTS_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_table.h"

typedef struct ForestCuts
{
	int			n;
	SvSlice    *keys;			/* ascending, each above low and below high */
	uint64		bytes;			/* between the bounds, before compression, about */
} ForestCuts;

/*
 * Cuts low <= key < high (NULL: open) into slices of no less than slice_bytes, but into at
 * least `least` and at most `most`, as far as there are keys to cut at.  Palloc'd in
 * CurrentMemoryContext; errors as in forest_read.h.
 */
extern void forest_cuts(const ForestTable *table, Snapshot snapshot, const SvSlice *low, const SvSlice *high,
						int least, int most, uint64 slice_bytes, ForestCuts *cuts);

#endif							/* FOREST_CUTS_H */
