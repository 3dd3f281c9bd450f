/*
 * key_codec.h
 *		One key column as bytes whose order is the column's order.
 *
 * The encoding of a column is never a prefix of the encoding of another value
 * of it, unless the codec is raw, which only the column of a single-column key
 * may be: so the concatenation of several columns sorts as the columns do.
 */
#ifndef KEY_CODEC_H
#define KEY_CODEC_H

#include "postgres.h"

#include "base/sv_coding.h"
#include "lib/stringinfo.h"

/* Part of the key signature that is stored with every row: never change a number. */
typedef enum KeyKind
{
	KEY_KIND_NONE = 0,			/* the type cannot be a key column */
	KEY_KIND_BOOL = 1,
	KEY_KIND_CHAR = 2,			/* "char", one byte */
	KEY_KIND_INT2 = 3,
	KEY_KIND_INT4 = 4,
	KEY_KIND_INT8 = 5,
	KEY_KIND_OID = 6,
	KEY_KIND_FLOAT4 = 7,
	KEY_KIND_FLOAT8 = 8,
	KEY_KIND_UUID = 9,
	KEY_KIND_DATE = 10,
	KEY_KIND_TIME = 11,
	KEY_KIND_TIMETZ = 12,
	KEY_KIND_TIMESTAMP = 13,
	KEY_KIND_TIMESTAMPTZ = 14,
	KEY_KIND_INTERVAL = 15,
	KEY_KIND_NUMERIC = 16,
	KEY_KIND_TEXT = 17,			/* and varchar */
	KEY_KIND_BPCHAR = 18,
	KEY_KIND_NAME = 19,
	KEY_KIND_BYTEA = 20,
	KEY_KIND_ENUM = 21			/* the label: equality, but no order */
} KeyKind;

typedef struct KeyCodec
{
	KeyKind		kind;
	bool		raw;			/* strings as they are, without escapes and terminator */
	Oid			type;			/* base type of the column */
} KeyCodec;

/* Of a base type, no domain. */
extern KeyKind key_kind_of_type(Oid type);

/* Whether the kind's order depends on the column's collation. */
extern bool key_kind_is_collated(KeyKind kind);

/* Whether equal values of the kind can differ, so that key_codec_is_exact may say no. */
extern bool key_kind_has_spellings(KeyKind kind);

extern void key_codec_encode(const KeyCodec *codec, Datum value, StringInfo out);

/* Whether decoding gives back this very datum, and not merely one that is equal to it. */
extern bool key_codec_is_exact(const KeyCodec *codec, Datum value);

/* Takes the column's encoding off the front; false if there is none. */
extern bool key_codec_split(const KeyCodec *codec, SvCursor *key, SvSlice *encoded);

/*
 * Decodes what key_codec_split took; false if it is not an encoding.  Raises
 * 42804 for a label that the enum does not have.
 */
extern bool key_codec_decode(const KeyCodec *codec, SvSlice encoded, Datum *value);

#endif							/* KEY_CODEC_H */
