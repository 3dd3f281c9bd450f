/*
 * flush_batch.c
 *		What one flush takes out of the delta.
 */
#include "postgres.h"

#include "worker/flush_batch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "forest/forest_catalog.h"
#include "forest/forest_delta.h"
#include "forest/forest_snapshot.h"
#include "forest/forest_storage.h"
#include "lsm/lsm_walkey.h"
#include "miscadmin.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* A table that may have rows to flush. */
typedef struct Candidate
{
	int32		table_id;
	ForestStorage storage;
} Candidate;

typedef struct BatchReader
{
	FlushBatch *batch;
	Snapshot	snapshot;
	const LsmForest *forest;
	SstWriter  *writer;
	int			filter_bits;	/* the most that a table with rows wants */
	uint64		raw_bytes;		/* of the run, before compression */
	uint64		kept_bytes;		/* of what is remembered of the rows */
} BatchReader;

static SvStatus
append_to_file(void *state, const void *data, size_t len, SvError *err)
{
	return sv_buffer_append(&((FlushBatch *) state)->file, data, len, err);
}

static SvSlice
copy_slice(MemoryContext context, SvSlice slice, size_t extra)
{
	uint8	   *data = MemoryContextAlloc(context, slice.len + extra + 1);

	if (slice.len > 0)
		memcpy(data, slice.data, slice.len);
	memset(data + slice.len, 0, extra);
	return sv_slice(data, slice.len + extra);
}

static int
compare_candidates(const void *a, const void *b)
{
	int32		left = ((const Candidate *) a)->table_id;
	int32		right = ((const Candidate *) b)->table_id;

	return (left > right) - (left < right);
}

