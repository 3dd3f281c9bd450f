/*
 * api_batch.c
 *		See api_batch.h.
 */
#include "postgres.h"

#include "sqlapi/api_batch.h"

#include "access/tupmacs.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Keys of one forest_multi_get. */
#define BATCH_KEYS 10000

/* The elements of an array of text or bytea, one after the other. */
typedef struct KeyReader
{
	const bits8 *not_null;		/* NULL: all are */
	char	   *next;
	int			position;
	int			n;
} KeyReader;

typedef struct Batch
{
	const ApiMap *const *maps;
	bool		one_map;
	int			first;			/* position of element 0 below */
	int			n;
	SvSlice    *keys;
	const ForestTable **tables;
	ForestValue *values;
} Batch;

/* Has no entries, so that a lookup in it finds nothing: for null keys. */
static const ForestTable no_table = {0};

static void
reader_init(KeyReader *reader, ArrayType *array)
{
	reader->not_null = ARR_NULLBITMAP(array);
	reader->next = ARR_DATA_PTR(array);
	reader->position = 0;
	reader->n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

/* The next key; data NULL: a null. */
static SvSlice
reader_next(KeyReader *reader)
{
	int			i = reader->position++;
	char	   *element = reader->next;

	if (reader->not_null != NULL && !(reader->not_null[i / 8] & (1 << (i % 8))))
		return sv_slice(NULL, 0);
	reader->next = (char *) att_align_nominal(att_addlength_pointer(element, -1, element),
											  TYPALIGN_INT);
	return api_key(PointerGetDatum(element), false);
}

static const ApiMap *
map_of(const Batch *batch, int i)
{
	return batch->one_map ? batch->maps[0] : batch->maps[batch->first + i];
}

static void
read_keys(Batch *batch, KeyReader *reader)
{
	batch->first = reader->position;
	batch->n = Min(reader->n - reader->position, BATCH_KEYS);
	for (int i = 0; i < batch->n; i++)
	{
		batch->keys[i] = reader_next(reader);
		batch->tables[i] = batch->keys[i].data != NULL ? map_of(batch, i)->table : &no_table;
	}
}

static void
hand_out(const Batch *batch, ApiPairTaker take, void *arg)
{
	for (int i = 0; i < batch->n; i++)
	{
		const ForestValue *value = &batch->values[i];
		ApiPair		pair = {.key = batch->keys[i],.value = sv_slice(NULL, 0)};

		if (value->found && !api_value_bytes(map_of(batch, i), value->value, &pair.value))
			pair.value = sv_slice(NULL, 0);
		take(arg, batch->first + i, &pair);
	}
}

void
api_look_up(ArrayType *keys, const ApiMap *const *maps, bool one_map, bool keep_values,
			ApiPairTaker take, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "skyvault batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContext values = keep_values ? caller : scratch;
	Batch		batch = {.maps = maps,.one_map = one_map};
	KeyReader	reader;
	int			capacity;

	reader_init(&reader, keys);
	capacity = Max(1, Min(reader.n, BATCH_KEYS));
	batch.keys = palloc(capacity * sizeof(SvSlice));
	batch.tables = palloc(capacity * sizeof(ForestTable *));
	batch.values = palloc(capacity * sizeof(ForestValue));
	while (reader.position < reader.n)
	{
		CHECK_FOR_INTERRUPTS();
		read_keys(&batch, &reader);
		MemoryContextSwitchTo(values);
		forest_multi_get(batch.tables, batch.keys, batch.n, GetActiveSnapshot(), batch.values);
		MemoryContextSwitchTo(caller);
		hand_out(&batch, take, arg);
		MemoryContextReset(scratch);
	}
	pfree(batch.values);
	pfree(batch.tables);
	pfree(batch.keys);
	MemoryContextDelete(scratch);
}
