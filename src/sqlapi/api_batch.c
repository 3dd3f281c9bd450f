/*
 * api_batch.c
 *		See api_batch.h.
 */
#include "postgres.h"

#include "sqlapi/api_batch.h"

#include "access/tupmacs.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

/* Keys of one forest_batch_get. */
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
	const ForestTable **tables; /* with one table, only the first */
	bool		one_table;
	ApiPair    *pairs;
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
		if (!batch->one_table)
			batch->tables[i] = batch->keys[i].data != NULL ? map_of(batch, i)->table : &no_table;
	}
}

static void
make_pairs(Batch *batch, const ForestValue *values)
{
	for (int i = 0; i < batch->n; i++)
	{
		ApiPair    *pair = &batch->pairs[i];

		pair->key = batch->keys[i];
		if (!values[i].found || !api_value_bytes(map_of(batch, i), values[i].value, &pair->value))
			pair->value = sv_slice(NULL, 0);
	}
}

void
api_look_up(ArrayType *keys, const ApiMap *const *maps, bool one_map, ApiPairsTaker take, void *arg)
{
	ForestBatch *forest = forest_batch_begin();
	Batch		batch = {.maps = maps,.one_map = one_map};
	KeyReader	reader;
	int			capacity;

	reader_init(&reader, keys);
	batch.one_table = one_map && reader.not_null == NULL;
	capacity = Min(reader.n, BATCH_KEYS);
	batch.keys = forest_batch_room(forest, capacity, sizeof(SvSlice));
	batch.pairs = forest_batch_room(forest, capacity, sizeof(ApiPair));
	batch.tables = forest_batch_room(forest, batch.one_table ? 1 : capacity, sizeof(ForestTable *));
	if (batch.one_table)
		batch.tables[0] = maps[0]->table;
	while (reader.position < reader.n)
	{
		CHECK_FOR_INTERRUPTS();
		read_keys(&batch, &reader);
		make_pairs(&batch, forest_batch_get(forest, batch.tables, batch.one_table, batch.keys, batch.n,
											GetActiveSnapshot()));
		take(arg, batch.first, batch.pairs, batch.n);
	}
	forest_batch_end(forest);
}
