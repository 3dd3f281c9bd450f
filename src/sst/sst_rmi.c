/*
 * sst_rmi.c
 *		The learned index, read: FORMAT.md, "Learned index".
 */
#include "sst/sst_rmi.h"

#include <math.h>

/*
 * Nodes are stored breadth first.  So the children that the leaves name, in
 * order, are the nodes behind the first one, in order, and what a node may
 * look like is known from the leaf that names it.
 */
typedef struct NodeCursor
{
	const uint8_t *bytes;
	size_t		at;				/* of the next node that is to be named */
	size_t		end;
	uint32_t	nodes;
	bool		knots;
} NodeCursor;

static const char *
next_node(NodeCursor *cursor, SstRmiNode *node)
{
	size_t		used;
	const char *wrong = sst_rmi_node_parse(node, sv_slice(cursor->bytes + cursor->at,
														  cursor->end - cursor->at),
										   cursor->knots, &used);

	if (wrong != NULL)
		return wrong;
	cursor->at += used;
	cursor->nodes++;
	return NULL;
}

/* Where the leaf behind leaf i of the node begins. */
static uint32_t
leaf_end(const SstRmiNode *node, uint32_t i)
{
	return i + 1 < node->leaf_count ? sv_get_u32(sst_rmi_leaf(node, i + 1)) :
		node->first + node->count;
}

static const char *
check_child(const SstRmiNode *node, const uint8_t *leaf, uint32_t end, NodeCursor *cursor)
{
	uint64_t	at = (uint64_t) sv_get_u32(leaf + SST_RMI_LEAF_SLOPE) * SST_RMI_ALIGN;
	uint32_t	start = sv_get_u32(leaf);
	SstRmiNode	child;
	const char *wrong;

	if (at != cursor->at)
		return "nodes are out of order";
	wrong = next_node(cursor, &child);
	if (wrong != NULL)
		return wrong;
	if (child.first != start || child.count != end - start)
		return "child node has other keys than its leaf";
	if (child.depth != node->depth + 1 || child.depth > SST_RMI_MAX_DEPTH)
		return "nodes are too deep";
	if (child.code.skip != (uint64_t) node->code.skip + node->code.prefix_bytes)
		return "child node begins at the wrong byte";
	return NULL;
}

static const char *
check_fences(const uint8_t *fences, uint32_t first, uint32_t end)
{
	for (uint32_t i = first; i + 1 < end; i++)
	{
		if (sv_get_u64(fences + (size_t) i * 8) > sv_get_u64(fences + (size_t) i * 8 + 8))
			return "fences do not ascend";
	}
	return NULL;
}

/* The lower bound stays in the leaf, and so below the upper one. */
static bool
model_is_good(const uint8_t *leaf)
{
	uint32_t	shift = leaf[SST_RMI_LEAF_SHIFT];
	uint64_t	slope = sv_get_u32(leaf + SST_RMI_LEAF_SLOPE);

	return shift >= 1 && shift <= 63 &&
		UINT32_MAX * slope >> shift <= (uint64_t) sv_get_u16(leaf + SST_RMI_LEAF_KEYS) +
		sv_get_u16(leaf + SST_RMI_LEAF_BELOW);
}

static const char *
check_leaf(const SstRmi *rmi, const uint8_t *leaf, uint32_t end)
{
	uint32_t	start = sv_get_u32(leaf);

	if (sst_rmi_leaf_kind(leaf) > SST_RMI_RANGE)
		return "unknown kind of leaf";
	if (sst_rmi_leaf_keys(leaf) != end - start)
		return "leaf has other keys than it should";
	if (sst_rmi_leaf_kind(leaf) == SST_RMI_MODEL && !model_is_good(leaf))
		return "model of a leaf overflows";
	return rmi->fences == NULL ? NULL : check_fences(rmi->fences, start, end);
}

static const char *
check_leaves(const SstRmi *rmi, const SstRmiNode *node, NodeCursor *cursor)
{
	uint32_t	start = node->first;

	if (sv_get_u32(sst_rmi_leaf(node, 0)) != start)
		return "leaves do not begin with the node";
	for (uint32_t i = 0; i < node->leaf_count; i++)
	{
		const uint8_t *leaf = sst_rmi_leaf(node, i);
		uint32_t	end = leaf_end(node, i);
		const char *wrong;

		if (end < start || end - node->first > node->count)
			return "leaves are out of order";
		if (sst_rmi_leaf_kind(leaf) == SST_RMI_CHILD)
			wrong = check_child(node, leaf, end, cursor);
		else
			wrong = check_leaf(rmi, leaf, end);
		if (wrong != NULL)
			return wrong;
		start = end;
	}
	return NULL;
}

