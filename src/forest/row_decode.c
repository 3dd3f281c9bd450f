/*
 * row_decode.c
 *		See row_decode.h; the byte layouts are in ROWFORMAT.md.
 */
#include "postgres.h"

#include "forest/row_decode.h"

#include "forest/row_missing.h"
#include "forest/row_shape_inside.h"
#include "forest/stored_text.h"
#include "server/pg_compat.h"
#include "sst/sst_entry.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

StaticAssertDecl(SST_MAX_KEY_BYTES + VARHDRSZ <= ROW_MAP_KEY_ROOM_BYTES, "there is room for every key");

static void
report_damage(const RowShape *shape, const char *part)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("a stored row of foreign table \"%s\" is damaged", shape->table),
			 errdetail("Its %s is not an encoding of the table's columns.", part)));
}

static void
report_other_type(const RowShape *shape, const RowColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of foreign table \"%s\" was stored as another type",
					column->name, shape->table),
			 errdetail("A stored row has an encoding that is not one of type %s.",
					   format_type_be(column->type)),
			 errhint("Change the column's type back, and write the rows again to convert them.")));
}

static void
report_other_key(const RowShape *shape)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the key of foreign table \"%s\" was changed after rows were stored",
					shape->table),
			 errhint("Set the table option \"key\" and the types of the key columns back.")));
}

static SvCursor
open_value(const RowShape *shape, SvSlice value)
{
	SvCursor	cursor = sv_cursor(value);
	uint8		version;
	uint8		signature;

	if (value.len > MaxAllocSize || !sv_cursor_u8(&cursor, &version) ||
		!sv_cursor_u8(&cursor, &signature) || version != ROW_FORMAT_VERSION)
		report_damage(shape, "value");
	if (signature != shape->signature)
		report_other_key(shape);
	return cursor;
}

/* The next entry; false at the end.  *previous is the attribute number before it, at first 0. */
static bool
next_entry(const RowShape *shape, SvCursor *cursor, AttrNumber *previous, ValueEntry *entry)
{
	if (cursor->left == 0)
		return false;
	if (!value_entry_read(cursor, entry) ||
		entry->attno <= *previous || entry->attno > shape->natts)
		report_damage(shape, "value");
	*previous = entry->attno;
	return true;
}

static void
make_missing(const RowShape *shape, RowColumn *column)
{
	MemoryContext old = MemoryContextSwitchTo(shape->context);

	column->missing = row_missing_value(column->missing_text, column->type, column->name);
	column->missing_made = true;
	MemoryContextSwitchTo(old);
}

/* What stands in columns that the value has no word of: of attributes behind `before`, up to `last`. */
static void
fill_missing(const RowShape *shape, AttrNumber before, AttrNumber last, const Bitmapset *needed,
			 Datum *values, bool *isnull)
{
	for (int i = before; i < last; i++)
	{
		RowColumn  *column = &shape->columns[i];

		if (!column->has_missing || (needed != NULL && !bms_is_member(i + 1, needed)))
			continue;
		if (unlikely(!column->missing_made))
			make_missing(shape, column);
		values[i] = column->missing;
		isnull[i] = false;
	}
}

static void
decode_value(const RowShape *shape, SvSlice value, const Bitmapset *needed, Datum *values,
			 bool *isnull, ValueFormSettings *settings)
{
	SvCursor	cursor = open_value(shape, value);
	AttrNumber	previous = 0;
	AttrNumber	before = 0;
	ValueEntry	entry;

	for (; next_entry(shape, &cursor, &previous, &entry); before = previous)
	{
		int			i = entry.attno - 1;
		const RowColumn *column = &shape->columns[i];

		/* an exact key column is in the key only */
		if (column->key_index >= 0 &&
			!key_kind_has_spellings(shape->keys[column->key_index].codec.kind))
			report_damage(shape, "value");
		if (shape->has_missing)
			fill_missing(shape, before, entry.attno - 1, needed, values, isnull);
		if (!column->stored || (needed != NULL && !bms_is_member(entry.attno, needed)))
			continue;
		switch (value_codec_decode(&column->codec, &entry, settings, &values[i]))
		{
			case VALUE_DECODED:
				isnull[i] = false;
				break;
			case VALUE_NULL:
				if (column->key_index >= 0)
					report_damage(shape, "value");
				isnull[i] = true;
				break;
			case VALUE_CORRUPT:
				report_damage(shape, "value");
				break;
			case VALUE_OTHER_TYPE:
				report_other_type(shape, column);
				break;
		}
	}
	if (shape->has_missing)
		fill_missing(shape, before, shape->natts, needed, values, isnull);
}

void
row_decode_key(const RowShape *shape, SvSlice key, const Bitmapset *needed, Datum *values, bool *isnull)
{
	SvCursor	cursor = sv_cursor(key);

	for (int i = 0; i < shape->nkeys; i++)
	{
		const RowKeyColumn *column = &shape->keys[i];
		int			index = column->attno - 1;
		SvSlice		encoded;

		if (!key_codec_split(&column->codec, &cursor, &encoded))
			report_damage(shape, "key");
		if (!isnull[index] || (needed != NULL && !bms_is_member(column->attno, needed)))
			continue;
		if (!key_codec_decode(&column->codec, encoded, &values[index]))
			report_damage(shape, "key");
		isnull[index] = false;
	}
	if (cursor.left != 0)
		report_damage(shape, "key");
}

