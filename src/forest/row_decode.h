/*
 * row_decode.h
 *		From a key and a value back to the columns of a foreign table.
 */
#ifndef ROW_DECODE_H
#define ROW_DECODE_H

#include "forest/row_shape.h"
#include "nodes/bitmapset.h"

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

/* Finds the bytes of a map's value column in an encoded value without copying (false: NULL). */
extern bool row_decode_map_value(const RowShape *shape, SvSlice value, SvSlice *bytes);

#endif							/* ROW_DECODE_H */
