/*
 * key_number.c
 *		See key_number.h; the byte layouts are in ROWFORMAT.md.
 */
#include "postgres.h"

#include <math.h>

#include "base/sv_coding.h"
#include "datatype/timestamp.h"
#include "fmgr.h"
#include "forest/key_number.h"
#include "port/pg_bswap.h"
#include "server/pg_compat.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/timestamp.h"

/* First byte of a numeric.  Stored, and in the order of the values: never change. */
#define NUMERIC_KEY_MINUS_INFINITY	0x01
#define NUMERIC_KEY_NEGATIVE		0x02
#define NUMERIC_KEY_ZERO			0x03
#define NUMERIC_KEY_POSITIVE		0x04
#define NUMERIC_KEY_INFINITY		0x05
#define NUMERIC_KEY_NAN				0x06

/* The sign field of numeric_send, which the protocol fixes. */
#define NUMERIC_WIRE_POSITIVE		0x0000
#define NUMERIC_WIRE_NEGATIVE		0x4000
#define NUMERIC_WIRE_NAN			0xC000
#define NUMERIC_WIRE_INFINITY		0xD000
#define NUMERIC_WIRE_MINUS_INFINITY 0xF000
#define NUMERIC_WIRE_HEADER_BYTES	8
#define NUMERIC_WIRE_MAX_SCALE		0x3FFF

#define NUMERIC_DIGIT_BASE			10000
#define NUMERIC_DECIMALS_A_DIGIT	4

/* A numeric taken apart: digits of base 10000, big-endian 16-bit, the first of 10000^weight. */
typedef struct NumericParts
{
	int			ndigits;
	int			weight;
	int			sign;
	int			scale;
	const uint8 *digits;
} NumericParts;

static inline uint16
get_be16(const uint8 *src)
{
	return (uint16) (src[0] << 8 | src[1]);
}

static inline void
put_be16(uint8 *dst, uint16 v)
{
	dst[0] = (uint8) (v >> 8);
	dst[1] = (uint8) v;
}

/* The digits are in `wire`, which the caller pfrees. */
static bytea *
take_apart(Datum numeric, NumericParts *parts)
{
	bytea	   *wire = DatumGetByteaPP(DirectFunctionCall1(numeric_send, numeric));
	const uint8 *at = (const uint8 *) VARDATA_ANY(wire);

	parts->ndigits = get_be16(at);
	parts->weight = (int16) get_be16(at + 2);
	parts->sign = get_be16(at + 4);
	parts->scale = get_be16(at + 6);
	parts->digits = at + NUMERIC_WIRE_HEADER_BYTES;
	while (parts->ndigits > 0 && get_be16(parts->digits) == 0)
	{
		parts->digits += 2;
		parts->ndigits--;
		parts->weight--;
	}
	while (parts->ndigits > 0 && get_be16(parts->digits + 2 * (parts->ndigits - 1)) == 0)
		parts->ndigits--;
	return wire;
}

/* How many decimals the digits need behind the point. */
static int
canonical_scale(const NumericParts *parts)
{
	int			scale;
	int			last;

	if (parts->ndigits == 0)
		return 0;
	scale = (parts->ndigits - 1 - parts->weight) * NUMERIC_DECIMALS_A_DIGIT;
	last = get_be16(parts->digits + 2 * (parts->ndigits - 1));
	for (; last != 0 && last % 10 == 0; last /= 10)
		scale--;
	return Max(scale, 0);
}

static uint8
numeric_key_class(const NumericParts *parts)
{
	switch (parts->sign)
	{
		case NUMERIC_WIRE_NAN:
			return NUMERIC_KEY_NAN;
		case NUMERIC_WIRE_INFINITY:
			return NUMERIC_KEY_INFINITY;
		case NUMERIC_WIRE_MINUS_INFINITY:
			return NUMERIC_KEY_MINUS_INFINITY;
		case NUMERIC_WIRE_NEGATIVE:
			return parts->ndigits == 0 ? NUMERIC_KEY_ZERO : NUMERIC_KEY_NEGATIVE;
		default:
			return parts->ndigits == 0 ? NUMERIC_KEY_ZERO : NUMERIC_KEY_POSITIVE;
	}
}

/*
 * Class; then for finite numbers but zero the weight (biased), the digits
 * (each plus one) and a zero, 16 bits each, all inverted for negative ones.
 */
