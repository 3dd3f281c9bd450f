/*
 * sst_rmi_node.h
 *		A node of the learned index: for sst_rmi*.c.
 *
 * The root model of a node places a code: it names one of the node's leaves
 * and how far into the leaf's share of the codes the code is, as a fraction of
 * 32 bits.  It is linear in the code or in its logarithm; a table may give more
 * leaves to those parts that have more keys.  The leaf turns the fraction into
 * a range of ranks.  Both are
 * monotone, and there is no arithmetic but that of integers, so that a file
 * means the same everywhere.  FORMAT.md, "Learned index", has the bytes.
 */
#ifndef SST_RMI_NODE_H
#define SST_RMI_NODE_H

#include "sst/sst_keycode.h"

/* Compilers find some functions too large: but called, they take twice as long. */
#define SST_RMI_INLINE	static inline __attribute__((always_inline))

/* The header of the index; nodes follow, then the fences. */
#define SST_RMI_HEADER_COUNT	4
#define SST_RMI_HEADER_NODES	8
#define SST_RMI_HEADER_FLAGS	12
#define SST_RMI_HEADER_BELOW	14
#define SST_RMI_HEADER_ABOVE	15
#define SST_RMI_HEADER_BYTES	16

#define SST_RMI_VERSION		1

/* Flags. */
#define SST_RMI_FENCES		1
#define SST_RMI_KNOTS		2
#define SST_RMI_ALIGN		16	/* nodes and leaves, counted from where the index begins */
#define SST_RMI_MAX_DEPTH	8

#define SST_RMI_ROOT_LINEAR			0
#define SST_RMI_ROOT_LOGARITHMIC	1

typedef struct SstRmiNode
{
	SstKeyCode	code;
	const uint8_t *leaves;
	const uint8_t *table;		/* of 2^table_bits pieces: the first leaf of each, and the end */
	uint64_t	origin;			/* of a logarithmic root */
	uint64_t	base;
	uint64_t	span;
	uint32_t	scale;			/* if there is no table: table_bits 0 */
	uint32_t	leaf_count;
	uint32_t	first;			/* ranks of its keys: first to first + count */
	uint32_t	count;
	uint8_t		root;
	uint8_t		shift;
	uint8_t		depth;
	uint8_t		table_bits;
} SstRmiNode;

#define SST_RMI_NODE_BYTES	48	/* the header; key code, table and leaves follow */
#define SST_RMI_LEAF_BYTES	16

#define SST_RMI_MAX_TABLE_BITS	10
#define SST_RMI_MAX_TABLE_BYTES	4112

/* Bytes of a table, padding included. */
static inline size_t
sst_rmi_table_bytes(uint32_t table_bits)
{
	return table_bits == 0 ? 0 : ((((size_t) 1 << table_bits) + 1) * 4 + 15) & ~(size_t) 15;
}

/* The place of each field in a leaf, and its kinds. */
#define SST_RMI_LEAF_START	0
#define SST_RMI_LEAF_SLOPE	4	/* of a range: number of keys; of a child: place / 16 */
#define SST_RMI_LEAF_BELOW	8
#define SST_RMI_LEAF_ABOVE	10
#define SST_RMI_LEAF_KEYS	12
#define SST_RMI_LEAF_SHIFT	14
#define SST_RMI_LEAF_KIND	15

#define SST_RMI_MODEL	0
#define SST_RMI_RANGE	1
#define SST_RMI_CHILD	2

/*
 * The leaves of an index with knots, which has one node, are no such records,
 * but 4 bytes each: the rank where the leaf starts.  One more says where the
 * last leaf ends.  The model of a leaf is the line from its start to its end,
 * the bounds are the same for all leaves; one that they do not hold is marked,
 * and a range.  So four times as many leaves take the same room, and few steps
 * lead from one to the answer.
 */
#define SST_RMI_KNOT_BITS	2
#define SST_RMI_RECORD_BITS	4
#define SST_RMI_KNOT_RANGE	(UINT32_C(1) << 31)	/* the mark */
#define SST_RMI_KNOT_RANK	(SST_RMI_KNOT_RANGE - 1)

/* Bytes of a node's leaves, padding included. */
static inline size_t
sst_rmi_leaves_bytes(bool knots, uint32_t leaf_count)
{
	return knots ? (((size_t) leaf_count + 1) * 4 + 15) & ~(size_t) 15 :
		(size_t) leaf_count * SST_RMI_LEAF_BYTES;
}

/* Takes any bytes; *used is how many the node has.  NULL, or what is wrong with its own fields. */
extern const char *sst_rmi_node_parse(SstRmiNode *node, SvSlice bytes, bool knots, size_t *used);

/* The same for bytes that were checked before. */
extern void sst_rmi_node_read(SstRmiNode *node, const uint8_t *bytes);

/* Writes the header.  The key code, of code_bytes bytes, the table and the leaves go behind it. */
extern void sst_rmi_node_write(const SstRmiNode *node, uint32_t code_bytes, uint8_t *bytes);

/*
 * The bits of x / 2 as a double, exponent and mantissa: monotone, and linear
 * between two powers of 2.  Counting zeroes takes twice as many steps, and on
 * many a processor waits for whatever its result's register had been before,
 * which may be the lookup before.
 */
static inline uint64_t
sst_rmi_logarithm(uint64_t x)
{
	double		half = (double) (int64_t) (x >> 1);
	uint64_t	bits;

	memcpy(&bits, &half, sizeof(bits));
	return bits;
}

