/*
 * key_codec.c
 *		See key_codec.h; the byte layouts are in ROWFORMAT.md.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "forest/datetime_check.h"
#include "forest/key_codec.h"
#include "forest/key_number.h"
#include "forest/stored_text.h"
#include "port/pg_bswap.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#define SIGN_BIT_32 ((uint32) 1 << 31)
#define SIGN_BIT_64 ((uint64) 1 << 63)

/* Within a string of a composite key, a zero byte is 00 FF and the end is 00 01. */
#define STRING_ESCAPE		0x00
#define STRING_ESCAPED_ZERO 0xFF
#define STRING_END			0x01

KeyKind
key_kind_of_type(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return KEY_KIND_BOOL;
		case CHAROID:
			return KEY_KIND_CHAR;
		case INT2OID:
			return KEY_KIND_INT2;
		case INT4OID:
			return KEY_KIND_INT4;
		case INT8OID:
			return KEY_KIND_INT8;
		case OIDOID:
			return KEY_KIND_OID;
		case FLOAT4OID:
			return KEY_KIND_FLOAT4;
		case FLOAT8OID:
			return KEY_KIND_FLOAT8;
		case UUIDOID:
			return KEY_KIND_UUID;
		case DATEOID:
			return KEY_KIND_DATE;
		case TIMEOID:
			return KEY_KIND_TIME;
		case TIMETZOID:
			return KEY_KIND_TIMETZ;
		case TIMESTAMPOID:
			return KEY_KIND_TIMESTAMP;
		case TIMESTAMPTZOID:
			return KEY_KIND_TIMESTAMPTZ;
		case INTERVALOID:
			return KEY_KIND_INTERVAL;
		case NUMERICOID:
			return KEY_KIND_NUMERIC;
		case TEXTOID:
		case VARCHAROID:
			return KEY_KIND_TEXT;
		case BPCHAROID:
			return KEY_KIND_BPCHAR;
		case NAMEOID:
			return KEY_KIND_NAME;
		case BYTEAOID:
			return KEY_KIND_BYTEA;
		default:
			return type_is_enum(type) ? KEY_KIND_ENUM : KEY_KIND_NONE;
	}
}

bool
key_kind_is_collated(KeyKind kind)
{
	return kind == KEY_KIND_TEXT || kind == KEY_KIND_BPCHAR || kind == KEY_KIND_NAME;
}

bool
key_kind_has_spellings(KeyKind kind)
{
	return kind == KEY_KIND_NUMERIC || kind == KEY_KIND_INTERVAL || kind == KEY_KIND_BPCHAR ||
		kind == KEY_KIND_FLOAT4 || kind == KEY_KIND_FLOAT8;
}

/* Bytes of an encoding, 0 if they vary. */
static size_t
fixed_width(KeyKind kind)
{
	switch (kind)
	{
		case KEY_KIND_BOOL:
		case KEY_KIND_CHAR:
			return 1;
		case KEY_KIND_INT2:
			return 2;
		case KEY_KIND_INT4:
		case KEY_KIND_OID:
		case KEY_KIND_FLOAT4:
		case KEY_KIND_DATE:
			return 4;
		case KEY_KIND_INT8:
		case KEY_KIND_FLOAT8:
		case KEY_KIND_TIME:
		case KEY_KIND_TIMESTAMP:
		case KEY_KIND_TIMESTAMPTZ:
			return 8;
		case KEY_KIND_TIMETZ:
			return 12;
		case KEY_KIND_UUID:
			return UUID_LEN;
		case KEY_KIND_INTERVAL:
			return KEY_INTERVAL_BYTES;
		default:
			return 0;
	}
}

static inline void
append_be32(StringInfo out, uint32 v)
{
	v = pg_hton32(v);
	appendBinaryStringInfo(out, (char *) &v, sizeof(v));
}

static inline void
append_be64(StringInfo out, uint64 v)
{
	v = pg_hton64(v);
	appendBinaryStringInfo(out, (char *) &v, sizeof(v));
}

static inline uint32
get_be32(const uint8 *src)
{
	uint32		v;

	memcpy(&v, src, sizeof(v));
	return pg_ntoh32(v);
}

static inline uint64
get_be64(const uint8 *src)
{
	uint64		v;

	memcpy(&v, src, sizeof(v));
	return pg_ntoh64(v);
}