/* Tables of the vault from the given id on, ascending. */
static int
list_tables(int32 vault_id, int32 from, Snapshot snapshot, Candidate **tables)
{
	Relation	rel = catalog_open(CATALOG_TABLE, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	int			capacity = 16;
	int			n = 0;
	HeapTuple	tuple;

	*tables = palloc(capacity * sizeof(Candidate));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int32		id = DatumGetInt32(heap_getattr(tuple, Anum_table_id, desc, &isnull));

		if (id < from || DatumGetInt32(heap_getattr(tuple, Anum_table_vault_id, desc, &isnull)) != vault_id)
			continue;
		if (n == capacity)
		{
			capacity *= 2;
			*tables = repalloc(*tables, capacity * sizeof(Candidate));
		}
		(*tables)[n].table_id = id;
		(*tables)[n++].storage =
			forest_storage(DatumGetObjectId(heap_getattr(tuple, Anum_table_relid, desc, &isnull)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	qsort(*tables, n, sizeof(Candidate), compare_candidates);
	return n;
}

/*
 * What the tables of a run share is as much as the one that wants most of it
 * wants.  Which of them have rows is not known yet: that decides about the
 * filter in the end.
 */
static SstWriterOptions
writer_options(const Candidate *tables, int n)
{
	SstWriterOptions options = SST_WRITER_DEFAULTS;

	options.zstd_level = setting_compression_level;
	options.filter_bits = 0;
	for (int i = 0; i < n; i++)
	{
		options.filter_bits = Max(options.filter_bits, tables[i].storage.filter_bits);
		options.dictionary_bytes = Max(options.dictionary_bytes, tables[i].storage.dictionary_bytes);
	}
	return options;
}

/* Tables of a batch: its publish takes a lock for each, and the lock table is finite. */
#define BATCH_TABLES 256

/*
 * Invariant 7: a tombstone is needed as long as an older entry of its key may
 * lie below.  What this snapshot cannot see is a load that commits later, and
 * for that the publish leaves the whole table out.
 */
static bool
tombstone_is_needed(BatchReader *reader, int32 table_id, SvSlice key)
{
	int			n;
	const LsmGroup *groups = lsm_forest_groups(reader->forest, table_id, &n);

	for (int i = 0; i < n; i++)
		if (lsm_group_find(&groups[i], key) != NULL)
			return true;
	return false;
}

static FlushRow *
remember_row(FlushBatch *batch, int32 table_id, const DeltaRow *row)
{
	FlushRow   *remembered;

	if (batch->nrows == batch->rows_capacity)
	{
		batch->rows_capacity = Max(1024, batch->rows_capacity * 2);
		batch->rows = batch->rows == NULL ?
			MemoryContextAllocHuge(batch->context, batch->rows_capacity * sizeof(FlushRow)) :
			repalloc_huge(batch->rows, batch->rows_capacity * sizeof(FlushRow));
	}
	remembered = &batch->rows[batch->nrows++];
	remembered->table_id = table_id;
	remembered->key = copy_slice(batch->context, row->key, 0);
	remembered->tid = row->tid;
	remembered->raw_xmin = row->raw_xmin;
	return remembered;
}

static void
write_entry(BatchReader *reader, FlushTable *table, const FlushRow *remembered, const DeltaRow *row)
{
	uint8		walkey[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES];
	SstEntry	entry;
	SvError		err;

	lsm_walkey_prefix(walkey, table->part.table_id);
	memcpy(walkey + LSM_WALKEY_PREFIX_BYTES, row->key.data, row->key.len);
	entry.key = sv_slice(walkey, LSM_WALKEY_PREFIX_BYTES + row->key.len);
	entry.value = row->kind == DELTA_TOMBSTONE ? sv_slice(NULL, 0) : row->value;
	entry.kind = row->kind == DELTA_TOMBSTONE ? SST_TOMBSTONE : SST_VALUE;
	entry.expires_at = row->expires_at;
	PG_STATUS_CHECK(sst_writer_add(reader->writer, &entry, &err), &err);

	entry.key = remembered->key;
	if (table->part.entries == 0)
		table->part.min_key = entry.key;
	table->part.max_key = entry.key;
	lsm_part_count(&table->part, &entry);
	reader->raw_bytes += LSM_WALKEY_PREFIX_BYTES + entry.key.len + entry.value.len;
}

/* Reads the table's rows from `low` on; false if the batch is full, with *cursor at the next key. */
static bool
read_table(BatchReader *reader, const Candidate *candidate, const SvSlice *low, FlushCursor *cursor)
{
	FlushBatch *batch = reader->batch;
	int32		table_id = candidate->table_id;
	FlushTable *table = &batch->tables[batch->ntables];
	DeltaScan  *scan = delta_scan_begin_with_claims(table_id, low, reader->snapshot);
	bool		full = false;
	DeltaRow	row;
	SvError		err;

	PG_STATUS_CHECK(sst_writer_set_level(reader->writer, candidate->storage.zstd_level, &err), &err);
	PG_STATUS_CHECK(sst_writer_set_dictionary(reader->writer, candidate->storage.dictionary_bytes > 0,
											  &err), &err);
	memset(table, 0, sizeof(FlushTable));
	lsm_part_init(&table->part, table_id);
	table->first_row = batch->nrows;
	while (!full && delta_scan_next(scan, &row))
	{
		FlushRow   *remembered = remember_row(batch, table_id, &row);

		CHECK_FOR_INTERRUPTS();
		if (row.kind == DELTA_VALUE ||
			(row.kind == DELTA_TOMBSTONE && tombstone_is_needed(reader, table_id, row.key)))
			write_entry(reader, table, remembered, &row);
		reader->kept_bytes += sizeof(FlushRow) + row.key.len;
		full = Max(reader->raw_bytes, reader->kept_bytes) >= (uint64) setting_run_size_kb * 1024;
		if (full)
		{
			cursor->table_id = table_id;
			cursor->key = copy_slice(MemoryContextGetParent(batch->context), row.key, 1);
		}
	}
	delta_scan_end(scan);
	table->nrows = batch->nrows - table->first_row;
	if (table->nrows > 0)
	{
		batch->ntables++;
		reader->filter_bits = Max(reader->filter_bits, candidate->storage.filter_bits);
	}
	return !full;
}

static FlushBatch *
batch_create(int32 vault_id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault flush batch",
												  ALLOCSET_DEFAULT_SIZES);
	FlushBatch *batch = MemoryContextAllocZero(context, sizeof(FlushBatch));

	batch->context = context;
	batch->alloc = pg_status_alloc(context);
	batch->vault_id = vault_id;
	sv_buffer_init(&batch->file, &batch->alloc);
	return batch;
}

static void
read_tables(BatchReader *reader, const Candidate *tables, int n, FlushCursor *cursor)
{
	FlushBatch *batch = reader->batch;
	bool		full = false;

	batch->tables = palloc(BATCH_TABLES * sizeof(FlushTable));
	for (int i = 0; i < n && !full; i++)
	{
		bool		resumes = tables[i].table_id == cursor->table_id && cursor->key.len > 0;

		full = !read_table(reader, &tables[i], resumes ? &cursor->key : NULL, cursor);
		if (!full && batch->ntables == BATCH_TABLES && i + 1 < n)
		{
			full = true;
			cursor->table_id = tables[i + 1].table_id;
			cursor->key = sv_slice(NULL, 0);
		}
	}
	cursor->at_end = !full;
}

bool
flush_batch_is_needed(const ForestVault *vault)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	Candidate  *tables;
	int			n = list_tables(vault->id, 0, snapshot, &tables);
	bool		found = false;

	for (int i = 0; i < n && !found; i++)
	{
		DeltaScan  *scan = delta_scan_begin_with_claims(tables[i].table_id, NULL, snapshot);
		DeltaRow	row;

		found = delta_scan_next(scan, &row);
		delta_scan_end(scan);
	}
	pfree(tables);
	UnregisterSnapshot(snapshot);
	return found;
}

FlushBatch *
flush_batch_read(const ForestVault *vault, FlushCursor *cursor)
{
	FlushBatch *batch = batch_create(vault->id);
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	SstSink		sink = {.append = append_to_file,.state = batch};
	BatchReader reader = {.batch = batch};
	SstWriterOptions options;
	Candidate  *tables;
	int			n;
	SvError		err;

	/*
	 * First the snapshot, then the sequence: every run and floor that the
	 * snapshot sees has a lower one.
	 */
	reader.snapshot = RegisterSnapshot(GetLatestSnapshot());
	PushActiveSnapshot(reader.snapshot);
	batch->sequence = catalog_draw(CATALOG_WRITE_SEQ);
	batch->mark = changelog_mark(vault->id, reader.snapshot);
	reader.forest = forest_of_snapshot(vault->id, reader.snapshot);

	n = list_tables(vault->id, cursor->table_id, reader.snapshot, &tables);
	options = writer_options(tables, n);
	PG_STATUS_CHECK(sst_writer_create(&reader.writer, &options, &sink, &batch->alloc, &err), &err);
	read_tables(&reader, tables, n, cursor);
	sst_writer_set_filter_bits(reader.writer, reader.filter_bits);
	PG_STATUS_CHECK(sst_writer_finish(reader.writer, &batch->summary, &err), &err);
	sst_writer_destroy(reader.writer);

	PopActiveSnapshot();
	UnregisterSnapshot(reader.snapshot);
	MemoryContextSwitchTo(old);
	return batch;
}