static const char *
check_knots(const SstRmi *rmi)
{
	const uint8_t *knots = rmi->top.leaves;
	uint32_t	start = 0;

	if (rmi->count > SST_RMI_KNOT_RANK)
		return "too many keys for knots";
	if ((sv_get_u32(knots) & SST_RMI_KNOT_RANK) != 0)
		return "knots do not begin with the keys";
	for (size_t i = 1; i <= rmi->top.leaf_count; i++)
	{
		uint32_t	end = sv_get_u32(knots + i * 4) & SST_RMI_KNOT_RANK;

		if (end < start)
			return "knots do not ascend";
		start = end;
	}
	return sv_get_u32(knots + (size_t) rmi->top.leaf_count * 4) == rmi->count ? NULL :
		"knots do not end with the keys";
}

static const char *
check_nodes(SstRmi *rmi, size_t end)
{
	NodeCursor	named = {rmi->bytes, SST_RMI_HEADER_BYTES, end, 0, rmi->knots};
	NodeCursor	seen = named;
	SstRmiNode	node;
	const char *wrong = next_node(&named, &rmi->top);

	if (wrong != NULL)
		return wrong;
	if (rmi->top.first != 0 || rmi->top.count != rmi->count || rmi->top.depth != 1 ||
		rmi->top.code.skip != 0)
		return "top node is malformed";
	if (rmi->knots)
	{
		wrong = check_knots(rmi);
		rmi->keys_per_knot = ((uint64_t) rmi->count << SST_RMI_GUESS_BITS) / rmi->top.leaf_count;
	}
	for (uint32_t i = 0; wrong == NULL && !rmi->knots && i < rmi->node_count; i++)
	{
		if (i == named.nodes)
			return "a node is named by no leaf";
		wrong = next_node(&seen, &node);
		if (wrong == NULL)
			wrong = check_leaves(rmi, &node, &named);
	}
	if (wrong != NULL)
		return wrong;
	if (named.nodes != rmi->node_count || named.at != end)
		return "wrong number of nodes";
	rmi->plain = rmi->top.code.prefix_bytes == 0 && rmi->top.code.step_count == 0;
	return NULL;
}

const char *
sst_rmi_parse(SstRmi *rmi, SvSlice bytes, uint32_t count)
{
	uint32_t	flags;
	size_t		fences = 0;

	if (bytes.len < SST_RMI_HEADER_BYTES)
		return "learned index is cut off";
	if (sv_get_u32(bytes.data) != SST_RMI_VERSION)
		return "learned index is of an unknown version";
	rmi->bytes = bytes.data;
	rmi->len = bytes.len;
	rmi->count = sv_get_u32(bytes.data + SST_RMI_HEADER_COUNT);
	rmi->node_count = sv_get_u32(bytes.data + SST_RMI_HEADER_NODES);
	flags = sv_get_u16(bytes.data + SST_RMI_HEADER_FLAGS);
	rmi->below = bytes.data[SST_RMI_HEADER_BELOW];
	rmi->above = bytes.data[SST_RMI_HEADER_ABOVE];
	rmi->knots = flags == SST_RMI_KNOTS;
	rmi->leaf_bits = rmi->knots ? SST_RMI_KNOT_BITS : SST_RMI_RECORD_BITS;
	if (rmi->count != count)
		return "learned index is of another number of keys";
	if (flags > SST_RMI_KNOTS)
		return "learned index has unknown flags";
	if (!rmi->knots && (rmi->below | rmi->above) != 0)
		return "learned index has bounds, but no knots";
	if (flags == SST_RMI_FENCES)
		fences = (size_t) count * 8;
	if (fences > bytes.len - SST_RMI_HEADER_BYTES)
		return "learned index is cut off";
	rmi->fences = flags == SST_RMI_FENCES ? bytes.data + bytes.len - fences : NULL;
	rmi->plain = false;
	if (count == 0)
		return rmi->node_count == 0 && bytes.len == SST_RMI_HEADER_BYTES ? NULL :
			"learned index of no keys has nodes";
	return check_nodes(rmi, bytes.len - fences);
}

/* ---------------------------------------------------------------- lookups */

/* Sends the key to one of the node's leaves, or sets the rank if it lacks the node's prefix. */
static void
enter_node(const SstRmiNode *node, uint32_t leaf_bits, SvSlice key, SstRmiProbe *probe)
{
	int			side = sst_keycode_of(&node->code, key, &probe->code);

	if (side == 0)
	{
		SstRmiPlace place = sst_rmi_place(node, probe->code);

		probe->leaf = node->leaves + ((size_t) place.leaf << leaf_bits);
		probe->fraction = place.fraction;
	}
	else
	{
		probe->leaf = NULL;
		probe->fraction = side < 0 ? node->first : node->first + node->count;
	}
}

