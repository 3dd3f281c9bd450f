/*
 * row_shape.c
 *		See row_shape.h; the byte layouts are in ROWFORMAT.md.
 *
 * Shapes are cached by relation for the life of the session, each in a memory
 * context of its own.  An invalidation only marks the entry, since a running
 * statement may hold the shape; the next row_shape() replaces it and leaves
 * the old one to the end of the transaction.
 *
 * Of types, a shape keeps what cannot change while a column has the type: a
 * domain's base type, input and output functions, a collation's properties.
 * Labels of enums do change and are looked up in the system cache.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "base/sv_coding.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "forest/key_codec.h"
#include "forest/row_key_columns.h"
#include "forest/row_missing.h"
#include "forest/row_shape_inside.h"
#include "forest/value_codec.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_locale.h"
#include "utils/rel.h"

typedef struct ShapeCacheEntry
{
	Oid			relid;			/* hash key */
	bool		stale;
	RowShape   *shape;			/* NULL: never built, or the last attempt failed */
} ShapeCacheEntry;

static HTAB *shape_cache = NULL;

/* The one that was asked for last; entries stay where they are. */
static ShapeCacheEntry *last_entry = NULL;

/* ---- building a shape ---- */

static void
check_key_column(const RowColumn *column, Oid collation, KeyKind kind)
{
	if (kind == KEY_KIND_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be a key column",
						column->name, format_type_be(column->type)),
				 errhint("The types of key columns are boolean, \"char\", smallint, integer, "
						 "bigint, oid, real, double precision, numeric, text, varchar, character, "
						 "name, bytea, uuid, date, time, timestamp, interval, and enums.")));
	if (key_kind_is_collated(kind) && OidIsValid(collation) &&
		!get_collation_isdeterministic(collation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" with nondeterministic collation \"%s\" cannot be a key column",
						column->name, get_collation_name(collation)),
				 errhint("Keys are compared as bytes; use a deterministic collation.")));
}

static void
build_columns(RowShape *shape, TupleDesc desc)
{
	shape->natts = desc->natts;
	shape->columns = palloc0(sizeof(RowColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		RowColumn  *column = &shape->columns[i];

		column->key_index = -1;
		column->type = attribute->atttypid;
		column->name = pstrdup(NameStr(attribute->attname));
		column->stored = !attribute->attisdropped &&
			(attribute->attgenerated == '\0' ||
			 attribute->attgenerated == ATTRIBUTE_GENERATED_STORED);
		if (column->stored)
			value_codec_init(&column->codec, getBaseType(attribute->atttypid), shape->context);
	}
}

static void
build_keys(RowShape *shape, TupleDesc desc, List *attnos)
{
	ListCell   *cell;

	shape->nkeys = list_length(attnos);
	shape->keys = palloc0(sizeof(RowKeyColumn) * shape->nkeys);
	foreach(cell, attnos)
	{
		int			i = foreach_current_index(cell);
		RowKeyColumn *key = &shape->keys[i];
		RowColumn  *column = &shape->columns[lfirst_int(cell) - 1];
		Oid			collation = TupleDescAttr(desc, lfirst_int(cell) - 1)->attcollation;

		column->key_index = i;
		key->attno = (AttrNumber) lfirst_int(cell);
		key->codec.type = column->codec.type;
		key->codec.kind = key_kind_of_type(key->codec.type);
		key->codec.raw = shape->nkeys == 1;
		check_key_column(column, collation, key->codec.kind);
		key->ordered = key->codec.kind != KEY_KIND_ENUM &&
			(!key_kind_is_collated(key->codec.kind) || compat_collation_is_c(collation));
	}
}

static void
build_missing(RowShape *shape, Relation rel)
{
	for (int i = 0; i < shape->natts; i++)
	{
		RowColumn  *column = &shape->columns[i];

		if (column->stored && column->key_index < 0)
			column->missing_text = row_missing_text(rel, (AttrNumber) (i + 1));
		column->has_missing = column->missing_text != NULL;
		shape->has_missing |= column->has_missing;
	}
}

/*
 * A byte in every row that tells whether its key was made of the same columns
 * and kinds of type as the table's key now: the key itself has no tags.  The
 * multipliers are odd, so that a change of one kind or one attribute number
 * always shows; of other changes one in 256 does not.
 */
static uint8
key_signature(const RowShape *shape)
{
	unsigned	signature = 0;

	for (int i = 0; i < shape->nkeys; i++)
		signature += (2 * (unsigned) i + 1) *
			((unsigned) shape->keys[i].codec.kind + 37 * (unsigned) shape->keys[i].attno);
	return (uint8) signature;
}

/*
 * A map's functions get bytes and do no coercion; so domains and lengths,
 * which would need one, make it a table as any other.
 */
static bool
is_map_column(TupleDesc desc, AttrNumber attno)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, attno - 1);

	return attribute->atttypmod < 0 && attribute->attgenerated == '\0' &&
		(attribute->atttypid == TEXTOID || attribute->atttypid == VARCHAROID ||
		 attribute->atttypid == BYTEAOID);
}

static void
build_map(RowShape *shape, TupleDesc desc)
{
	int			live = 0;
	uint8	   *prefix = shape->map_prefix;
	size_t		len = ROW_HEADER_BYTES;

	for (int i = 0; i < shape->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		live++;
		if (shape->columns[i].key_index < 0)
			shape->map_value = (AttrNumber) (i + 1);
	}
	shape->is_map = shape->nkeys == 1 && live == 2 && !shape->has_missing &&
		is_map_column(desc, shape->keys[0].attno) && is_map_column(desc, shape->map_value);
	prefix[0] = ROW_FORMAT_VERSION;
	prefix[1] = shape->signature;
	if (shape->is_map)
	{
		len += sv_varint_put(prefix + len, (uint64) shape->map_value);
		prefix[len++] = (uint8) shape->columns[shape->map_value - 1].codec.class;
	}
	shape->map_prefix_len = len;
}

