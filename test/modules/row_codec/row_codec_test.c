/*
 * row_codec_test.c
 *		The row codec as SQL functions.
 *
 * Every function takes a row of the foreign table, or a NULL of its row type,
 * which says which table it is.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "forest/row_reader.h"
#include "forest/row_shape.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(codec_key);
PG_FUNCTION_INFO_V1(codec_value);
PG_FUNCTION_INFO_V1(codec_decode);
PG_FUNCTION_INFO_V1(codec_map_value);
PG_FUNCTION_INFO_V1(codec_map_bytes);
PG_FUNCTION_INFO_V1(codec_is_map);
PG_FUNCTION_INFO_V1(codec_key_columns);
PG_FUNCTION_INFO_V1(codec_fuzz);

/* A row, taken apart */
typedef struct Row
{
	Relation	rel;
	const RowShape *shape;
	Datum	   *values;
	bool	   *isnull;
} Row;

static void
open_row(FunctionCallInfo fcinfo, Row *row)
{
	Oid			rowtype = get_fn_expr_argtype(fcinfo->flinfo, 0);
	TupleDesc	desc;

	row->rel = relation_open(get_typ_typrelid(rowtype), AccessShareLock);
	row->shape = row_shape(row->rel);
	desc = RelationGetDescr(row->rel);
	row->values = palloc0(sizeof(Datum) * (desc->natts + 1));
	row->isnull = palloc(sizeof(bool) * (desc->natts + 1));
	memset(row->isnull, true, sizeof(bool) * (desc->natts + 1));
	if (!PG_ARGISNULL(0))
	{
		HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
		HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

		heap_deform_tuple(&tuple, desc, row->values, row->isnull);
	}
}

static void
encode_key(const Row *row, int nkeys, StringInfo out)
{
	Datum	   *values = palloc(sizeof(Datum) * nkeys);
	bool	   *isnull = palloc(sizeof(bool) * nkeys);

	for (int i = 0; i < nkeys; i++)
	{
		int			index = row_shape_key_attribute(row->shape, i) - 1;

		if (row_shape_key_index(row->shape, (AttrNumber) (index + 1)) != i)
			elog(ERROR, "key column %d is attribute %d, which is another one", i, index + 1);
		values[i] = row->values[index];
		isnull[i] = row->isnull[index];
	}
	row_encode_key(row->shape, values, isnull, nkeys, out);
}

static Datum
bytea_of(const void *data, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	if (len > 0)
		memcpy(VARDATA(result), data, len);
	return PointerGetDatum(result);
}

static SvSlice
slice_of(bytea *bytes)
{
	return sv_slice(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
}

/* codec_key(row, nkeys) */
Datum
codec_key(PG_FUNCTION_ARGS)
{
	Row			row;
	StringInfoData out;

	open_row(fcinfo, &row);
	initStringInfo(&out);
	encode_key(&row, PG_ARGISNULL(1) ? row_shape_key_count(row.shape) : PG_GETARG_INT32(1), &out);
	relation_close(row.rel, AccessShareLock);
	PG_RETURN_DATUM(bytea_of(out.data, out.len));
}

/* codec_value(row) */
Datum
codec_value(PG_FUNCTION_ARGS)
{
	Row			row;
	StringInfoData out;

	open_row(fcinfo, &row);
	initStringInfo(&out);
	row_encode_value(row.shape, row.values, row.isnull, &out);
	relation_close(row.rel, AccessShareLock);
	PG_RETURN_DATUM(bytea_of(out.data, out.len));
}

/* A reader of rows has to make the same of them; twice, for it keeps room of its own. */
static void
check_reader(const Row *row, SvSlice key, SvSlice value, const Bitmapset *needed, HeapTuple expected)
{
	TupleDesc	desc = RelationGetDescr(row->rel);
	RowReader  *reader = row_reader(row->shape, needed);

	for (int i = 0; i < 2 && reader != NULL; i++)
	{
		Datum	   *values = palloc(sizeof(Datum) * desc->natts);
		bool	   *isnull = palloc(sizeof(bool) * desc->natts);
		HeapTuple	tuple;

		row_reader_decode(reader, key, value, values, isnull);
		tuple = heap_form_tuple(desc, values, isnull);
		if (tuple->t_len != expected->t_len ||
			memcmp((char *) tuple->t_data + SizeofHeapTupleHeader, (char *) expected->t_data + SizeofHeapTupleHeader,
				   tuple->t_len - SizeofHeapTupleHeader) != 0)
			elog(ERROR, "a reader of rows decodes otherwise");
	}
}

/* codec_decode(row, key, value, needed) */
Datum
codec_decode(PG_FUNCTION_ARGS)
{
	Row			row;
	Bitmapset  *needed = NULL;
	HeapTuple	tuple;

	open_row(fcinfo, &row);
	if (!PG_ARGISNULL(3))
	{
		Datum	   *attnos;
		int			count;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), INT4OID, sizeof(int32), true, TYPALIGN_INT,
						  &attnos, NULL, &count);
		for (int i = 0; i < count; i++)
			needed = bms_add_member(needed, DatumGetInt32(attnos[i]));
	}
	row_decode(row.shape, slice_of(PG_GETARG_BYTEA_PP(1)), slice_of(PG_GETARG_BYTEA_PP(2)),
			   needed, row.values, row.isnull);
	tuple = heap_form_tuple(RelationGetDescr(row.rel), row.values, row.isnull);
	check_reader(&row, slice_of(PG_GETARG_BYTEA_PP(1)), slice_of(PG_GETARG_BYTEA_PP(2)), needed, tuple);
	relation_close(row.rel, AccessShareLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(tuple));
}