static void
append_string(const KeyCodec *codec, const char *data, size_t len, StringInfo out)
{
	static const char escaped_zero[] = {STRING_ESCAPE, (char) STRING_ESCAPED_ZERO};
	static const char end[] = {STRING_ESCAPE, STRING_END};

	while (!codec->raw)
	{
		const char *zero = len == 0 ? NULL : memchr(data, STRING_ESCAPE, len);

		if (zero == NULL)
			break;
		appendBinaryStringInfo(out, data, (int) (zero - data));
		appendBinaryStringInfo(out, escaped_zero, sizeof(escaped_zero));
		len -= (size_t) (zero - data) + 1;
		data = zero + 1;
	}
	appendBinaryStringInfo(out, data, (int) len);
	if (!codec->raw)
		appendBinaryStringInfo(out, end, sizeof(end));
}

static void
encode_varlena(const KeyCodec *codec, Datum value, StringInfo out)
{
	struct varlena *string = PG_DETOAST_DATUM_PACKED(value);
	int			len = (int) VARSIZE_ANY_EXHDR(string);

	if (codec->kind == KEY_KIND_BPCHAR)
		len = bpchartruelen(VARDATA_ANY(string), len);
	append_string(codec, VARDATA_ANY(string), (size_t) len, out);
	if ((Pointer) string != DatumGetPointer(value))
		pfree(string);
}

static void
encode_timetz(const TimeTzADT *timetz, StringInfo out)
{
	/* as timetz_cmp: by the time in UTC, then by the zone */
	int64		utc = timetz->time + timetz->zone * USECS_PER_SEC;

	append_be64(out, (uint64) utc ^ SIGN_BIT_64);
	append_be32(out, (uint32) timetz->zone ^ SIGN_BIT_32);
}

static void
encode_enum(const KeyCodec *codec, Datum value, StringInfo out)
{
	char	   *label = stored_enum_label(DatumGetObjectId(value));

	append_string(codec, label, strlen(label), out);
	pfree(label);
}

