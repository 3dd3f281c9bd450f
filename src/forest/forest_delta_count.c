/*
 * forest_delta_count.c
 *		See forest_delta_count.h.
 */
#include "postgres.h"

#include "forest/forest_delta_count.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "forest/forest_catalog.h"
#include "server/pg_compat.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"

int
delta_count_entries(int32 table_id, int most)
{
	Relation	heap = catalog_open(CATALOG_DELTA, AccessShareLock);
	Relation	index = index_open(catalog_oid(CATALOG_DELTA_PKEY), AccessShareLock);

	/* Not one of a transaction: what is counted is nothing that a SERIALIZABLE one has read. */
	IndexScanDesc scan = compat_index_beginscan(heap, index, SnapshotAny, 1);
	ScanKeyData key;
	int			n = 0;

	ScanKeyInit(&key, Anum_delta_table_id, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(table_id));
	index_rescan(scan, &key, 1, NULL, 0);
	while (n < most && index_getnext_tid(scan, ForwardScanDirection) != NULL)
		n++;
	index_endscan(scan);
	index_close(index, AccessShareLock);
	table_close(heap, AccessShareLock);
	return n;
}