SstRmiProbe
sst_rmi_probe_any(const SstRmi *rmi, SvSlice key)
{
	SstRmiProbe probe = {NULL, 0, 0};

	if (rmi->count > 0)
		enter_node(&rmi->top, rmi->leaf_bits, key, &probe);
	return probe;
}

static inline bool
is_at_child(const SstRmi *rmi, const SstRmiProbe *probe)
{
	return !rmi->knots && probe->leaf != NULL && sst_rmi_leaf_kind(probe->leaf) == SST_RMI_CHILD;
}

void
sst_rmi_descend(const SstRmi *rmi, SstRmiProbe *probe, SvSlice key)
{
	while (is_at_child(rmi, probe))
	{
		SstRmiNode	node;

		sst_rmi_node_read(&node, sst_rmi_leaf_child(rmi->bytes, probe->leaf));
		enter_node(&node, SST_RMI_RECORD_BITS, key, probe);
	}
}

void
sst_rmi_aim(const SstRmi *rmi, const SstRmiProbe *probe)
{
	if (is_at_child(rmi, probe))
	{
		const uint8_t *node = sst_rmi_leaf_child(rmi->bytes, probe->leaf);

		sv_prefetch(node);
		sv_prefetch(node + 64);
	}
	else if (probe->leaf != NULL && rmi->fences != NULL)
	{
		SstRmiRange range = sst_rmi_leaf_range(probe->leaf, probe->fraction, rmi->count);

		sv_prefetch(rmi->fences + (size_t) range.low * 8);
		sv_prefetch(rmi->fences + (size_t) range.high * 8);
	}
}

/* Most leaves of an index with fences leave no wider range than this. */
#define FEW_FENCES	4

/* Always as many steps, so that none is mispredicted; needs as many fences behind range.low, of whichever leaf. */
static inline SstRmiRange
search_few_fences(const uint8_t *fences, SstRmiRange range, uint64_t code)
{
	const uint8_t *at = fences + (size_t) range.low * 8;
	uint32_t	n = range.high - range.low;
	SstRmiRange found = {range.low, range.low};

	for (uint32_t i = 0; i < FEW_FENCES; i++)
	{
		uint64_t	fence = sv_get_u64(at + i * 8);

		found.low += (i < n) & (fence < code);
		found.high += (i < n) & (fence <= code);
	}
	return found;
}

static SstRmiRange
search_many_fences(const uint8_t *fences, SstRmiRange range, uint64_t code)
{
	SstRmiRange found = {range.low, range.low};
	uint32_t	n = range.high - range.low;

	while (n > 0)
	{
		uint32_t	half = (n + 1) / 2;

		if (sv_get_u64(fences + (size_t) (found.high + half - 1) * 8) <= code)
			found.high += half;
		n -= half;
	}
	found.low = found.high;
	while (found.low > range.low && sv_get_u64(fences + (size_t) (found.low - 1) * 8) == code)
		found.low--;
	return found;
}

/*
 * The fences of a leaf's keys are their codes in the leaf's node, as is the
 * probe's: a key whose fence is lower is below the probe's, one whose fence is
 * higher above.  Fences of other leaves may be codes of other nodes.
 */
static inline SstRmiRange
search_fences(const SstRmi *rmi, const uint8_t *leaf, SstRmiRange range, uint64_t code)
{
	uint32_t	start = sv_get_u32(leaf);
	uint32_t	end = start + sst_rmi_leaf_keys(leaf);

	range.low = range.low > start ? range.low : start;
	range.high = range.high < end ? range.high : end;
	if (range.low == range.high)
		return range;
	return range.high - range.low <= FEW_FENCES && range.low + FEW_FENCES <= rmi->count ?
		search_few_fences(rmi->fences, range, code) : search_many_fences(rmi->fences, range, code);
}

SstRmiRange
sst_rmi_range(const SstRmi *rmi, const SstRmiProbe *probe)
{
	SstRmiRange range = {probe->fraction, probe->fraction};

	if (probe->leaf == NULL)
		return range;
	if (rmi->knots)
		return sst_rmi_knot_range(probe->leaf, probe->fraction, rmi->below, rmi->above, rmi->count);
	range = sst_rmi_leaf_range(probe->leaf, probe->fraction, rmi->count);
	return rmi->fences == NULL ? range :
		search_fences(rmi, probe->leaf, range, probe->code);
}

SstRmiRange
sst_rmi_finish_any(const SstRmi *rmi, const SstRmiProbe *probe, SvSlice key)
{
	SstRmiProbe last;

	if (!is_at_child(rmi, probe))
		return sst_rmi_range(rmi, probe);
	last = *probe;
	sst_rmi_descend(rmi, &last, key);
	return sst_rmi_range(rmi, &last);
}

