/*
 * row_shape.h
 *		How the columns of a foreign table become a key and a value; back: row_decode.h.
 *
 * The key is the order-preserving encoding of the key columns, named by the
 * table option `key`; for a single text or bytea column it is the column's
 * bytes.  The value is the row of the other columns, each tagged with its
 * attribute number and encoding, so that columns can be added and dropped:
 * an attribute that is not in the value is NULL, or what row_missing.h says.  A key
 * column whose encoding does not give back the exact datum (numeric's scale,
 * interval's fields, bpchar's blanks, minus zero) is stored in the value as well.
 *
 * Byte layouts: src/forest/ROWFORMAT.md.
 */
#ifndef ROW_SHAPE_H
#define ROW_SHAPE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "lib/stringinfo.h"
#include "utils/relcache.h"

typedef struct RowShape RowShape;

/*
 * The relation's shape, cached until its relcache entry, or a type it depends on, is invalidated;
 * valid to the end of the transaction.  Errors: those of row_key_columns.h, 0A000 for a
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

/* The same of all key columns; values[] and isnull[] are by attribute number - 1. */
extern void row_encode_key_of_row(const RowShape *shape, const Datum *values, const bool *isnull, StringInfo out);

/* Appends the encoding of the value; values[] and isnull[] are by attribute number - 1. */
extern void row_encode_value(const RowShape *shape, const Datum *values, const bool *isnull,
							 StringInfo out);

/* A map's value column alone: appends the value's encoding for one text or bytea datum's bytes (isnull: NULL). */
extern void row_encode_map_value(const RowShape *shape, SvSlice bytes, bool isnull, StringInfo out);

#endif							/* ROW_SHAPE_H */