/* A fraction of 64 bits times a scale: a whole number and a fraction, 32 bits each. */
static inline uint64_t
sst_rmi_scaled(uint64_t x, uint32_t scale)
{
#ifdef __SIZEOF_INT128__
	return (uint64_t) ((unsigned __int128) x * scale >> 32);
#else
	return (x >> 32) * scale + ((x & UINT32_MAX) * scale >> 32);
#endif
}

typedef struct SstRmiPlace
{
	uint32_t	leaf;
	uint32_t	fraction;
} SstRmiPlace;

/* Where the code is between base and base + span, as a fraction of 64 bits. */
static inline uint64_t
sst_rmi_position(const SstRmiNode *node, uint64_t code)
{
	uint64_t	x = code;

	if (node->root == SST_RMI_ROOT_LOGARITHMIC)
		x = sst_rmi_logarithm(x > node->origin ? x - node->origin : 0);
	/* mostly false, and then it takes the fewest steps */
	if (__builtin_expect(x - node->base > node->span, 0))
		return x < node->base ? 0 : node->span << node->shift;
	return (x - node->base) << node->shift;
}

SST_RMI_INLINE SstRmiPlace
sst_rmi_place(const SstRmiNode *node, uint64_t code)
{
	uint64_t	x = sst_rmi_position(node, code);
	uint32_t	scale = node->scale;
	uint32_t	first = 0;
	uint64_t	scaled;
	SstRmiPlace place;

	if (node->table_bits != 0)
	{
		const uint8_t *piece = node->table + (x >> (64 - node->table_bits)) * 4;

		first = sv_get_u32(piece);
		scale = sv_get_u32(piece + 4) - first;
		x <<= node->table_bits;
	}
	scaled = sst_rmi_scaled(x, scale);
	place.leaf = first + (uint32_t) (scaled >> 32);
	place.fraction = (uint32_t) scaled;
	return place;
}

static inline const uint8_t *
sst_rmi_leaf(const SstRmiNode *node, uint32_t leaf)
{
	return node->leaves + (size_t) leaf * SST_RMI_LEAF_BYTES;
}

static inline uint32_t
sst_rmi_leaf_kind(const uint8_t *leaf)
{
	return leaf[SST_RMI_LEAF_KIND];
}

/* The node that a leaf names, in an index that begins at bytes. */
static inline const uint8_t *
sst_rmi_leaf_child(const uint8_t *bytes, const uint8_t *leaf)
{
	return bytes + (size_t) sv_get_u32(leaf + SST_RMI_LEAF_SLOPE) * SST_RMI_ALIGN;
}

/* How many keys are in a leaf that is not a child. */
static inline uint32_t
sst_rmi_leaf_keys(const uint8_t *leaf)
{
	return sst_rmi_leaf_kind(leaf) == SST_RMI_RANGE ?
		sv_get_u32(leaf + SST_RMI_LEAF_SLOPE) : sv_get_u16(leaf + SST_RMI_LEAF_KEYS);
}

/* a - b, or 0 if that is less; without a branch, as it is hard to predict. */
static inline uint64_t
sst_rmi_difference(uint64_t a, uint64_t b)
{
	return (a - b) & -(uint64_t) (a > b);
}

typedef struct SstRmiRange
{
	uint32_t	low;
	uint32_t	high;
} SstRmiRange;

/*
 * What a leaf that is a model says, of `count` keys in all.  Few steps that
 * depend on the leaf's bytes: while those are on their way, a processor can
 * work on other lookups only as far as it has room for such steps.
 */
static inline SstRmiRange
sst_rmi_model_range(const uint8_t *leaf, uint32_t fraction, uint32_t count)
{
	uint64_t	slope = sv_get_u32(leaf + SST_RMI_LEAF_SLOPE);
	uint64_t	middle = sv_get_u32(leaf) +
		(fraction * slope >> (leaf[SST_RMI_LEAF_SHIFT] & 63));
	uint64_t	top = middle + sv_get_u16(leaf + SST_RMI_LEAF_ABOVE);
	SstRmiRange range;

	range.low = (uint32_t) sst_rmi_difference(middle, sv_get_u16(leaf + SST_RMI_LEAF_BELOW));
	range.high = (uint32_t) (top - sst_rmi_difference(top, count));
	return range;
}

/* The same of any leaf that is not a child. */
static inline SstRmiRange
sst_rmi_leaf_range(const uint8_t *leaf, uint32_t fraction, uint32_t count)
{
	SstRmiRange range;

	if (sst_rmi_leaf_kind(leaf) == SST_RMI_MODEL)
		return sst_rmi_model_range(leaf, fraction, count);
	range.low = sv_get_u32(leaf);
	range.high = range.low + sv_get_u32(leaf + SST_RMI_LEAF_SLOPE);
	return range;
}

/*
 * What a leaf between two knots says, with the bounds of the index, which has
 * `count` keys.  Not kept within the leaf, so that nearly all ranges have the
 * same width: a search can foresee its steps.
 */
SST_RMI_INLINE SstRmiRange
sst_rmi_knot_range(const uint8_t *knot, uint32_t fraction, uint32_t below, uint32_t above,
				   uint32_t count)
{
	uint32_t	start = sv_get_u32(knot);
	uint32_t	end = sv_get_u32(knot + 4) & SST_RMI_KNOT_RANK;
	uint32_t	middle;
	SstRmiRange range;

	if (__builtin_expect(start >= SST_RMI_KNOT_RANGE, 0))
	{
		range.low = start & SST_RMI_KNOT_RANK;
		range.high = end;
		return range;
	}
	middle = start + (uint32_t) ((uint64_t) (end - start) * fraction >> 32);
	range.low = middle > below ? middle - below : 0;
	range.high = middle + above < count ? middle + above : count;
	return range;
}

#endif							/* SST_RMI_NODE_H */