void
key_numeric_encode(Datum numeric, StringInfo out)
{
	NumericParts parts;
	bytea	   *wire = take_apart(numeric, &parts);
	uint8		class = numeric_key_class(&parts);
	uint16		flip = class == NUMERIC_KEY_NEGATIVE ? 0xFFFF : 0;
	uint8	   *at;

	appendStringInfoCharMacro(out, (char) class);
	if (class == NUMERIC_KEY_POSITIVE || class == NUMERIC_KEY_NEGATIVE)
	{
		enlargeStringInfo(out, 2 * (parts.ndigits + 2));
		at = (uint8 *) out->data + out->len;
		put_be16(at, (uint16) (parts.weight ^ 0x8000) ^ flip);
		for (int i = 0; i < parts.ndigits; i++)
			put_be16(at + 2 * (i + 1), (uint16) (get_be16(parts.digits + 2 * i) + 1) ^ flip);
		put_be16(at + 2 * (parts.ndigits + 1), flip);
		out->len += 2 * (parts.ndigits + 2);
		out->data[out->len] = '\0';
	}
	pfree(wire);
}

bool
key_numeric_is_exact(Datum numeric)
{
	NumericParts parts;
	bytea	   *wire = take_apart(numeric, &parts);
	bool		exact = parts.sign != NUMERIC_WIRE_POSITIVE && parts.sign != NUMERIC_WIRE_NEGATIVE;

	if (!exact)
		exact = parts.scale == canonical_scale(&parts);
	pfree(wire);
	return exact;
}

size_t
key_numeric_length(SvSlice bytes)
{
	uint16		end;

	if (bytes.len == 0)
		return 0;
	switch (bytes.data[0])
	{
		case NUMERIC_KEY_MINUS_INFINITY:
		case NUMERIC_KEY_ZERO:
		case NUMERIC_KEY_INFINITY:
		case NUMERIC_KEY_NAN:
			return 1;
		case NUMERIC_KEY_NEGATIVE:
			end = 0xFFFF;
			break;
		case NUMERIC_KEY_POSITIVE:
			end = 0;
			break;
		default:
			return 0;
	}
	for (size_t at = 3; at + 2 <= bytes.len; at += 2)
	{
		if (get_be16(bytes.data + at) == end)
			return at + 2;
	}
	return 0;
}

/* Turns class, weight and digits into what numeric_recv reads.  False if they are not canonical. */
static bool
numeric_to_wire(SvSlice bytes, StringInfo wire)
{
	uint16		flip = bytes.data[0] == NUMERIC_KEY_NEGATIVE ? 0xFFFF : 0;
	NumericParts parts;
	uint8	   *digits;

	parts.ndigits = (int) ((bytes.len - 5) / 2);
	parts.weight = (int16) (get_be16(bytes.data + 1) ^ flip ^ 0x8000);
	if (parts.ndigits == 0 || parts.ndigits > PG_INT16_MAX)
		return false;
	digits = (uint8 *) wire->data + NUMERIC_WIRE_HEADER_BYTES;
	for (int i = 0; i < parts.ndigits; i++)
	{
		int			digit = (uint16) (get_be16(bytes.data + 3 + 2 * i) ^ flip) - 1;

		if (digit < 0 || digit >= NUMERIC_DIGIT_BASE)
			return false;
		if (digit == 0 && (i == 0 || i == parts.ndigits - 1))
			return false;
		put_be16(digits + 2 * i, (uint16) digit);
	}
	parts.digits = digits;
	parts.scale = canonical_scale(&parts);
	if (parts.scale > NUMERIC_WIRE_MAX_SCALE)
		return false;
	put_be16((uint8 *) wire->data, (uint16) parts.ndigits);
	put_be16((uint8 *) wire->data + 2, (uint16) parts.weight);
	put_be16((uint8 *) wire->data + 4, flip ? NUMERIC_WIRE_NEGATIVE : NUMERIC_WIRE_POSITIVE);
	put_be16((uint8 *) wire->data + 6, (uint16) parts.scale);
	wire->len = NUMERIC_WIRE_HEADER_BYTES + 2 * parts.ndigits;
	return true;
}

