/*
 * row_reader.c
 *		Decodes what most rows are: the columns of the table in their order, less
 *		those that are NULL, each with the tag that the column has now.
 *
 * So the tags are compared with those that are expected, and nothing is looked
 * up.  A row in which anything is left over or not as expected (a column that
 * was dropped since, damage) is decoded anew by row_decode, which has the last word.
 */
#include "postgres.h"

#include "forest/row_reader.h"

#include "forest/datetime_check.h"
#include "forest/row_shape_inside.h"
#include "forest/stored_text.h"
#include "server/pg_compat.h"
#include "utils/memutils.h"

/* Of attribute numbers whose varint is one byte. */
#define MAX_ATTNO 127

/* For the strings of one row; those that find no room are palloc'd. */
#define ROOM_BYTES 4096

typedef enum StepKind
{
	STEP_BOOL,
	STEP_INT2,
	STEP_INT4,					/* and real */
	STEP_OID,
	STEP_INT8,					/* and double precision */
	STEP_DATE,
	STEP_TIMESTAMP,				/* and timestamptz */
	STEP_TEXT,
	STEP_BYTES,
	STEP_OTHER
} StepKind;

/* A column that may come next in a value. */
typedef struct Step
{
	uint8		attno;			/* the two bytes that its entry begins with */
	uint8		class;
	uint8		width;			/* 0: not fixed */
	bool		needed;
	StepKind	kind;
	const ValueCodec *codec;
} Step;

struct RowReader
{
	const RowShape *shape;
	const Bitmapset *needed;
	int			nsteps;
	Step	   *steps;
	Size		used;			/* of the room */
	pg_attribute_aligned(MAXIMUM_ALIGNOF) char room[ROOM_BYTES];
};

static void
set_kind(Step *step)
{
	static const struct
	{
		uint8		class;
		uint8		width;
		StepKind	kind;
	}			kinds[] = {
		{VALUE_CLASS_BOOL, 1, STEP_BOOL}, {VALUE_CLASS_INT2, 2, STEP_INT2}, {VALUE_CLASS_INT4, 4, STEP_INT4},
		{VALUE_CLASS_FLOAT4, 4, STEP_INT4}, {VALUE_CLASS_OID, 4, STEP_OID}, {VALUE_CLASS_INT8, 8, STEP_INT8},
		{VALUE_CLASS_FLOAT8, 8, STEP_INT8}, {VALUE_CLASS_DATE, 4, STEP_DATE},
		{VALUE_CLASS_TIMESTAMP, 8, STEP_TIMESTAMP}, {VALUE_CLASS_TIMESTAMPTZ, 8, STEP_TIMESTAMP},
		{VALUE_CLASS_TEXT, 0, STEP_TEXT}, {VALUE_CLASS_BYTEA, 0, STEP_BYTES}
	};

	step->kind = STEP_OTHER;
	step->width = 0;
	for (int i = 0; i < lengthof(kinds); i++)
		if (kinds[i].class == step->class)
		{
			step->kind = kinds[i].kind;
			step->width = kinds[i].width;
		}
}

RowReader *
row_reader(const RowShape *shape, const Bitmapset *needed)
{
	RowReader  *reader;

	if (shape->natts > MAX_ATTNO || shape->has_missing)
		return NULL;
	reader = palloc(sizeof(RowReader));
	reader->shape = shape;
	reader->needed = needed;
	reader->nsteps = 0;
	reader->steps = palloc(sizeof(Step) * Max(shape->natts, 1));
	for (int i = 0; i < shape->natts; i++)
	{
		const RowColumn *column = &shape->columns[i];
		Step	   *step = &reader->steps[reader->nsteps];

		/* What the key gives back exactly is not in the value. */
		if (!column->stored || (column->key_index >= 0 &&
								!key_kind_has_spellings(shape->keys[column->key_index].codec.kind)))
			continue;
		step->attno = (uint8) (i + 1);
		step->class = (uint8) column->codec.class;
		step->needed = needed == NULL || bms_is_member(i + 1, needed);
		step->codec = &column->codec;
		set_kind(step);
		reader->nsteps++;
	}
	return reader;
}