void
row_decode(const RowShape *shape, SvSlice key, SvSlice value, const Bitmapset *needed,
		   Datum *values, bool *isnull)
{
	ValueFormSettings settings = {0};

	memset(values, 0, sizeof(Datum) * shape->natts);
	memset(isnull, true, sizeof(bool) * shape->natts);
	decode_value(shape, value, needed, values, isnull, &settings);
	row_decode_key(shape, key, needed, values, isnull);
	value_form_settings_end(&settings);
}

/* What follows a map's prefix, if it is the only entry: no column was dropped since the row was written. */
static inline bool
sole_entry(const RowShape *shape, SvSlice value, SvSlice *bytes)
{
	SvCursor	cursor;
	uint32		len;

	cursor = sv_cursor(sv_slice(value.data + shape->map_prefix_len,
								value.len - shape->map_prefix_len));
	if (!sv_cursor_varint32(&cursor, &len) || len != cursor.left)
		return false;
	return sv_cursor_bytes(&cursor, len, bytes);
}

/* The only entry of a map's value; false: it has none, or others. */
static inline bool
find_sole_entry(const RowShape *shape, SvSlice value, SvSlice *bytes)
{
	return value.len > shape->map_prefix_len &&
		memcmp(value.data, shape->map_prefix, shape->map_prefix_len) == 0 &&
		sole_entry(shape, value, bytes);
}

RowMapReader *
row_map_reader(const RowShape *shape, const Bitmapset *needed)
{
	RowMapReader *reader;

	if (!shape->is_map)
		return NULL;
	reader = palloc(sizeof(RowMapReader));
	reader->shape = shape;
	reader->needed = needed;
	reader->key_index = shape->keys[0].attno - 1;
	reader->value_index = shape->map_value - 1;
	reader->wants_key = needed == NULL || bms_is_member(reader->key_index + 1, needed);
	reader->wants_value = needed == NULL || bms_is_member(reader->value_index + 1, needed);
	reader->key_is_text = shape->columns[reader->key_index].codec.class == VALUE_CLASS_TEXT;
	reader->value_is_text = shape->columns[reader->value_index].codec.class == VALUE_CLASS_TEXT;
	reader->prefix = reader->prefix_mask = 0;
	if (shape->map_prefix_len <= sizeof(uint64))
	{
		memcpy(&reader->prefix, shape->map_prefix, shape->map_prefix_len);
		memset(&reader->prefix_mask, 0xff, shape->map_prefix_len);
	}
	return reader;
}

/* The same as find_sole_entry; most values have eight bytes, of which one look is enough. */
static inline bool
read_sole_entry(const RowMapReader *reader, SvSlice value, SvSlice *bytes)
{
	uint64		begin;

	if (reader->prefix_mask == 0 || value.len < sizeof(begin))
		return find_sole_entry(reader->shape, value, bytes);
	memcpy(&begin, value.data, sizeof(begin));
	return (begin & reader->prefix_mask) == reader->prefix && sole_entry(reader->shape, value, bytes);
}

/* A varlena of the bytes in a room that is large enough. */
static inline Datum
fill_room(char *room, SvSlice bytes)
{
	SET_VARSIZE(room, VARHDRSZ + bytes.len);
	if (bytes.len > 0)
		memcpy(VARDATA(room), bytes.data, bytes.len);
	return PointerGetDatum(room);
}

/* The value of a row as most are; false: it has to be looked at more closely. */
static inline bool
read_map_value(RowMapReader *reader, SvSlice bytes, Datum *value)
{
	if (bytes.len > ROW_MAP_ROOM_BYTES - VARHDRSZ || (reader->value_is_text && !stored_text_is_valid(bytes)))
		return false;
	*value = fill_room(reader->room, bytes);
	return true;
}

/* The key of a map is its column's bytes. */
static inline Datum
read_map_key(RowMapReader *reader, SvSlice key)
{
	if (key.len > ROW_MAP_KEY_ROOM_BYTES - VARHDRSZ || (reader->key_is_text && !stored_text_is_valid(key)))
		report_damage(reader->shape, "key");
	return fill_room(reader->key_room, key);
}

void
row_decode_map(RowMapReader *reader, SvSlice key, SvSlice value, Datum *values, bool *isnull)
{
	const RowShape *shape = reader->shape;
	SvSlice		bytes;

	if (!read_sole_entry(reader, value, &bytes) ||
		(reader->wants_value && !read_map_value(reader, bytes, &values[reader->value_index])))
	{
		row_decode(shape, key, value, reader->needed, values, isnull);
		return;
	}
	for (int i = 0; i < shape->natts; i++)
		isnull[i] = true;
	isnull[reader->value_index] = !reader->wants_value;
	if (!reader->wants_key)
		return;
	values[reader->key_index] = read_map_key(reader, key);
	isnull[reader->key_index] = false;
}

static bool
find_entry(const RowShape *shape, SvSlice value, SvSlice *bytes)
{
	const RowColumn *column = &shape->columns[shape->map_value - 1];
	SvCursor	cursor = open_value(shape, value);
	AttrNumber	previous = 0;
	ValueEntry	entry;
	bool		found = false;

	while (next_entry(shape, &cursor, &previous, &entry))
	{
		if (entry.attno != shape->map_value)
			continue;
		if (entry.class != column->codec.class)
			report_other_type(shape, column);
		*bytes = entry.bytes;
		found = true;
	}
	return found;
}

bool
row_decode_map_value(const RowShape *shape, SvSlice value, SvSlice *bytes)
{
	Assert(shape->is_map);
	if (!find_sole_entry(shape, value, bytes) && !find_entry(shape, value, bytes))
		return false;
	if (shape->columns[shape->map_value - 1].codec.class == VALUE_CLASS_TEXT &&
		!stored_text_is_valid(*bytes))
		report_damage(shape, "value");
	return true;
}
