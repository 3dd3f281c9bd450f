/*
 * forest_write.c
 *		Puts and deletes.
 */
#include "postgres.h"

#include "forest/forest_write.h"

#include "access/xact.h"
#include "forest/forest_catalog.h"
#include "forest/forest_delta_write.h"
#include "forest/forest_lock.h"
#include "forest/forest_xact.h"
#include "utils/memutils.h"

void
forest_check_key(SvSlice key)
{
	if (key.len > FOREST_MAX_KEY_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("key of %zu bytes is too long", key.len),
				 errdetail("An encoded key has at most %d bytes.", FOREST_MAX_KEY_BYTES),
				 errhint("Use a shorter key, such as a hash of this one.")));
}

static void
check_value_bytes(size_t bytes, size_t limit)
{
	if (bytes > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %zu bytes is too long", bytes),
				 errdetail("The columns besides the key have at most %d bytes together.",
						   FOREST_MAX_VALUE_BYTES),
				 errhint("Store it in several keys.")));
}

void
forest_check_value(SvSlice value)
{
	check_value_bytes(value.len, FOREST_MAX_VALUE_BYTES);
}

void
forest_check_encoded_value(SvSlice value)
{
	check_value_bytes(value.len, FOREST_MAX_VALUE_BYTES + FOREST_ENCODING_BYTES);
}

/* A write and its place in the caller's order, which decides among equal keys. */
typedef struct OrderedWrite
{
	ForestWrite write;
	int			position;
} OrderedWrite;

static int
compare_writes(const void *a, const void *b)
{
	const OrderedWrite *left = a;
	const OrderedWrite *right = b;
	int			c = sv_slice_compare(left->write.key, right->write.key);

	if (c != 0)
		return c;
	return (left->position > right->position) - (left->position < right->position);
}

static bool
in_order(const ForestWrite *writes, int n)
{
	for (int i = 1; i < n; i++)
		if (sv_slice_compare(writes[i - 1].key, writes[i].key) >= 0)
			return false;
	return true;
}

/* Sorts by key, the last of equal keys survives; returns how many are left. */
static int
sort_writes(ForestWrite *writes, int n)
{
	OrderedWrite *ordered;
	int			kept = 0;

	if (in_order(writes, n))
		return n;
	ordered = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(OrderedWrite));
	for (int i = 0; i < n; i++)
		ordered[i] = (OrderedWrite) {.write = writes[i],.position = i};
	qsort(ordered, n, sizeof(OrderedWrite), compare_writes);
	for (int i = 0; i < n; i++)
	{
		if (kept > 0 && sv_slice_equal(writes[kept - 1].key, ordered[i].write.key))
			kept--;
		writes[kept++] = ordered[i].write;
	}
	pfree(ordered);
	return kept;
}

static void
lock_writes(const ForestTable *table, const ForestWrite *writes, int n)
{
	SvSlice    *keys = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(SvSlice));

	for (int i = 0; i < n; i++)
		keys[i] = writes[i].key;
	forest_lock_for_write(table, keys, n);
	pfree(keys);
}

void
forest_write(const ForestTable *table, ForestWrite *writes, int n)
{
	if (n == 0)
		return;
	forest_table_check_key(table);
	for (int i = 0; i < n; i++)
	{
		forest_check_key(writes[i].key);
		if (!writes[i].is_delete)
			forest_check_encoded_value(writes[i].value);
	}
	n = sort_writes(writes, n);

	catalog_lock_table(table->table_id, RowExclusiveLock);
	if (IsolationUsesXactSnapshot())
		lock_writes(table, writes, n);
	delta_upsert(table->table_id, writes, n);
	forest_xact_note_vault(table->vault_id);
}
