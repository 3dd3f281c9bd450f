/*
 * flush_batch.h
 *		What one flush takes out of the delta: step 1 of ARCHITECTURE.md's
 *		"Life of a flush".
 *
 * A batch is read under one snapshot, in a transaction that changes nothing
 * but the job row, and is complete in memory before that transaction ends: no
 * transaction is open while its bytes go to the store.  Its size is bounded by
 * skyvault.run_size (and one entry), and in tables, so a flush of a large delta
 * takes several batches, each a flush of its own with a snapshot and a
 * sequence of its own.
 */
#ifndef FLUSH_BATCH_H
#define FLUSH_BATCH_H

#include "postgres.h"

#include "base/sv_buffer.h"
#include "forest/forest_changelog.h"
#include "forest/forest_vault.h"
#include "lsm/lsm_forest.h"
#include "sst/sst_writer.h"
#include "storage/itemptr.h"

/* Where a flush of several batches goes on: at the first key not below (table_id, key). */
typedef struct FlushCursor
{
	int32		table_id;
	SvSlice		key;
	bool		at_end;
} FlushCursor;

/* A row version that the batch has read: to be deleted from the delta once the batch is registered. */
typedef struct FlushRow
{
	int32		table_id;
	SvSlice		key;
	ItemPointerData tid;
	TransactionId raw_xmin;
} FlushRow;

typedef struct FlushTable
{
	LsmPart		part;			/* what the run holds of the table; part.entries may be 0 */
	int			first_row;		/* in batch->rows */
	int			nrows;
} FlushTable;

typedef struct FlushBatch
{
	MemoryContext context;		/* holds all of it */
	SvAlloc		alloc;
	int32		vault_id;
	int64		sequence;		/* drawn after the snapshot was taken */
	ChangelogMark mark;			/* what the snapshot saw of loads and floors */
	FlushRow   *rows;
	int			nrows;
	int			rows_capacity;
	FlushTable *tables;			/* ascending by id */
	int			ntables;
	SvBuffer	file;			/* the SST; empty if there is no entry */
	SstSummary	summary;
} FlushBatch;

/* Whether the delta has a row of the vault. */
extern bool flush_batch_is_needed(const ForestVault *vault);

/*
 * Reads a batch from *cursor on, in the current transaction, and moves
 * *cursor.  A batch with nrows = 0 means that there was nothing.
 */
extern FlushBatch *flush_batch_read(const ForestVault *vault, FlushCursor *cursor);

#endif							/* FLUSH_BATCH_H */