bool
sst_rmi_is_searched_any(const SstRmi *rmi, const SstRmiProbe *probe, SvSlice key)
{
	SstRmiProbe last = *probe;

	sst_rmi_descend(rmi, &last, key);
	return last.leaf != NULL && sst_rmi_leaf_kind(last.leaf) == SST_RMI_RANGE && sst_rmi_leaf_keys(last.leaf) > 1;
}

SstRmiRange
sst_rmi_locate_any(const SstRmi *rmi, SvSlice key)
{
	SstRmiProbe probe = sst_rmi_probe(rmi, key);

	sst_rmi_descend(rmi, &probe, key);
	return sst_rmi_range(rmi, &probe);
}

/* ------------------------------------------------------------- statistics */

typedef struct Sums
{
	double		error;
	double		models;			/* keys in models */
	double		searched;		/* keys in ranges of more than one */
	double		probes;
} Sums;

/* A leaf that is a model of this width, or is searched. */
static void
add_width(SstRmiStats *stats, Sums *sums, uint32_t keys, uint32_t width, bool searched)
{
	if (!searched && keys > 0)
	{
		if (width > 0 && width - 1 > stats->max_error)
			stats->max_error = width - 1;
		sums->models += keys;
		sums->error += (double) keys * (width > 0 ? width - 1 : 0);
	}
	else if (keys > 1)
		sums->searched += keys;
	sums->probes += keys * log2((double) width + 1);
}

static void
add_leaf(SstRmiStats *stats, Sums *sums, const uint8_t *leaf)
{
	uint32_t	keys = sst_rmi_leaf_keys(leaf);
	uint32_t	bound = (uint32_t) sv_get_u16(leaf + SST_RMI_LEAF_BELOW) +
		sv_get_u16(leaf + SST_RMI_LEAF_ABOVE);
	bool		searched = sst_rmi_leaf_kind(leaf) != SST_RMI_MODEL;

	stats->leaves++;
	add_width(stats, sums, keys, searched || bound > keys ? keys : bound, searched);
}

static void
add_knots(const SstRmi *rmi, SstRmiStats *stats, Sums *sums)
{
	uint32_t	bound = rmi->below + rmi->above;

	stats->leaves = rmi->top.leaf_count;
	stats->depth = 1;
	for (size_t i = 0; i < rmi->top.leaf_count; i++)
	{
		const uint8_t *knot = rmi->top.leaves + i * 4;
		bool		searched = sv_get_u32(knot) >= SST_RMI_KNOT_RANGE;
		uint32_t	keys = (sv_get_u32(knot + 4) & SST_RMI_KNOT_RANK) -
			(sv_get_u32(knot) & SST_RMI_KNOT_RANK);

		add_width(stats, sums, keys, searched ? keys : bound, searched);
	}
}

static const char *
root_kind(const SstRmiNode *node)
{
	if (node->root == SST_RMI_ROOT_LINEAR)
		return node->table_bits == 0 ? "linear" : "linear table";
	return node->table_bits == 0 ? "logarithmic" : "logarithmic table";
}

void
sst_rmi_stats(const SstRmi *rmi, SstRmiStats *stats)
{
	size_t		at = SST_RMI_HEADER_BYTES;
	Sums		sums = {0};

	memset(stats, 0, sizeof(*stats));
	stats->root_kind = "none";
	stats->code_kind = "none";
	stats->bytes = rmi->len;
	stats->nodes = rmi->node_count;
	if (rmi->count == 0)
		return;
	stats->root_kind = root_kind(&rmi->top);
	stats->code_kind = rmi->top.code.step_count == 0 ? "bytes" : "alphabet";
	if (rmi->knots)
		add_knots(rmi, stats, &sums);
	for (uint32_t i = 0; !rmi->knots && i < rmi->node_count; i++)
	{
		SstRmiNode	node;

		sst_rmi_node_read(&node, rmi->bytes + at);
		if (node.depth > stats->depth)
			stats->depth = node.depth;
		for (uint32_t j = 0; j < node.leaf_count; j++)
		{
			if (sst_rmi_leaf_kind(sst_rmi_leaf(&node, j)) != SST_RMI_CHILD)
				add_leaf(stats, &sums, sst_rmi_leaf(&node, j));
		}
		at = (size_t) (node.leaves - rmi->bytes) + (size_t) node.leaf_count * SST_RMI_LEAF_BYTES;
	}
	stats->mean_error = sums.models > 0 ? sums.error / sums.models : 0;
	stats->fallback_share = sums.searched / rmi->count;
	stats->probes = sums.probes / rmi->count;
}