static Datum
make_string(RowReader *reader, const uint8 *data, Size len)
{
	Size		bytes = MAXALIGN(VARHDRSZ + len);
	char	   *string;

	if (bytes <= ROOM_BYTES - reader->used)
	{
		string = reader->room + reader->used;
		reader->used += bytes;
	}
	else
		string = palloc(bytes);
	SET_VARSIZE(string, VARHDRSZ + len);
	if (len > 0)
		memcpy(VARDATA(string), data, len);
	return PointerGetDatum(string);
}

static inline bool
read_fixed(StepKind kind, const uint8 *at, Datum *value)
{
	switch (kind)
	{
		case STEP_BOOL:
			*value = BoolGetDatum(at[0] == 1);
			return at[0] <= 1;
		case STEP_INT2:
			*value = Int16GetDatum((int16) sv_get_u16(at));
			return true;
		case STEP_INT4:
			*value = Int32GetDatum((int32) sv_get_u32(at));
			return true;
		case STEP_OID:
			*value = ObjectIdGetDatum(sv_get_u32(at));
			return true;
		case STEP_DATE:
			*value = DateADTGetDatum((DateADT) sv_get_u32(at));
			return datetime_date_is_valid((DateADT) sv_get_u32(at));
		case STEP_TIMESTAMP:
			*value = Int64GetDatum((int64) sv_get_u64(at));
			return datetime_timestamp_is_valid((int64) sv_get_u64(at));
		default:
			*value = Int64GetDatum((int64) sv_get_u64(at));
			return true;
	}
}

/* The string behind a tag. */
static inline bool
read_string(RowReader *reader, const Step *step, SvCursor *cursor, Datum *value)
{
	uint32		len;
	SvSlice		bytes;

	if (!sv_cursor_varint32(cursor, &len) || !sv_cursor_bytes(cursor, len, &bytes))
		return false;
	if (!step->needed)
		return true;
	if (step->kind == STEP_TEXT && !stored_text_is_valid(bytes))
		return false;
	*value = make_string(reader, bytes.data, bytes.len);
	return true;
}

/* The entry of any other column, of which its tag is a part. */
static bool
read_other(const Step *step, SvCursor *cursor, ValueFormSettings *settings, Datum *value)
{
	ValueEntry	entry;

	return value_entry_read(cursor, &entry) &&
		(!step->needed || value_codec_decode(step->codec, &entry, settings, value) == VALUE_DECODED);
}

static bool
read_value(RowReader *reader, SvSlice value, Datum *values, bool *isnull, ValueFormSettings *settings)
{
	SvCursor	cursor = sv_cursor(value);

	if (value.len < ROW_HEADER_BYTES || value.len > MaxAllocSize ||
		memcmp(value.data, reader->shape->map_prefix, ROW_HEADER_BYTES) != 0)
		return false;
	cursor.at += ROW_HEADER_BYTES;
	cursor.left -= ROW_HEADER_BYTES;
	for (const Step *step = reader->steps; step < reader->steps + reader->nsteps && cursor.left >= 2; step++)
	{
		Datum	   *datum = &values[step->attno - 1];
		bool		valid = true;

		if (cursor.at[0] != step->attno || cursor.at[1] != step->class)
			continue;			/* it is NULL */
		if (step->kind == STEP_OTHER)
			valid = read_other(step, &cursor, settings, datum);
		else
		{
			cursor.at += 2;
			cursor.left -= 2;
			if (step->width == 0)
				valid = read_string(reader, step, &cursor, datum);
			else if (cursor.left < step->width)
				return false;
			else
			{
				valid = !step->needed || read_fixed(step->kind, cursor.at, datum);
				cursor.at += step->width;
				cursor.left -= step->width;
			}
		}
		if (!valid)
			return false;
		isnull[step->attno - 1] = !step->needed;
	}
	return cursor.left == 0;
}

void
row_reader_decode(RowReader *reader, SvSlice key, SvSlice value, Datum *values, bool *isnull)
{
	const RowShape *shape = reader->shape;
	ValueFormSettings settings = {0};
	bool		done;

	memset(values, 0, sizeof(Datum) * shape->natts);
	memset(isnull, true, sizeof(bool) * shape->natts);
	reader->used = 0;
	done = read_value(reader, value, values, isnull, &settings);
	if (done)
		row_decode_key(shape, key, reader->needed, values, isnull);
	value_form_settings_end(&settings);
	if (!done)
		row_decode(shape, key, value, reader->needed, values, isnull);
}