void
key_codec_encode(const KeyCodec *codec, Datum value, StringInfo out)
{
	uint16		bits16;

	switch (codec->kind)
	{
		case KEY_KIND_INT8:
		case KEY_KIND_TIME:
		case KEY_KIND_TIMESTAMP:
		case KEY_KIND_TIMESTAMPTZ:
			append_be64(out, (uint64) DatumGetInt64(value) ^ SIGN_BIT_64);
			break;
		case KEY_KIND_TEXT:
		case KEY_KIND_BPCHAR:
		case KEY_KIND_BYTEA:
			encode_varlena(codec, value, out);
			break;
		case KEY_KIND_INT4:
		case KEY_KIND_DATE:
			append_be32(out, (uint32) DatumGetInt32(value) ^ SIGN_BIT_32);
			break;
		case KEY_KIND_OID:
			append_be32(out, DatumGetObjectId(value));
			break;
		case KEY_KIND_INT2:
			bits16 = pg_hton16((uint16) DatumGetInt16(value) ^ 0x8000);
			appendBinaryStringInfo(out, (char *) &bits16, sizeof(bits16));
			break;
		case KEY_KIND_BOOL:
			appendStringInfoChar(out, DatumGetBool(value) ? 1 : 0);
			break;
		case KEY_KIND_CHAR:
			appendStringInfoChar(out, DatumGetChar(value));
			break;
		case KEY_KIND_FLOAT4:
			append_be32(out, key_float4_bits(DatumGetFloat4(value)));
			break;
		case KEY_KIND_FLOAT8:
			append_be64(out, key_float8_bits(DatumGetFloat8(value)));
			break;
		case KEY_KIND_UUID:
			appendBinaryStringInfo(out, (char *) DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case KEY_KIND_TIMETZ:
			encode_timetz(DatumGetTimeTzADTP(value), out);
			break;
		case KEY_KIND_INTERVAL:
			key_interval_encode(value, out);
			break;
		case KEY_KIND_NUMERIC:
			key_numeric_encode(value, out);
			break;
		case KEY_KIND_NAME:
			append_string(codec, NameStr(*DatumGetName(value)),
						  strlen(NameStr(*DatumGetName(value))), out);
			break;
		case KEY_KIND_ENUM:
			encode_enum(codec, value, out);
			break;
		case KEY_KIND_NONE:
			elog(ERROR, "type %u has no key encoding", codec->type);
	}
}

static bool
bpchar_is_exact(Datum value)
{
	struct varlena *string = PG_DETOAST_DATUM_PACKED(value);
	int			len = (int) VARSIZE_ANY_EXHDR(string);
	bool		exact = bpchartruelen(VARDATA_ANY(string), len) == len;

	if ((Pointer) string != DatumGetPointer(value))
		pfree(string);
	return exact;
}

bool
key_codec_is_exact(const KeyCodec *codec, Datum value)
{
	float4		value4;
	float8		value8;
	float4		decoded4;
	float8		decoded8;

	switch (codec->kind)
	{
		case KEY_KIND_NUMERIC:
			return key_numeric_is_exact(value);
		case KEY_KIND_INTERVAL:
			return key_interval_is_exact(value);
		case KEY_KIND_BPCHAR:
			return bpchar_is_exact(value);
		case KEY_KIND_FLOAT4:
			value4 = DatumGetFloat4(value);
			decoded4 = key_float4_of_bits(key_float4_bits(value4));
			return memcmp(&value4, &decoded4, sizeof(value4)) == 0;
		case KEY_KIND_FLOAT8:
			value8 = DatumGetFloat8(value);
			decoded8 = key_float8_of_bits(key_float8_bits(value8));
			return memcmp(&value8, &decoded8, sizeof(value8)) == 0;
		default:
			return true;
	}
}

/* Length of the escaped string, its end included, that `bytes` begins with; 0 if there is none. */
static size_t
escaped_length(SvSlice bytes)
{
	size_t		at = 0;

	while (at < bytes.len)
	{
		const uint8 *zero = memchr(bytes.data + at, STRING_ESCAPE, bytes.len - at);

		if (zero == NULL)
			return 0;
		at = (size_t) (zero - bytes.data) + 2;
		if (at > bytes.len)
			return 0;
		if (zero[1] == STRING_END)
			return at;
		if (zero[1] != STRING_ESCAPED_ZERO)
			return 0;
	}
	return 0;
}

bool
key_codec_split(const KeyCodec *codec, SvCursor *key, SvSlice *encoded)
{
	SvSlice		rest = {key->at, key->left};
	size_t		len = fixed_width(codec->kind);

	if (codec->kind == KEY_KIND_NUMERIC)
		len = key_numeric_length(rest);
	else if (len == 0 && codec->raw)
		return sv_cursor_bytes(key, rest.len, encoded);
	else if (len == 0)
		len = escaped_length(rest);
	return len != 0 && sv_cursor_bytes(key, len, encoded);
}

/* The string as a varlena; `encoded` has no end marker any more if it was escaped. */
static struct varlena *
decode_string(const KeyCodec *codec, SvSlice encoded)
{
	struct varlena *string = palloc(VARHDRSZ + encoded.len + 1);
	char	   *to = VARDATA(string);
	const uint8 *from = encoded.data;
	const uint8 *end;

	if (codec->raw)
	{
		if (encoded.len > 0)
			memcpy(to, from, encoded.len);
		to += encoded.len;
	}
	else
	{
		end = encoded.data + encoded.len - 2;
		while (from < end)
		{
			*to = (char) *from;
			from += *from == STRING_ESCAPE ? 2 : 1;
			to++;
		}
	}
	*to = '\0';					/* behind the varlena: handy for name and enum */
	SET_VARSIZE(string, to - (char *) string);
	return string;
}

static bool
decode_string_type(const KeyCodec *codec, SvSlice encoded, Datum *value)
{
	struct varlena *string = decode_string(codec, encoded);
	const char *data = VARDATA(string);
	int			len = (int) (VARSIZE(string) - VARHDRSZ);
	Name		name;

	*value = PointerGetDatum(string);
	if (codec->kind == KEY_KIND_BYTEA)
		return true;
	if (!stored_text_is_valid(sv_slice(data, (size_t) len)))
		return false;
	switch (codec->kind)
	{
		case KEY_KIND_BPCHAR:
			return bpchartruelen((char *) data, len) == len;
		case KEY_KIND_NAME:
			if (len >= NAMEDATALEN)
				return false;
			name = palloc0(NAMEDATALEN);
			memcpy(NameStr(*name), data, (size_t) len);
			pfree(string);
			*value = NameGetDatum(name);
			return true;
		case KEY_KIND_ENUM:
			*value = ObjectIdGetDatum(stored_enum_of_label(codec->type, data));
			pfree(string);
			return true;
		default:
			return true;
	}
}

static bool
decode_timetz(SvSlice encoded, Datum *value)
{
	TimeTzADT  *timetz = palloc(sizeof(TimeTzADT));
	int64		utc = (int64) (get_be64(encoded.data) ^ SIGN_BIT_64);

	timetz->zone = (int32) (get_be32(encoded.data + 8) ^ SIGN_BIT_32);
	if (!datetime_zone_is_valid(timetz->zone) ||
		utc < -2 * USECS_PER_DAY || utc > 3 * USECS_PER_DAY)
		return false;
	timetz->time = utc - timetz->zone * USECS_PER_SEC;
	*value = TimeTzADTPGetDatum(timetz);
	return datetime_time_is_valid(timetz->time);
}

static bool
decode_float(const KeyCodec *codec, SvSlice encoded, Datum *value)
{
	float4		value4;
	float8		value8;

	/* an encoding is canonical: minus zero and other NaNs do not occur */
	if (codec->kind == KEY_KIND_FLOAT4)
	{
		value4 = key_float4_of_bits(get_be32(encoded.data));
		*value = Float4GetDatum(value4);
		return key_float4_bits(value4) == get_be32(encoded.data);
	}
	value8 = key_float8_of_bits(get_be64(encoded.data));
	*value = Float8GetDatum(value8);
	return key_float8_bits(value8) == get_be64(encoded.data);
}

bool
key_codec_decode(const KeyCodec *codec, SvSlice encoded, Datum *value)
{
	const uint8 *data = encoded.data;
	int64		number = 0;
	pg_uuid_t  *uuid;

	if (fixed_width(codec->kind) == 8)
		number = (int64) (get_be64(data) ^ SIGN_BIT_64);
	else if (fixed_width(codec->kind) == 4)
		number = (int32) (get_be32(data) ^ SIGN_BIT_32);
	switch (codec->kind)
	{
		case KEY_KIND_INT8:
			*value = Int64GetDatum(number);
			return true;
		case KEY_KIND_TIME:
			*value = TimeADTGetDatum(number);
			return datetime_time_is_valid(number);
		case KEY_KIND_TIMESTAMP:
		case KEY_KIND_TIMESTAMPTZ:
			*value = TimestampGetDatum(number);
			return datetime_timestamp_is_valid(number);
		case KEY_KIND_INT4:
			*value = Int32GetDatum((int32) number);
			return true;
		case KEY_KIND_DATE:
			*value = DateADTGetDatum((DateADT) number);
			return datetime_date_is_valid((DateADT) number);
		case KEY_KIND_OID:
			*value = ObjectIdGetDatum(get_be32(data));
			return true;
		case KEY_KIND_INT2:
			*value = Int16GetDatum((int16) ((data[0] << 8 | data[1]) ^ 0x8000));
			return true;
		case KEY_KIND_BOOL:
			*value = BoolGetDatum(data[0] == 1);
			return data[0] <= 1;
		case KEY_KIND_CHAR:
			*value = CharGetDatum((char) data[0]);
			return true;
		case KEY_KIND_FLOAT4:
		case KEY_KIND_FLOAT8:
			return decode_float(codec, encoded, value);
		case KEY_KIND_UUID:
			uuid = palloc(sizeof(pg_uuid_t));
			memcpy(uuid->data, data, UUID_LEN);
			*value = UUIDPGetDatum(uuid);
			return true;
		case KEY_KIND_TIMETZ:
			return decode_timetz(encoded, value);
		case KEY_KIND_INTERVAL:
			return key_interval_decode(encoded, value);
		case KEY_KIND_NUMERIC:
			return key_numeric_decode(encoded, value);
		case KEY_KIND_TEXT:
		case KEY_KIND_BPCHAR:
		case KEY_KIND_NAME:
		case KEY_KIND_BYTEA:
		case KEY_KIND_ENUM:
			return decode_string_type(codec, encoded, value);
		case KEY_KIND_NONE:
			break;
	}
	return false;
}
