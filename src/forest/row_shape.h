/*
 * row_shape.h
 *		How the columns of a foreign table become a key and a value, and back.
 *
 * The key is the order-preserving encoding of the key columns, named by the
 * table option `key`; for a single text or bytea column it is the column's
 * bytes.  The value is the row of the other columns, each tagged with its
 * attribute number and encoding, so that columns can be added and dropped:
 * an attribute that is not in the value is NULL, or what row_missing.h says.  A key column whose encoding
 * does not give back the exact datum (numeric's scale, interval's fields,
 * bpchar's blanks, minus zero) is stored in the value as well.
 *
 * Byte layouts: src/forest/ROWFORMAT.md.
 */
#ifndef ROW_SHAPE_H
#define ROW_SHAPE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/relcache.h"

typedef struct RowShape RowShape;

/*
 * The relation's shape, cached until its relcache entry, or a type it depends on, is invalidated;
 * valid to the end of the transaction.  Errors: HV00D/42703 for a bad `key` option, 0A000 for a
 * column type that cannot be a key, with a hint that says what can.
 */
extern const RowShape *row_shape(Relation rel);

extern int	row_shape_key_count(const RowShape *shape);

/*
 * Which columns make the key, and in what encoding, in one byte: keys of tables with different
 * signatures do not compare.
 */
extern uint8 row_shape_key_signature(const RowShape *shape);

/* Attribute number of key column i, 0 <= i < row_shape_key_count. */
extern AttrNumber row_shape_key_attribute(const RowShape *shape, int i);

/* Index of the attribute among the key columns, or -1. */
extern int	row_shape_key_index(const RowShape *shape, AttrNumber attno);

/*
 * If the table is a plain map, one text or bytea key column and one value column of text or
 * bytea, sets the two attribute numbers and returns true.
 */
extern bool row_shape_is_map(const RowShape *shape, AttrNumber *key, AttrNumber *value);

/*
 * Whether byte order of key column i is the type's default btree order, so that ranges and
 * ORDER BY can use it (false for text under a collation other than C, and for enums).
 */
extern bool row_shape_key_is_ordered(const RowShape *shape, int i);

/*
 * Appends the encoding of the first nkeys key columns; values[] and isnull[] are by key column.
 * 23502 if one is NULL.  With nkeys < row_shape_key_count the bytes are a prefix of the keys of
 * all rows with these columns, and of no others.
 */
extern void row_encode_key(const RowShape *shape, const Datum *values, const bool *isnull,
						   int nkeys, StringInfo out);

/* Appends the encoding of the value; values[] and isnull[] are by attribute number - 1. */
extern void row_encode_value(const RowShape *shape, const Datum *values, const bool *isnull,
							 StringInfo out);

/*
 * Fills values[] and isnull[] (by attribute number - 1; all natts) from key and value.  Only the attributes in
 * `needed` (attribute numbers; NULL means all) are decoded, the others become NULL.  Datums are
 * palloc'd in CurrentMemoryContext, or the shape's.  XX001 if the bytes are not an encoding, 42804 with a hint
 * if a column's type was changed after the row was written.
 */
extern void row_decode(const RowShape *shape, SvSlice key, SvSlice value,
					   const Bitmapset *needed, Datum *values, bool *isnull);

/*
 * The same for many rows of a map, one after the other, of which most cost neither
 * memory nor a look at what is not needed: datums are good until the next call.
 * row_map_reader is palloc'd and borrows the shape and `needed`; NULL if the table is no map.
 */
#define ROW_MAP_ROOM_BYTES 8192
#define ROW_MAP_KEY_ROOM_BYTES 2560

typedef struct RowMapReader
{
	const RowShape *shape;
	const Bitmapset *needed;
	int			key_index;
	int			value_index;
	bool		wants_key;
	bool		wants_value;
	bool		key_is_text;
	bool		value_is_text;
	uint64		prefix;			/* what most values begin with, in the bytes of the mask */
	uint64		prefix_mask;	/* 0: more than it has room for */
	pg_attribute_aligned(MAXIMUM_ALIGNOF) char key_room[ROW_MAP_KEY_ROOM_BYTES];
	pg_attribute_aligned(MAXIMUM_ALIGNOF) char room[ROW_MAP_ROOM_BYTES];
} RowMapReader;

extern RowMapReader *row_map_reader(const RowShape *shape, const Bitmapset *needed);
extern void row_decode_map(RowMapReader *reader, SvSlice key, SvSlice value, Datum *values, bool *isnull);

/*
 * A map's value column alone: appends the value's encoding for one text or bytea datum's bytes
 * (isnull: NULL), and finds them in an encoded value without copying (false: NULL).
 */
extern void row_encode_map_value(const RowShape *shape, SvSlice bytes, bool isnull, StringInfo out);
extern bool row_decode_map_value(const RowShape *shape, SvSlice value, SvSlice *bytes);

#endif							/* ROW_SHAPE_H */
