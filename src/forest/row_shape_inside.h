/*
 * row_shape_inside.h
 *		What a shape is made of: for row_shape.c, which makes and encodes,
 *		row_decode.c and row_reader.c.
 */
#ifndef ROW_SHAPE_INSIDE_H
#define ROW_SHAPE_INSIDE_H

#include "base/sv_coding.h"
#include "forest/key_codec.h"
#include "forest/row_shape.h"
#include "forest/value_codec.h"
#include "nodes/bitmapset.h"

/* The first byte of a value.  Anything else is not a row, or one of a later version. */
#define ROW_FORMAT_VERSION 1

/* Version and key signature. */
#define ROW_HEADER_BYTES 2

/* Header, attribute number and class of a map's value; its length follows. */
#define MAP_PREFIX_MAX_BYTES (ROW_HEADER_BYTES + SV_VARINT32_MAX_BYTES + 1)

typedef struct RowColumn
{
	bool		stored;			/* neither dropped nor computed when read */
	int			key_index;		/* -1: not a key column */
	Oid			type;			/* as declared, for messages */
	char	   *name;
	ValueCodec	codec;
	bool		has_missing;	/* not of key columns */
	char	   *missing_text;	/* its option, or NULL */
	bool		missing_made;	/* the value is made when a row first needs it */
	Datum		missing;
} RowColumn;

typedef struct RowKeyColumn
{
	AttrNumber	attno;
	bool		ordered;
	KeyCodec	codec;
} RowKeyColumn;

struct RowShape
{
	MemoryContext context;
	char	   *table;			/* for messages */
	int			natts;
	RowColumn  *columns;		/* by attribute number - 1 */
	int			nkeys;
	RowKeyColumn *keys;
	uint8		signature;		/* of the key columns, see key_signature */
	bool		is_map;
	AttrNumber	map_value;
	uint8		map_prefix[MAP_PREFIX_MAX_BYTES];
	size_t		map_prefix_len;
	bool		has_missing;	/* some column has */
};

/* Of row_decode.c: the key columns that the value had no exact copy of, which are still NULL. */
extern void row_decode_key(const RowShape *shape, SvSlice key, const Bitmapset *needed, Datum *values,
						   bool *isnull);

#endif							/* ROW_SHAPE_INSIDE_H */