/* Built where an error frees it, then kept. */
static RowShape *
build_shape(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault row shape",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	RowShape   *shape = palloc0(sizeof(RowShape));

	shape->context = context;
	shape->table = pstrdup(RelationGetRelationName(rel));
	build_columns(shape, desc);
	build_keys(shape, desc, row_key_columns(rel));
	shape->signature = key_signature(shape);
	build_missing(shape, rel);
	build_map(shape, desc);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	return shape;
}

/* ---- the cache ---- */

static void
mark_stale(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS scan;
	ShapeCacheEntry *entry;

	if (OidIsValid(relid))
	{
		entry = hash_search(shape_cache, &relid, HASH_FIND, NULL);
		if (entry != NULL)
			entry->stale = true;
		return;
	}
	hash_seq_init(&scan, shape_cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
		entry->stale = true;
}

static void
create_cache(void)
{
	HASHCTL		control;

	if (CacheMemoryContext == NULL)
		CreateCacheMemoryContext();
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(ShapeCacheEntry);
	control.hcxt = CacheMemoryContext;
	shape_cache = hash_create("skyvault row shapes", 32, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(mark_stale, (Datum) 0);
}

const RowShape *
row_shape(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	ShapeCacheEntry *entry;
	bool		found;

	if (last_entry != NULL && last_entry->relid == relid && last_entry->shape != NULL && !last_entry->stale)
		return last_entry->shape;
	if (rel->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a foreign table", RelationGetRelationName(rel))));
	if (shape_cache == NULL)
		create_cache();
	entry = hash_search(shape_cache, &relid, HASH_ENTER, &found);
	if (!found)
		entry->shape = NULL;
	last_entry = entry;
	if (entry->shape != NULL && !entry->stale)
		return entry->shape;

	if (entry->shape != NULL)
		MemoryContextSetParent(entry->shape->context, TopTransactionContext);
	entry->shape = NULL;

	/* An invalidation that comes while the shape is built must mark it. */
	entry->stale = false;
	entry->shape = build_shape(rel);
	return entry->shape;
}

/* ---- questions ---- */

uint8
row_shape_key_signature(const RowShape *shape)
{
	return shape->signature;
}

int
row_shape_key_count(const RowShape *shape)
{
	return shape->nkeys;
}

AttrNumber
row_shape_key_attribute(const RowShape *shape, int i)
{
	Assert(i >= 0 && i < shape->nkeys);
	return shape->keys[i].attno;
}

int
row_shape_key_index(const RowShape *shape, AttrNumber attno)
{
	if (attno < 1 || attno > shape->natts)
		return -1;
	return shape->columns[attno - 1].key_index;
}

bool
row_shape_is_map(const RowShape *shape, AttrNumber *key, AttrNumber *value)
{
	if (!shape->is_map)
		return false;
	*key = shape->keys[0].attno;
	*value = shape->map_value;
	return true;
}

bool
row_shape_key_is_ordered(const RowShape *shape, int i)
{
	Assert(i >= 0 && i < shape->nkeys);
	return shape->keys[i].ordered;
}

/* ---- encoding ---- */

static inline void
append_key_column(const RowShape *shape, const RowKeyColumn *key, Datum value, bool isnull, StringInfo out)
{
	if (unlikely(isnull))
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in key column \"%s\" of foreign table \"%s\"",
						shape->columns[key->attno - 1].name, shape->table)));
	key_codec_encode(&key->codec, value, out);
}

void
row_encode_key(const RowShape *shape, const Datum *values, const bool *isnull, int nkeys,
			   StringInfo out)
{
	Assert(nkeys <= shape->nkeys);
	for (int i = 0; i < nkeys; i++)
		append_key_column(shape, &shape->keys[i], values[i], isnull[i], out);
}

void
row_encode_key_of_row(const RowShape *shape, const Datum *values, const bool *isnull, StringInfo out)
{
	for (int i = 0; i < shape->nkeys; i++)
	{
		const RowKeyColumn *key = &shape->keys[i];

		append_key_column(shape, key, values[key->attno - 1], isnull[key->attno - 1], out);
	}
}

void
row_encode_value(const RowShape *shape, const Datum *values, const bool *isnull, StringInfo out)
{
	ValueFormSettings settings = {0};

	appendBinaryStringInfo(out, (const char *) shape->map_prefix, ROW_HEADER_BYTES);
	for (int i = 0; i < shape->natts; i++)
	{
		const RowColumn *column = &shape->columns[i];

		if (!column->stored)
			continue;
		if (isnull[i])
		{
			if (column->has_missing)
				value_codec_append_null((AttrNumber) (i + 1), out);
			continue;
		}
		if (column->key_index >= 0 &&
			key_codec_is_exact(&shape->keys[column->key_index].codec, values[i]))
			continue;
		value_codec_append(&column->codec, (AttrNumber) (i + 1), values[i], &settings, out);
	}
	value_form_settings_end(&settings);
}

void
row_encode_map_value(const RowShape *shape, SvSlice bytes, bool isnull, StringInfo out)
{
	Assert(shape->is_map);
	if (isnull)
		appendBinaryStringInfo(out, (const char *) shape->map_prefix, ROW_HEADER_BYTES);
	else
	{
		appendBinaryStringInfo(out, (const char *) shape->map_prefix,
							   (int) shape->map_prefix_len);
		value_append_bytes(out, bytes.data, bytes.len);
	}
}
