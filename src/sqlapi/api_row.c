/*
 * api_row.c
 *		See api_row.h.
 */
#include "postgres.h"

#include "sqlapi/api_row.h"

#include "access/htup_details.h"
#include "utils/memutils.h"

/* With and without a null bitmap of one byte. */
#define ROW_HEADER_BYTES MAXALIGN(SizeofHeapTupleHeader + 1)

/* Most that stands before the bytes of a column. */
#define COLUMN_OVERHEAD (sizeof(int32) - 1 + VARHDRSZ)

StaticAssertDecl(MAXALIGN(SizeofHeapTupleHeader) == ROW_HEADER_BYTES, "a bitmap of one byte needs no room");

void
api_row_init(ApiRow *row, Tuplestorestate *store, bool has_table)
{
	row->store = store;
	row->has_table = has_table;
	row->capacity = 1024;
	memset(&row->tuple, 0, sizeof(row->tuple));
	ItemPointerSetInvalid(&row->tuple.t_self);
	row->tuple.t_data = palloc(row->capacity);
}

static void
make_room(ApiRow *row, Size needed)
{
	if (likely(needed <= row->capacity))
		return;
	pfree(row->tuple.t_data);
	row->capacity = needed;
	row->tuple.t_data = palloc(needed);
}

/* Writes a text or bytea column as it stands in a tuple; returns what is behind it. */
static char *
put_column(char *at, SvSlice bytes)
{
	if (bytes.data == NULL)
		return at;
	if (bytes.len + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		SET_VARSIZE_SHORT(at, bytes.len + VARHDRSZ_SHORT);
		at += VARHDRSZ_SHORT;
	}
	else
	{
		char	   *aligned = (char *) INTALIGN(at);

		/* A pad byte that is not zero would be taken for a short header. */
		memset(at, 0, aligned - at);
		SET_VARSIZE(aligned, bytes.len + VARHDRSZ);
		at = aligned + VARHDRSZ;
	}
	memcpy(at, bytes.data, bytes.len);
	return at + bytes.len;
}

void
api_row_put(ApiRow *row, Oid table, SvSlice key, SvSlice value)
{
	int			natts = row->has_table ? 3 : 2;
	int			key_bit = natts - 2;
	bool		has_nulls = key.data == NULL || value.data == NULL;
	HeapTupleHeader header;
	char	   *at;

	make_room(row, ROW_HEADER_BYTES + sizeof(Oid) + 2 * COLUMN_OVERHEAD + key.len + value.len);
	header = row->tuple.t_data;
	memset(header, 0, ROW_HEADER_BYTES);
	HeapTupleHeaderSetNatts(header, natts);
	header->t_hoff = ROW_HEADER_BYTES;
	header->t_infomask = HEAP_HASVARWIDTH | (has_nulls ? HEAP_HASNULL : 0);
	if (has_nulls)
		header->t_bits[0] = (row->has_table ? 1 : 0) |
			(key.data != NULL ? 1 << key_bit : 0) | (value.data != NULL ? 1 << (key_bit + 1) : 0);

	at = (char *) header + ROW_HEADER_BYTES;
	if (row->has_table)
	{
		memcpy(at, &table, sizeof(Oid));
		at += sizeof(Oid);
	}
	at = put_column(put_column(at, key), value);
	row->tuple.t_len = at - (char *) header;
	tuplestore_puttuple(row->store, &row->tuple);
}
