/*
 * sst_rmi.h
 *		A recursive model index: from a key to its rank among n sorted keys,
 *		within bounds that were measured when the index was built.
 *
 * The rank of a key is the number of indexed keys that are not above it, so 0
 * to n.  For every key whatsoever, indexed or not, the rank is within the
 * range that sst_rmi_locate answers: models are monotone, in integers, and the
 * bound of each leaf was measured at the keys where the rank changes.
 *
 * Keys are arbitrary distinct byte strings.  A node cuts the prefix that all
 * its keys share and turns what follows into a 64-bit code that has the order
 * of the keys (FORMAT.md, "Learned index"); its root model picks a leaf by the
 * code; a leaf is a linear model with a bound, a plain range where searching
 * is cheaper than a model, or a child node where codes do not tell keys apart
 * or crowd together.
 *
 * sst_rmi_build.h makes one.
 */
#ifndef SST_RMI_H
#define SST_RMI_H

#include "base/sv_prefetch.h"
#include "sst/sst_rmi_node.h"

#define SST_RMI_GUESS_BITS	20

/* A parsed index: borrows the bytes it was parsed from.  Its fields are for sst_rmi*.c only. */
typedef struct SstRmi
{
	const uint8_t *bytes;
	size_t		len;
	SstRmiNode	top;
	uint32_t	count;
	uint32_t	node_count;
	const uint8_t *fences;		/* NULL: there are none */
	uint32_t	below;			/* with knots */
	uint32_t	above;
	uint64_t	keys_per_knot;	/* of a node, times 2^SST_RMI_GUESS_BITS */
	bool		knots;			/* there is one node, without records */
	bool		plain;			/* the code of a key of eight bytes is those bytes */
	uint8_t		leaf_bits;		/* of the top node: the size of a leaf, as a power of 2 */
} SstRmi;

/*
 * Takes any bytes, and checks whatever sst_rmi_locate relies on to stay inside
 * them, to end, and to answer low <= high <= count.  NULL, or what is wrong.
 */
extern const char *sst_rmi_parse(SstRmi *rmi, SvSlice bytes, uint32_t count);

/*
 * A lookup under way: the root's leaf, which start picks and finish reads, so
 * that the memory misses of many lookups can overlap.
 */
typedef struct SstRmiProbe
{
	const uint8_t *leaf;		/* NULL: the rank is known */
	uint64_t	code;
	uint32_t	fraction;		/* or the rank */
} SstRmiProbe;

/* What the inline functions below leave to sst_rmi.c. */
extern SstRmiProbe sst_rmi_probe_any(const SstRmi *rmi, SvSlice key);
extern SstRmiRange sst_rmi_finish_any(const SstRmi *rmi, const SstRmiProbe *probe, SvSlice key);
extern SstRmiRange sst_rmi_locate_any(const SstRmi *rmi, SvSlice key);

SST_RMI_INLINE SstRmiProbe
sst_rmi_probe(const SstRmi *rmi, SvSlice key)
{
	SstRmiProbe probe;
	SstRmiPlace place;

	if (!rmi->plain || key.len < 8)
		return sst_rmi_probe_any(rmi, key);
	probe.code = sst_keycode_big_endian(key.data);
	place = sst_rmi_place(&rmi->top, probe.code);
	probe.leaf = rmi->top.leaves + ((size_t) place.leaf << rmi->leaf_bits);
	probe.fraction = place.fraction;
	return probe;
}

/* Prefetches the leaf. */
SST_RMI_INLINE SstRmiProbe
sst_rmi_start(const SstRmi *rmi, SvSlice key)
{
	SstRmiProbe probe = sst_rmi_probe(rmi, key);

	sv_prefetch(probe.leaf);
	return probe;
}

/*
 * Between start and finish, for callers with many probes under way: reads the
 * leaf and prefetches what finish will read besides, the fences or a child.
 */
extern void sst_rmi_aim(const SstRmi *rmi, const SstRmiProbe *probe);

/*
 * Near the rank, from the root alone: known before the leaf's bytes are, so
 * that the memory that the answer leads to can be touched while they come.
 * Off by as much as the square root of the number of keys, or more; 0 without
 * knots.
 */
SST_RMI_INLINE uint32_t
sst_rmi_guess(const SstRmi *rmi, const SstRmiProbe *probe)
{
	if (!rmi->knots || probe->leaf == NULL)
		return 0;
	return (uint32_t) (((uint64_t) (probe->leaf - rmi->top.leaves) >> SST_RMI_KNOT_BITS) *
					   rmi->keys_per_knot >> SST_RMI_GUESS_BITS);
}

/* low <= rank(key) <= high.  No allocation, no failure. */
SST_RMI_INLINE SstRmiRange
sst_rmi_finish(const SstRmi *rmi, const SstRmiProbe *probe, SvSlice key)
{
	if (!rmi->knots || probe->leaf == NULL)
		return sst_rmi_finish_any(rmi, probe, key);
	return sst_rmi_knot_range(probe->leaf, probe->fraction, rmi->below, rmi->above, rmi->count);
}

extern bool sst_rmi_is_searched_any(const SstRmi *rmi, const SstRmiProbe *probe, SvSlice key);

/* Whether the probe led to a leaf without a model, of more than one key. */
SST_RMI_INLINE bool
sst_rmi_is_searched(const SstRmi *rmi, const SstRmiProbe *probe, SvSlice key)
{
	if (!rmi->knots)
		return sst_rmi_is_searched_any(rmi, probe, key);
	return probe->leaf != NULL && (sv_get_u32(probe->leaf) & SST_RMI_KNOT_RANGE) != 0;
}

/* Both at once, for a single lookup. */
SST_RMI_INLINE SstRmiRange
sst_rmi_locate(const SstRmi *rmi, SvSlice key)
{
	if (rmi->plain && rmi->knots)
	{
		SstRmiProbe probe = sst_rmi_probe(rmi, key);

		return sst_rmi_finish(rmi, &probe, key);
	}
	return sst_rmi_locate_any(rmi, key);
}

/*
 * The steps of finish, for sst_rmi_build.c: down to a leaf that is not a
 * child, then from it to the range, which fences narrow.
 */
extern void sst_rmi_descend(const SstRmi *rmi, SstRmiProbe *probe, SvSlice key);
extern SstRmiRange sst_rmi_range(const SstRmi *rmi, const SstRmiProbe *probe);

/* For people: what skyvault_index() shows. */
typedef struct SstRmiStats
{
	const char *root_kind;		/* of the top node: "linear", "logarithmic table", ... */
	const char *code_kind;		/* of the top node: "bytes" or "alphabet" */
	uint32_t	nodes;
	uint32_t	leaves;			/* models and ranges, children not counted */
	uint32_t	depth;			/* nodes on the longest path */
	size_t		bytes;			/* all, fences included */
	uint32_t	max_error;		/* widest range of a leaf that is a model, minus 1 */
	double		mean_error;		/* by keys, of those in models */
	double		fallback_share; /* of the keys: in leaves that are searched, of more than one key */
	double		probes;			/* mean steps of binary search after the model, by keys: log2(range + 1) */
} SstRmiStats;

extern void sst_rmi_stats(const SstRmi *rmi, SstRmiStats *stats);

#endif							/* SST_RMI_H */
