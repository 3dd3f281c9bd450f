/*
 * fdw_cost.c
 *		See fdw_cost.h.
 */
#include "postgres.h"

#include "fdw/fdw_cost.h"

#include "foreign/foreign.h"
#include "optimizer/optimizer.h"
#include "server/pg_cache.h"
#include "server/pg_settings.h"
#include "sst/sst_format.h"

bool
fdw_cost_is_remote(Oid server_oid)
{
	const char *url = forest_option(GetForeignServer(server_oid)->options, "url");

	return url != NULL && strncmp(url, "s3:", 3) == 0;
}

/* The share of so many bytes for which there is no room. */
static double
share_beyond(double bytes, double room)
{
	return bytes > room ? 1 - room / bytes : 0;
}

void
fdw_cost_blocks(const ForestTable *table, const ForestEstimate *estimate, FdwBlockCosts *costs)
{
	double		beyond_disk;

	memset(costs, 0, sizeof(FdwBlockCosts));
	if (estimate->run_entries == 0)
		return;
	costs->uncached = share_beyond(estimate->vault_bytes, pg_cache_block_bytes());
	costs->blocks = Max(1, estimate->run_bytes / SST_FRAME_BYTES);
	costs->row_bytes = estimate->run_bytes / estimate->run_entries;
	costs->request = random_page_cost;
	if (costs->uncached == 0 || !fdw_cost_is_remote(table->server_oid))
		return;
	beyond_disk = share_beyond(estimate->vault_bytes, setting_disk_cache_size_kb * 1024.0);
	costs->request += beyond_disk * Max(0, setting_request_cost - random_page_cost);
}

Cost
fdw_cost_requests_of_lookups(const FdwBlockCosts *costs, double n, bool together)
{
	if (!together)
		return n * costs->uncached * costs->request;
	return Min(n, costs->blocks) * costs->uncached * costs->request / Max(1, Min(n, setting_io_concurrency));
}

Cost
fdw_cost_requests_of_scan(const FdwBlockCosts *costs, double ranges, double rows)
{
	double		requests = ranges + rows * costs->row_bytes / FDW_SCAN_REQUEST_BYTES;

	return Min(requests, Max(costs->blocks, ranges)) * costs->uncached * costs->request;
}
