/*
 * value_codec.c
 *		See value_codec.h; the byte layouts are in ROWFORMAT.md.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "forest/datetime_check.h"
#include "forest/stored_text.h"
#include "forest/value_codec.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define FIXED_CLASS_MAX_BYTES 16

/* Bytes of a class of fixed width, 0 for the others. */
static const uint8 class_width[] = {
	[VALUE_CLASS_BOOL] = 1,
	[VALUE_CLASS_CHAR] = 1,
	[VALUE_CLASS_INT2] = 2,
	[VALUE_CLASS_INT4] = 4,
	[VALUE_CLASS_INT8] = 8,
	[VALUE_CLASS_OID] = 4,
	[VALUE_CLASS_FLOAT4] = 4,
	[VALUE_CLASS_FLOAT8] = 8,
	[VALUE_CLASS_UUID] = UUID_LEN,
	[VALUE_CLASS_DATE] = 4,
	[VALUE_CLASS_TIME] = 8,
	[VALUE_CLASS_TIMETZ] = 12,
	[VALUE_CLASS_TIMESTAMP] = 8,
	[VALUE_CLASS_TIMESTAMPTZ] = 8,
	[VALUE_CLASS_INTERVAL] = 16
};

static inline size_t
width_of_class(uint8 class)
{
	return class < lengthof(class_width) ? class_width[class] : 0;
}

/*
 * Core types have the same OID and the same binary form in every cluster.
 * Rows of the catalogs do not keep theirs; xml's input depends on a setting
 * that only the text form pins.
 */
static bool
type_has_stable_binary_form(Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	bool		stable;

	if (type >= FirstGenbkiObjectId || type == XMLARRAYOID)
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	stable = form->typtype != TYPTYPE_COMPOSITE &&
		OidIsValid(form->typsend) && OidIsValid(form->typreceive);
	ReleaseSysCache(tuple);
	return stable;
}

/* The class of the types that have one of their own, else 0. */
static int
class_of_core_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return VALUE_CLASS_BOOL;
		case CHAROID:
			return VALUE_CLASS_CHAR;
		case INT2OID:
			return VALUE_CLASS_INT2;
		case INT4OID:
			return VALUE_CLASS_INT4;
		case INT8OID:
			return VALUE_CLASS_INT8;
		case OIDOID:
			return VALUE_CLASS_OID;
		case FLOAT4OID:
			return VALUE_CLASS_FLOAT4;
		case FLOAT8OID:
			return VALUE_CLASS_FLOAT8;
		case UUIDOID:
			return VALUE_CLASS_UUID;
		case DATEOID:
			return VALUE_CLASS_DATE;
		case TIMEOID:
			return VALUE_CLASS_TIME;
		case TIMETZOID:
			return VALUE_CLASS_TIMETZ;
		case TIMESTAMPOID:
			return VALUE_CLASS_TIMESTAMP;
		case TIMESTAMPTZOID:
			return VALUE_CLASS_TIMESTAMPTZ;
		case INTERVALOID:
			return VALUE_CLASS_INTERVAL;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return VALUE_CLASS_TEXT;
		case NAMEOID:
			return VALUE_CLASS_NAME;
		case BYTEAOID:
			return VALUE_CLASS_BYTEA;
		case JSONOID:
			return VALUE_CLASS_JSON;
		case XMLOID:
			return VALUE_CLASS_XML;
		default:
			return 0;
	}
}

void
value_codec_init(ValueCodec *codec, Oid type, MemoryContext context)
{
	int			class = class_of_core_type(type);

	codec->type = type;
	codec->form = NULL;
	if (class != 0)
		codec->class = (ValueClass) class;
	else if (type_is_enum(type))
		codec->class = VALUE_CLASS_ENUM;
	else
	{
		bool		binary = type_has_stable_binary_form(type);

		codec->class = binary ? VALUE_CLASS_BINARY_FORM : VALUE_CLASS_TEXT_FORM;
		codec->form = MemoryContextAllocZero(context, sizeof(ValueForm));
		value_form_init(codec->form, type, binary, context);
	}
}