/* codec_map_value(row, bytes) */
Datum
codec_map_value(PG_FUNCTION_ARGS)
{
	Row			row;
	StringInfoData out;
	SvSlice		bytes = sv_slice(NULL, 0);

	open_row(fcinfo, &row);
	initStringInfo(&out);
	if (!PG_ARGISNULL(1))
		bytes = slice_of(PG_GETARG_BYTEA_PP(1));
	row_encode_map_value(row.shape, bytes, PG_ARGISNULL(1), &out);
	relation_close(row.rel, AccessShareLock);
	PG_RETURN_DATUM(bytea_of(out.data, out.len));
}

/* codec_map_bytes(row, value) */
Datum
codec_map_bytes(PG_FUNCTION_ARGS)
{
	Row			row;
	SvSlice		bytes;
	bool		found;

	open_row(fcinfo, &row);
	found = row_decode_map_value(row.shape, slice_of(PG_GETARG_BYTEA_PP(1)), &bytes);
	relation_close(row.rel, AccessShareLock);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bytea_of(bytes.data, bytes.len));
}

/* codec_is_map(row): "key,value" attribute numbers, or NULL */
Datum
codec_is_map(PG_FUNCTION_ARGS)
{
	Row			row;
	AttrNumber	key;
	AttrNumber	value;
	bool		is_map;

	open_row(fcinfo, &row);
	is_map = row_shape_is_map(row.shape, &key, &value);
	relation_close(row.rel, AccessShareLock);
	if (!is_map)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%d,%d", key, value)));
}

/* codec_key_columns(row): attribute numbers, those that are ordered with a + */
Datum
codec_key_columns(PG_FUNCTION_ARGS)
{
	Row			row;
	StringInfoData out;

	open_row(fcinfo, &row);
	initStringInfo(&out);
	for (int i = 0; i < row_shape_key_count(row.shape); i++)
		appendStringInfo(&out, "%s%d%s", i > 0 ? " " : "", row_shape_key_attribute(row.shape, i),
						 row_shape_key_is_ordered(row.shape, i) ? "+" : "");
	relation_close(row.rel, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

/* Decodes and prints every column, so that a datum that is not one is found out.  *was_read: a reader has. */
static void
decode_and_print(const Row *row, SvSlice key, SvSlice value, volatile bool *was_read)
{
	TupleDesc	desc = RelationGetDescr(row->rel);
	RowReader  *reader = row_reader(row->shape, NULL);

	if (reader != NULL)
		row_reader_decode(reader, key, value, row->values, row->isnull);
	*was_read = reader != NULL;
	row_decode(row->shape, key, value, NULL, row->values, row->isnull);
	check_reader(row, key, value, NULL, heap_form_tuple(desc, row->values, row->isnull));
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			output;
		bool		is_varlena;

		if (row->isnull[i])
			continue;
		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid, &output, &is_varlena);
		(void) OidOutputFunctionCall(output, row->values[i]);
	}
}

/* NULL if the bytes are decoded, or refused as they should be; else what was raised. */
static char *
try_bytes(const Row *row, SvSlice key, SvSlice value, int64 *refused)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char	   *volatile complaint = NULL;
	volatile bool was_read = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		decode_and_print(row, key, value, &was_read);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!was_read && (error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
						  error->sqlerrcode == ERRCODE_DATATYPE_MISMATCH))
			(*refused)++;
		else
			complaint = psprintf("%s: %s", unpack_sql_state(error->sqlerrcode), error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return complaint;
}

/*
 * Mutation `number` of the bytes, in an allocation of its exact size: first
 * all truncations, then nine changes of each byte, then one byte too many.
 */
static bool
mutate(SvSlice bytes, size_t number, SvSlice *mutant)
{
	size_t		len = number < bytes.len ? number : bytes.len;
	size_t		change = number - bytes.len;
	uint8	   *copy;

	if (number > 10 * bytes.len)
		return false;
	if (number == 10 * bytes.len)
		len = bytes.len + 1;
	copy = palloc0(Max(len, 1));
	if (bytes.len > 0)
		memcpy(copy, bytes.data, Min(len, bytes.len));
	if (number >= bytes.len && number < 10 * bytes.len)
		copy[change / 9] ^= change % 9 == 8 ? 0xFF : 1 << change % 9;
	*mutant = sv_slice(copy, len);
	return true;
}

/* codec_fuzz(row): damages key and value in every place. */
Datum
codec_fuzz(PG_FUNCTION_ARGS)
{
	Row			row;
	StringInfoData key;
	StringInfoData value;
	int64		refused = 0;

	open_row(fcinfo, &row);
	initStringInfo(&key);
	initStringInfo(&value);
	encode_key(&row, row_shape_key_count(row.shape), &key);
	row_encode_value(row.shape, row.values, row.isnull, &value);

	for (int part = 0; part < 2; part++)
	{
		SvSlice		whole[2] = {sv_slice(key.data, key.len), sv_slice(value.data, value.len)};
		SvSlice		parts[2] = {whole[0], whole[1]};

		for (size_t number = 0; mutate(whole[part], number, &parts[part]); number++)
		{
			char	   *complaint = try_bytes(&row, parts[0], parts[1], &refused);

			CHECK_FOR_INTERRUPTS();
			if (complaint != NULL)
				PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s, mutation %zu: %s",
														  part == 0 ? "key" : "value",
														  number, complaint)));
		}
	}
	relation_close(row.rel, AccessShareLock);
	PG_RETURN_TEXT_P(cstring_to_text(refused > 0 ? "refused or decoded" : "nothing refused"));
}
