/*
 * value_codec.h
 *		One column of a stored value: attribute number, encoding class, bytes.
 *
 * The class says how many bytes follow or that a length does, so that entries
 * can be skipped without knowing the column's type.
 */
#ifndef VALUE_CODEC_H
#define VALUE_CODEC_H

#include "postgres.h"

#include "base/sv_coding.h"
#include "forest/value_form.h"
#include "lib/stringinfo.h"

/* Stored with every datum: never change a number. */
typedef enum ValueClass
{
	VALUE_CLASS_NULL = 0,		/* of columns with a row_missing value, and without bytes */
	/* of fixed width, little-endian */
	VALUE_CLASS_BOOL = 1,
	VALUE_CLASS_CHAR = 2,		/* "char", one byte */
	VALUE_CLASS_INT2 = 3,
	VALUE_CLASS_INT4 = 4,
	VALUE_CLASS_INT8 = 5,
	VALUE_CLASS_OID = 6,
	VALUE_CLASS_FLOAT4 = 7,
	VALUE_CLASS_FLOAT8 = 8,
	VALUE_CLASS_UUID = 9,
	VALUE_CLASS_DATE = 10,
	VALUE_CLASS_TIME = 11,
	VALUE_CLASS_TIMETZ = 12,
	VALUE_CLASS_TIMESTAMP = 13,
	VALUE_CLASS_TIMESTAMPTZ = 14,
	VALUE_CLASS_INTERVAL = 15,
	/* varint length and bytes */
	VALUE_CLASS_TEXT = 32,		/* text, varchar, bpchar */
	VALUE_CLASS_NAME = 33,
	VALUE_CLASS_BYTEA = 34,
	VALUE_CLASS_JSON = 35,
	VALUE_CLASS_XML = 36,
	VALUE_CLASS_ENUM = 37,		/* the label */
	VALUE_CLASS_TEXT_FORM = 38, /* what the type's output function writes */
	/* varint type oid, varint length and bytes */
	VALUE_CLASS_BINARY_FORM = 64	/* what the type's send function writes; core types only */
} ValueClass;

typedef struct ValueCodec
{
	ValueClass	class;
	Oid			type;			/* base type of the column */
	ValueForm  *form;			/* of the two ..._FORM classes */
} ValueCodec;

/* An entry as read; bytes are borrowed. */
typedef struct ValueEntry
{
	AttrNumber	attno;
	uint8		class;
	Oid			type;			/* of VALUE_CLASS_BINARY_FORM */
	SvSlice		bytes;
} ValueEntry;

typedef enum ValueOutcome
{
	VALUE_DECODED,
	VALUE_NULL,
	VALUE_CORRUPT,
	VALUE_OTHER_TYPE			/* stored as a type other than the column's */
} ValueOutcome;

/* How columns of a base type are stored; what has to be allocated goes to `context`. */
extern void value_codec_init(ValueCodec *codec, Oid type, MemoryContext context);

/* Says that the column is NULL, where no entry would say something else. */
extern void value_codec_append_null(AttrNumber attno, StringInfo out);

extern void value_codec_append(const ValueCodec *codec, AttrNumber attno, Datum value,
							   ValueFormSettings *settings, StringInfo out);

/* Takes the next entry off the front; false if there is no well-formed one. */
extern bool value_entry_read(SvCursor *value, ValueEntry *entry);

/* Decodes into CurrentMemoryContext. */
extern ValueOutcome value_codec_decode(const ValueCodec *codec, const ValueEntry *entry,
									   ValueFormSettings *settings, Datum *value);

#endif							/* VALUE_CODEC_H */