bool
key_numeric_decode(SvSlice bytes, Datum *numeric)
{
	static const uint16 sign_of_class[] = {
		[NUMERIC_KEY_MINUS_INFINITY] = NUMERIC_WIRE_MINUS_INFINITY,
		[NUMERIC_KEY_ZERO] = NUMERIC_WIRE_POSITIVE,
		[NUMERIC_KEY_INFINITY] = NUMERIC_WIRE_INFINITY,
		[NUMERIC_KEY_NAN] = NUMERIC_WIRE_NAN
	};
	StringInfoData wire;
	bool		valid = true;

	initStringInfo(&wire);
	enlargeStringInfo(&wire, NUMERIC_WIRE_HEADER_BYTES + (int) bytes.len);
	if (bytes.len > 1)
		valid = numeric_to_wire(bytes, &wire);
	else
	{
		memset(wire.data, 0, NUMERIC_WIRE_HEADER_BYTES);
		put_be16((uint8 *) wire.data + 4, sign_of_class[bytes.data[0]]);
		wire.len = NUMERIC_WIRE_HEADER_BYTES;
	}
	if (valid)
		*numeric = DirectFunctionCall3(numeric_recv, PointerGetDatum(&wire),
									   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	pfree(wire.data);
	return valid;
}

/*
 * What interval_cmp compares, months of 30 days and days of 24 hours, as
 * whole days (rounded down) and the microseconds that are left.
 */
static void
interval_span(const Interval *interval, int64 *days, int64 *usecs)
{
	*days = (int64) interval->month * DAYS_PER_MONTH + interval->day +
		interval->time / USECS_PER_DAY;
	*usecs = interval->time % USECS_PER_DAY;
	if (*usecs < 0)
	{
		*usecs += USECS_PER_DAY;
		*days -= 1;
	}
}

/* The canonical interval of a span: no months, days and time of one sign. */
static bool
interval_of_span(int64 days, int64 usecs, Interval *interval)
{
	if (days < 0 && usecs > 0)
	{
		days += 1;
		usecs -= USECS_PER_DAY;
	}
	if (days < PG_INT32_MIN || days > PG_INT32_MAX)
		return false;
	interval->month = 0;
	interval->day = (int32) days;
	interval->time = usecs;
	return true;
}

/* Days and microseconds, 64 bits each, big-endian with the sign bit inverted. */
void
key_interval_encode(Datum interval, StringInfo out)
{
	int64		span[2];
	uint64		bits[2];

	interval_span(DatumGetIntervalP(interval), &span[0], &span[1]);
	bits[0] = pg_hton64((uint64) span[0] ^ ((uint64) 1 << 63));
	bits[1] = pg_hton64((uint64) span[1] ^ ((uint64) 1 << 63));
	appendBinaryStringInfo(out, (char *) bits, KEY_INTERVAL_BYTES);
}

bool
key_interval_is_exact(Datum interval)
{
	const Interval *given = DatumGetIntervalP(interval);
	Interval	canonical;
	int64		days;
	int64		usecs;

	interval_span(given, &days, &usecs);
	return interval_of_span(days, usecs, &canonical) &&
		canonical.month == given->month && canonical.day == given->day &&
		canonical.time == given->time;
}

bool
key_interval_decode(SvSlice bytes, Datum *interval)
{
	uint64		bits[2];
	int64		days;
	int64		usecs;
	Interval   *result;

	memcpy(bits, bytes.data, KEY_INTERVAL_BYTES);
	days = (int64) (pg_ntoh64(bits[0]) ^ ((uint64) 1 << 63));
	usecs = (int64) (pg_ntoh64(bits[1]) ^ ((uint64) 1 << 63));
	if (usecs < 0 || usecs >= USECS_PER_DAY)
		return false;
	result = palloc(sizeof(Interval));
	if (!interval_of_span(days, usecs, result))
		return false;
	*interval = IntervalPGetDatum(result);
	return true;
}

uint32
key_float4_bits(float4 value)
{
	uint32		bits;

	if (isnan(value))
		value = get_float4_nan();
	else if (value == 0)
		value = 0;				/* minus zero is equal to it */
	memcpy(&bits, &value, sizeof(bits));
	if (isnan(value))
		bits &= ~((uint32) 1 << 31);
	return bits >> 31 ? ~bits : bits | (uint32) 1 << 31;
}

uint64
key_float8_bits(float8 value)
{
	uint64		bits;

	if (isnan(value))
		value = get_float8_nan();
	else if (value == 0)
		value = 0;
	memcpy(&bits, &value, sizeof(bits));
	if (isnan(value))
		bits &= ~((uint64) 1 << 63);
	return bits >> 63 ? ~bits : bits | (uint64) 1 << 63;
}

float4
key_float4_of_bits(uint32 bits)
{
	float4		value;

	bits = bits >> 31 ? bits & ~((uint32) 1 << 31) : ~bits;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

float8
key_float8_of_bits(uint64 bits)
{
	float8		value;

	bits = bits >> 63 ? bits & ~((uint64) 1 << 63) : ~bits;
	memcpy(&value, &bits, sizeof(value));
	return value;
}