static void
append_fixed(ValueClass class, Datum value, StringInfo out)
{
	uint8		bytes[FIXED_CLASS_MAX_BYTES];
	const TimeTzADT *timetz;
	const Interval *interval;

	switch (class)
	{
		case VALUE_CLASS_BOOL:
			bytes[0] = DatumGetBool(value) ? 1 : 0;
			break;
		case VALUE_CLASS_CHAR:
			bytes[0] = (uint8) DatumGetChar(value);
			break;
		case VALUE_CLASS_INT2:
			sv_put_u16(bytes, (uint16) DatumGetInt16(value));
			break;
		case VALUE_CLASS_INT4:
		case VALUE_CLASS_OID:
		case VALUE_CLASS_FLOAT4:
		case VALUE_CLASS_DATE:
			/* all of them are the low 32 bits of the datum */
			sv_put_u32(bytes, DatumGetUInt32(value));
			break;
		case VALUE_CLASS_UUID:
			memcpy(bytes, DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case VALUE_CLASS_TIMETZ:
			timetz = DatumGetTimeTzADTP(value);
			sv_put_u64(bytes, (uint64) timetz->time);
			sv_put_u32(bytes + 8, (uint32) timetz->zone);
			break;
		case VALUE_CLASS_INTERVAL:
			interval = DatumGetIntervalP(value);
			sv_put_u64(bytes, (uint64) interval->time);
			sv_put_u32(bytes + 8, (uint32) interval->day);
			sv_put_u32(bytes + 12, (uint32) interval->month);
			break;
		default:
			/* the others are 64 bits wide, by value or by reference as the platform has it */
			sv_put_u64(bytes, (uint64) DatumGetInt64(value));
			break;
	}
	appendBinaryStringInfo(out, (char *) bytes, (int) width_of_class((uint8) class));
}

static void
append_varlena(Datum value, StringInfo out)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	value_append_bytes(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
}

static void
append_tag(const ValueCodec *codec, AttrNumber attno, StringInfo out)
{
	uint8	   *tag;
	size_t		len;

	enlargeStringInfo(out, 2 * SV_VARINT32_MAX_BYTES + 1);
	tag = (uint8 *) out->data + out->len;
	len = sv_varint_put(tag, (uint64) attno);
	tag[len++] = (uint8) codec->class;
	if (codec->class == VALUE_CLASS_BINARY_FORM)
		len += sv_varint_put(tag + len, codec->type);
	tag[len] = '\0';
	out->len += (int) len;
}

void
value_codec_append(const ValueCodec *codec, AttrNumber attno, Datum value,
				   ValueFormSettings *settings, StringInfo out)
{
	char	   *label;

	append_tag(codec, attno, out);
	switch (codec->class)
	{
		case VALUE_CLASS_TEXT:
		case VALUE_CLASS_BYTEA:
		case VALUE_CLASS_JSON:
		case VALUE_CLASS_XML:
			append_varlena(value, out);
			break;
		case VALUE_CLASS_NAME:
			value_append_bytes(out, NameStr(*DatumGetName(value)),
							   strlen(NameStr(*DatumGetName(value))));
			break;
		case VALUE_CLASS_ENUM:
			label = stored_enum_label(DatumGetObjectId(value));
			value_append_bytes(out, label, strlen(label));
			pfree(label);
			break;
		case VALUE_CLASS_TEXT_FORM:
		case VALUE_CLASS_BINARY_FORM:
			value_form_append(codec->form, value, settings, out);
			break;
		default:
			append_fixed(codec->class, value, out);
			break;
	}
}

void
value_codec_append_null(AttrNumber attno, StringInfo out)
{
	ValueCodec	null = {.class = VALUE_CLASS_NULL};

	append_tag(&null, attno, out);
}

bool
value_entry_read(SvCursor *value, ValueEntry *entry)
{
	uint32		attno;
	uint32		type = InvalidOid;
	uint32		len;

	if (!sv_cursor_varint32(value, &attno) || attno == 0 || attno > MaxHeapAttributeNumber ||
		!sv_cursor_u8(value, &entry->class))
		return false;
	len = (uint32) width_of_class(entry->class);
	if (len == 0 && entry->class != VALUE_CLASS_NULL)
	{
		if (entry->class == VALUE_CLASS_BINARY_FORM)
		{
			if (!sv_cursor_varint32(value, &type))
				return false;
		}
		else if (entry->class < VALUE_CLASS_TEXT || entry->class > VALUE_CLASS_TEXT_FORM)
			return false;
		if (!sv_cursor_varint32(value, &len))
			return false;
	}
	entry->attno = (AttrNumber) attno;
	entry->type = type;
	return sv_cursor_bytes(value, len, &entry->bytes);
}

static bool
decode_by_reference(ValueClass class, const uint8 *bytes, Datum *value)
{
	pg_uuid_t  *uuid;
	TimeTzADT  *timetz;
	Interval   *interval;

	switch (class)
	{
		case VALUE_CLASS_UUID:
			uuid = palloc(sizeof(pg_uuid_t));
			memcpy(uuid->data, bytes, UUID_LEN);
			*value = UUIDPGetDatum(uuid);
			return true;
		case VALUE_CLASS_TIMETZ:
			timetz = palloc(sizeof(TimeTzADT));
			timetz->time = (TimeADT) sv_get_u64(bytes);
			timetz->zone = (int32) sv_get_u32(bytes + 8);
			*value = TimeTzADTPGetDatum(timetz);
			return datetime_time_is_valid(timetz->time) && datetime_zone_is_valid(timetz->zone);
		case VALUE_CLASS_INTERVAL:
			interval = palloc(sizeof(Interval));
			interval->time = (TimeOffset) sv_get_u64(bytes);
			interval->day = (int32) sv_get_u32(bytes + 8);
			interval->month = (int32) sv_get_u32(bytes + 12);
			*value = IntervalPGetDatum(interval);
			return true;
		default:
			return false;
	}
}

static bool
decode_fixed(ValueClass class, const uint8 *bytes, Datum *value)
{
	int64		number;
	uint32		bits;
	float4		real;

	switch (class)
	{
		case VALUE_CLASS_BOOL:
			*value = BoolGetDatum(bytes[0] == 1);
			return bytes[0] <= 1;
		case VALUE_CLASS_CHAR:
			*value = CharGetDatum((char) bytes[0]);
			return true;
		case VALUE_CLASS_INT2:
			*value = Int16GetDatum((int16) sv_get_u16(bytes));
			return true;
		case VALUE_CLASS_INT4:
			*value = Int32GetDatum((int32) sv_get_u32(bytes));
			return true;
		case VALUE_CLASS_OID:
			*value = ObjectIdGetDatum(sv_get_u32(bytes));
			return true;
		case VALUE_CLASS_FLOAT4:
			bits = sv_get_u32(bytes);
			memcpy(&real, &bits, sizeof(real));
			*value = Float4GetDatum(real);
			return true;
		case VALUE_CLASS_DATE:
			*value = DateADTGetDatum((DateADT) sv_get_u32(bytes));
			return datetime_date_is_valid((DateADT) sv_get_u32(bytes));
		case VALUE_CLASS_INT8:
		case VALUE_CLASS_FLOAT8:
			*value = Int64GetDatum((int64) sv_get_u64(bytes));
			return true;
		case VALUE_CLASS_TIME:
		case VALUE_CLASS_TIMESTAMP:
		case VALUE_CLASS_TIMESTAMPTZ:
			number = (int64) sv_get_u64(bytes);
			*value = Int64GetDatum(number);
			return class == VALUE_CLASS_TIME ? datetime_time_is_valid(number) :
				datetime_timestamp_is_valid(number);
		default:
			return decode_by_reference(class, bytes, value);
	}
}

static Datum
make_varlena(SvSlice bytes)
{
	struct varlena *result = palloc(VARHDRSZ + bytes.len);

	SET_VARSIZE(result, VARHDRSZ + bytes.len);
	if (bytes.len > 0)
		memcpy(VARDATA(result), bytes.data, bytes.len);
	return PointerGetDatum(result);
}

static bool
decode_label(const ValueCodec *codec, SvSlice bytes, Datum *value)
{
	char		label[NAMEDATALEN] = "";

	if (bytes.len >= NAMEDATALEN || !stored_text_is_valid(bytes))
		return false;
	if (bytes.len > 0)
		memcpy(label, bytes.data, bytes.len);
	if (codec->class == VALUE_CLASS_ENUM)
		*value = ObjectIdGetDatum(stored_enum_of_label(codec->type, label));
	else
	{
		Name		name = palloc0(NAMEDATALEN);

		memcpy(NameStr(*name), label, bytes.len);
		*value = NameGetDatum(name);
	}
	return true;
}

ValueOutcome
value_codec_decode(const ValueCodec *codec, const ValueEntry *entry,
				   ValueFormSettings *settings, Datum *value)
{
	bool		valid;

	if (entry->class == VALUE_CLASS_NULL)
		return VALUE_NULL;
	if (entry->class != codec->class ||
		(codec->class == VALUE_CLASS_BINARY_FORM && entry->type != codec->type))
		return VALUE_OTHER_TYPE;
	switch (codec->class)
	{
		case VALUE_CLASS_TEXT:
		case VALUE_CLASS_JSON:
		case VALUE_CLASS_XML:
			valid = stored_text_is_valid(entry->bytes);
			if (valid)
				*value = make_varlena(entry->bytes);
			break;
		case VALUE_CLASS_BYTEA:
			*value = make_varlena(entry->bytes);
			valid = true;
			break;
		case VALUE_CLASS_NAME:
		case VALUE_CLASS_ENUM:
			valid = decode_label(codec, entry->bytes, value);
			break;
		case VALUE_CLASS_TEXT_FORM:
			/* the input function's taste may have changed; the class cannot tell */
			if (!stored_text_is_valid(entry->bytes))
				return VALUE_CORRUPT;
			return value_form_read(codec->form, entry->bytes, settings, value) ?
				VALUE_DECODED : VALUE_OTHER_TYPE;
		case VALUE_CLASS_BINARY_FORM:
			valid = value_form_read(codec->form, entry->bytes, settings, value);
			break;
		default:
			valid = decode_fixed(codec->class, entry->bytes.data, value);
			break;
	}
	return valid ? VALUE_DECODED : VALUE_CORRUPT;
}
