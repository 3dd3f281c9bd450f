/*
 * fdw_cost.h
 *		What the planner is told that things cost, in its own units.
 *
 * What has to come from the store costs requests.  The caches are taken to be full of
 * the vault, every block of it being as likely there as another: so the share of blocks
 * that are not cached is 1 - cache / vault.  A request for a block of a remote store
 * costs skyvault.request_cost, of which a share is spared by the disk cache; one for a
 * block of a directory random_page_cost.  Scans read ahead, so a request brings them
 * FDW_SCAN_REQUEST_BYTES; lookups of many keys have skyvault.io_concurrency requests
 * under way at once, so that each of them costs that much less.
 */
#ifndef FDW_COST_H
#define FDW_COST_H

#include "postgres.h"

#include "forest/forest_estimate.h"
#include "optimizer/cost.h"

/* Finding the place of a key, or of a range's begin, in the delta and the runs. */
#define FDW_LOOKUP_COST (40 * cpu_operator_cost)

/* Merging and decoding a row, on top of what every row costs. */
#define FDW_ROW_COST (2 * cpu_operator_cost)

/*
 * A batched join: to set it up, what each batch costs beside its keys, and each
 * key.  A key of a batch is cheaper than one alone, and dearer than a row of a
 * scan and its place in a hash table: so a join that meets the whole table is a
 * hash join, and one of a few rows a nested loop.
 */
#define FDW_JOIN_SETUP_COST (40 * cpu_operator_cost)
#define FDW_JOIN_BATCH_COST FDW_LOOKUP_COST
#define FDW_JOIN_KEY_COST (8 * cpu_operator_cost)

/* Raw bytes that one request brings to a scan. */
#define FDW_SCAN_REQUEST_BYTES (1024.0 * 1024.0)

/* What a table's blocks cost to get. */
typedef struct FdwBlockCosts
{
	double		uncached;		/* share of its blocks that have to be read */
	double		blocks;			/* all of them */
	double		row_bytes;		/* in runs, before compression */
	Cost		request;
} FdwBlockCosts;

/* Whether a server's store is one where requests take time, by its options. */
extern bool fdw_cost_is_remote(Oid server_oid);

extern void fdw_cost_blocks(const ForestTable *table, const ForestEstimate *estimate, FdwBlockCosts *costs);

/* The requests of n lookups, each by itself, or of n lookups that are made together. */
extern Cost fdw_cost_requests_of_lookups(const FdwBlockCosts *costs, double n, bool together);

/* The requests of a scan of so many rows in so many ranges. */
extern Cost fdw_cost_requests_of_scan(const FdwBlockCosts *costs, double ranges, double rows);

#endif							/* FDW_COST_H */
