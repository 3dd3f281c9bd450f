/*
 * forest_sample.h
 *		A random sample of a table's live rows, out of some blocks of its runs and
 *		the delta: for ANALYZE.
 *
 * Runs are chosen by how many entries they have, blocks in them by chance, entries in
 * these by chance.  An entry counts if it is what a reader of its key would get: no
 * tombstone, not expired, and neither the delta nor a run before it in lookup order has
 * the key.  The share that counts, of all entries that the registry knows, is the
 * estimate of the number of rows.
 *
 * To keep the question simple, the delta counts as newer than all runs, the own ones too.
 * That is not so for a snapshot of before a load of its own (REPEATABLE READ), which may
 * see rows of the delta that were flushed since: these count instead of what was loaded
 * for their keys.  So rows are counted right, and some values in the sample are older.
 *
 * How much is read is bounded, whatever the size of the table: blocks and bytes of the
 * sample, tails, and how many blocks the question for newer entries is expected to
 * take.  The blocks of the sample go by the cache.
 */
#ifndef FOREST_SAMPLE_H
#define FOREST_SAMPLE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_table.h"

typedef struct ForestSampleRow
{
	SvSlice		key;
	SvSlice		value;
} ForestSampleRow;

typedef struct ForestSample
{
	int			n;				/* at most what was asked for; in key order */
	ForestSampleRow *rows;
	double		live_rows;		/* of the whole table, about */
	double		dead_rows;		/* entries of runs that no reader gets */
	uint32		blocks;			/* that were looked at; 0: the table was read as a whole */
	uint32		runs;			/* that these were of */
} ForestSample;

/* Everything is palloc'd in CurrentMemoryContext; errors as in forest_read.h. */
extern void forest_sample(const ForestTable *table, Snapshot snapshot, int wanted, ForestSample *sample);

#endif							/* FOREST_SAMPLE_H */
