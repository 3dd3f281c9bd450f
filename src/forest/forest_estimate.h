/*
 * forest_estimate.h
 *		What is known of a table without a look into it: for the planner.
 *
 * Comes from the registry, the statistics of the delta and a look into its index, and never
 * from the store.
 */
#ifndef FOREST_ESTIMATE_H
#define FOREST_ESTIMATE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_table.h"
#include "storage/block.h"

typedef struct ForestEstimate
{
	double		run_entries;	/* in the table's runs, tombstones and outdated ones included */
	double		run_tombstones;
	double		run_bytes;		/* of keys and values, before compression */
	double		delta_rows;
	double		delta_bytes;
	double		vault_bytes;	/* in all runs of the vault, before compression */
} ForestEstimate;

extern void forest_estimate(const ForestTable *table, Snapshot snapshot, ForestEstimate *estimate);

/* Rows that a reader gets, if every entry of a run is the only one of its key but for tombstones. */
extern double forest_estimate_rows(const ForestEstimate *estimate);

/* The table's size in pages of the server, before compression; at least 1. */
extern BlockNumber forest_estimate_pages(const ForestEstimate *estimate);

/*
 * The share of the entries in runs with keys below this one, 0 to 1: taking keys to be
 * spread evenly, as numbers, between the first and the last one of each run.  -1: there
 * are no runs.
 */
extern double forest_estimate_share_below(const ForestTable *table, Snapshot snapshot, SvSlice key);

#endif							/* FOREST_ESTIMATE_H */
