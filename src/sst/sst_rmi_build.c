/*
 * sst_rmi_build.c
 *		The learned index, made: FORMAT.md, "Learned index".
 *
 * Node by node, breadth first.  For each, every way to code its keys is tried
 * with every root model; the cheapest wins, by the mean number of steps that a
 * binary search takes after the leaves' models.  When all is written, each key
 * is looked up in it, with the functions of sst_rmi.c: a leaf whose bound does
 * not hold becomes a range.
 */
#include "sst/sst_rmi_build.h"

#include <math.h>

#include "sst/sst_keycode_build.h"
#include "sst/sst_rmi.h"
#include "sst/sst_rmi_fit.h"
#include "sst/sst_rmi_knots.h"

/* Found by measurement: see bench/engine/index.md. */
#define DEFAULT_KEYS_PER_LEAF			64
#define DEFAULT_KEYS_PER_KNOT			24
#define DEFAULT_KEYS_PER_FENCED_LEAF	4

/* What a lookup costs, in steps of binary search, beyond those in a leaf. */
#define COST_CHILD			6.0
#define COST_ALPHABET		0.3

static const double root_costs[SST_RMI_ROOT_FITS] = {
	[SST_RMI_FIT_LOGARITHMIC] = 0.1,
	[SST_RMI_FIT_LINEAR_TABLE] = 0.1,
	[SST_RMI_FIT_LOGARITHMIC_TABLE] = 0.2
};

/* And twice as many bytes as the leaves should take. */
#define COST_BYTES			0.5

/* Where most keys are in children, a node needs fewer leaves of its own. */
#define CHILDREN_SHARE		0.5
#define FEWER_LEAVES		16

/* Knots are used if no larger share of the keys is in leaves that they do not fit. */
#define MOST_SEARCHED		0.05

/* When a leaf is worth a node of its own: see is_child. */
typedef struct ChildRules
{
	uint32_t	keys;			/* as many keys at least, */
	uint32_t	width;			/* and a range as wide at least, */
	uint32_t	ties;			/* or as many keys with one code */
} ChildRules;

/* Searching fences is cheap, but keys with equal ones have to be compared. */
static const ChildRules plain_rules = {512, 64, UINT32_MAX};
static const ChildRules fenced_rules = {16, 64, 4};

/* A node to be built, and the leaf that names it (0: it is the top). */
typedef struct Pending
{
	uint32_t	first;
	uint32_t	count;
	uint32_t	skip;
	uint32_t	depth;
	size_t		leaf_at;
} Pending;

typedef struct Builder
{
	const SstRmiKeys *keys;
	uint32_t	keys_per_leaf;
	uint32_t	keys_per_knot;
	ChildRules	rules;
	SvBuffer   *out;
	size_t		start;			/* in out: where the index begins */
	SvBuffer	pending;		/* Pending, those built included */
	SvBuffer	code;			/* the key code that is being tried */
	uint64_t   *codes;			/* of the node's keys */
	uint32_t   *fractions;		/* of a leaf's keys */
	uint64_t   *fences;			/* of all keys, or NULL */
	bool		knots;			/* instead of records */
	SstRmiKnots bounds;			/* of the knots */
	uint32_t	nodes;
	uint8_t		table[SST_RMI_MAX_TABLE_BYTES]; /* of the root that is being tried */
} Builder;

/* A node's model while it is being chosen. */
typedef struct Choice
{
	SstKeyCodeKind kind;
	SstRmiRootFit fit;
	uint32_t	leaves;
	double		cost;
	double		children;		/* share of the keys */
} Choice;

/* A key is where no key that ascends can be. */
static SvStatus
fault(uint32_t i, SvError *err)
{
	return sv_fail(err, SV_CORRUPT, "learned index was built wrongly at key %u", i);
}

/* ----------------------------------------------------------------- leaves */

typedef struct LeafPlan
{
	uint8_t		kind;
	SstRmiModel model;
	double		steps;			/* by lookup */
} LeafPlan;

static uint32_t
longest_tie(const uint64_t *codes, uint32_t n)
{
	uint32_t	longest = 1;
	uint32_t	run = 1;

	for (uint32_t i = 1; i < n; i++)
	{
		run = codes[i] == codes[i - 1] ? run + 1 : 1;
		if (run > longest)
			longest = run;
	}
	return longest;
}

/* A leaf with all of the node's keys would only get the same node again. */
static bool
is_child(const Builder *builder, const SstRmiNode *node, const uint64_t *codes, uint32_t n,
		 uint32_t width)
{
	const ChildRules *rules = &builder->rules;

	if (node->depth == SST_RMI_MAX_DEPTH || n == node->count || n < rules->keys ||
		n / 2 < builder->keys_per_leaf)
		return false;
	return width >= rules->width || longest_tie(codes, n) >= rules->ties;
}

/* What a leaf of the n keys with these codes, whose fractions are in builder, should be. */
static LeafPlan
plan_leaf(const Builder *builder, const SstRmiNode *node, const uint64_t *codes, uint32_t n)
{
	LeafPlan	plan = {SST_RMI_RANGE, {0, 0, 0, 0}, 0};
	uint32_t	width = n;

	if (sst_rmi_fit_leaf(&plan.model, builder->fractions, n) &&
		plan.model.below + plan.model.above < n)
	{
		plan.kind = SST_RMI_MODEL;
		width = plan.model.below + plan.model.above;
	}
	plan.steps = log2((double) width + 1);
	if (is_child(builder, node, codes, n, width))
	{
		plan.kind = SST_RMI_CHILD;
		plan.steps = COST_CHILD;
	}
	return plan;
}

static void
write_leaf(uint8_t *leaf, const LeafPlan *plan, uint32_t start, uint32_t n)
{
	memset(leaf, 0, SST_RMI_LEAF_BYTES);
	sv_put_u32(leaf, start);
	leaf[SST_RMI_LEAF_KIND] = plan->kind;
	if (plan->kind == SST_RMI_MODEL)
	{
		sv_put_u32(leaf + SST_RMI_LEAF_SLOPE, plan->model.slope);
		sv_put_u16(leaf + SST_RMI_LEAF_BELOW, (uint16_t) plan->model.below);
		sv_put_u16(leaf + SST_RMI_LEAF_ABOVE, (uint16_t) plan->model.above);
		sv_put_u16(leaf + SST_RMI_LEAF_KEYS, (uint16_t) n);
		leaf[SST_RMI_LEAF_SHIFT] = (uint8_t) plan->model.shift;
	}
	else if (plan->kind == SST_RMI_RANGE)
		sv_put_u32(leaf + SST_RMI_LEAF_SLOPE, n);
}

/* A leaf made ready for the key at `from` of the node: *n keys share it. */
static uint32_t
gather_leaf(Builder *builder, const SstRmiNode *node, uint32_t from, uint32_t *n)
{
	SstRmiPlace place = sst_rmi_place(node, builder->codes[from]);
	uint32_t	leaf = place.leaf;
	uint32_t	i = from;

	do
	{
		builder->fractions[i++ - from] = place.fraction;
		if (i < node->count)
			place = sst_rmi_place(node, builder->codes[i]);
	} while (i < node->count && place.leaf == leaf);
	*n = i - from;
	return leaf;
}

/* Mean steps of a lookup in the node, and the share of its keys that are in children. */
static double
measure_leaves(Builder *builder, const SstRmiNode *node, double *children)
{
	double		steps = 0;
	uint32_t	in_children = 0;
	uint32_t	n;

	for (uint32_t i = 0; i < node->count; i += n)
	{
		LeafPlan	plan;

		gather_leaf(builder, node, i, &n);
		plan = plan_leaf(builder, node, builder->codes + i, n);
		steps += n * plan.steps;
		if (plan.kind == SST_RMI_CHILD)
			in_children += n;
	}
	*children = (double) in_children / node->count;
	return steps / node->count;
}

/* Writes the node's leaves, for which there is room at out->len, and notes its children. */
static SvStatus
append_leaves(Builder *builder, const SstRmiNode *node, uint32_t skip, SvError *err)
{
	static const LeafPlan empty = {SST_RMI_RANGE, {0, 0, 0, 0}, 0};
	uint8_t    *leaves = builder->out->data + builder->out->len;
	uint32_t	done = 0;
	uint32_t	n;

	for (uint32_t i = 0; i < node->count; i += n)
	{
		uint32_t	leaf = gather_leaf(builder, node, i, &n);
		LeafPlan	plan = plan_leaf(builder, node, builder->codes + i, n);

		for (; done < leaf; done++)
			write_leaf(leaves + (size_t) done * SST_RMI_LEAF_BYTES, &empty, node->first + i, 0);
		write_leaf(leaves + (size_t) done++ * SST_RMI_LEAF_BYTES, &plan, node->first + i, n);
		if (plan.kind == SST_RMI_CHILD)
		{
			Pending		child = {node->first + i, n, skip, node->depth + 1,
				builder->out->len + (size_t) leaf * SST_RMI_LEAF_BYTES};
			SvStatus	status = sv_buffer_append(&builder->pending, &child, sizeof(child), err);

			if (status != SV_OK)
				return status;
		}
		else if (builder->fences != NULL)
			memcpy(builder->fences + node->first + i, builder->codes + i, (size_t) n * 8);
	}
	for (; done < node->leaf_count; done++)
		write_leaf(leaves + (size_t) done * SST_RMI_LEAF_BYTES, &empty,
				   node->first + node->count, 0);
	builder->out->len += (size_t) node->leaf_count * SST_RMI_LEAF_BYTES;
	return SV_OK;
}

/* ------------------------------------------------------------------ nodes */

/* Makes the key code and the codes of the node's keys.  Leaves builder->code empty if that kind is of no use. */
static SvStatus
make_codes(Builder *builder, const Pending *pending, SstKeyCodeKind kind, SstRmiNode *node,
		   SvError *err)
{
	SstKeySet	set = {builder->keys, pending->first, pending->count, pending->skip};
	size_t		room = (size_t) pending->count * (builder->fences != NULL ? 4 : 0) +
		pending->count / 8;
	SvStatus	status;

	sv_buffer_reset(&builder->code);
	status = sst_keycode_build(&set, kind, room, &builder->code, err);
	if (status != SV_OK || builder->code.len == 0)
		return status;
	sst_keycode_read(&node->code, builder->code.data);
	for (uint32_t i = 0; i < pending->count; i++)
	{
		if (sst_keycode_of(&node->code,
						   builder->keys->key(builder->keys->state, pending->first + i),
						   &builder->codes[i]) != 0 ||
			(i > 0 && builder->codes[i] < builder->codes[i - 1]))
			return fault(pending->first + i, err);
	}
	return SV_OK;
}

/* Tries every root model with so many leaves.  Children will have leaves as well. */
static void
try_roots(Builder *builder, SstRmiNode *node, SstKeyCodeKind kind, uint32_t leaves, Choice *best)
{
	for (int fit = 0; fit < SST_RMI_ROOT_FITS; fit++)
	{
		Choice		choice = {kind, (SstRmiRootFit) fit, leaves, 0, 0};
		double		all_leaves;

		if (!sst_rmi_fit_root(node, builder->codes, node->count, choice.fit, leaves,
							  builder->table))
			continue;
		choice.cost = measure_leaves(builder, node, &choice.children);
		all_leaves = (double) leaves * builder->keys_per_leaf / node->count + choice.children;
		choice.cost += COST_BYTES * all_leaves +
			root_costs[fit] +
			(kind == SST_KEYCODE_BYTES ? 0 : COST_ALPHABET);
		if (choice.cost < best->cost)
			*best = choice;
	}
}

static void
try_leaves(Builder *builder, SstRmiNode *node, SstKeyCodeKind kind, Choice *best)
{
	uint32_t	leaves = node->count / builder->keys_per_leaf + 1;
	Choice		here = *best;

	here.cost = INFINITY;
	try_roots(builder, node, kind, leaves, &here);
	if (here.children > CHILDREN_SHARE)
		try_roots(builder, node, kind, leaves / FEWER_LEAVES + 1, &here);
	if (here.cost < best->cost)
		*best = here;
}

/* The same with knots for leaves. */
static void
try_knots(Builder *builder, SstRmiNode *node, SstKeyCodeKind kind, Choice *best)
{
	uint32_t	leaves = node->count / builder->keys_per_knot + 1;

	for (int fit = 0; fit < SST_RMI_ROOT_FITS; fit++)
	{
		Choice		choice = {kind, (SstRmiRootFit) fit, leaves, 0, 0};
		SstRmiKnots bounds;

		if (!sst_rmi_fit_root(node, builder->codes, node->count, choice.fit, leaves,
							  builder->table))
			continue;
		sst_rmi_knots_measure(&bounds, node, builder->codes, builder->fractions);
		choice.cost = bounds.steps + root_costs[fit] +
			(kind == SST_KEYCODE_BYTES ? 0 : COST_ALPHABET);
		if (bounds.searched <= MOST_SEARCHED && choice.cost < best->cost)
		{
			*best = choice;
			builder->bounds = bounds;
		}
	}
}

/* Chooses the node's models; codes and code are made for them. */
static SvStatus
choose_models(Builder *builder, const Pending *pending, SstRmiNode *node, SvError *err)
{
	Choice		best = {SST_KEYCODE_BYTES, SST_RMI_FIT_LINEAR, 1, INFINITY, 0};
	SvStatus	status;

	/* the bytes last: mostly they win, and need not be made again */
	for (int kind = SST_KEYCODE_KINDS; kind-- > 0;)
	{
		status = make_codes(builder, pending, (SstKeyCodeKind) kind, node, err);
		if (status != SV_OK)
			return status;
		if (builder->code.len == 0)
			continue;
		if (builder->knots)
			try_knots(builder, node, (SstKeyCodeKind) kind, &best);
		else
			try_leaves(builder, node, (SstKeyCodeKind) kind, &best);
	}
	if (builder->knots && best.cost == INFINITY)
	{
		builder->knots = false;
		return choose_models(builder, pending, node, err);
	}
	if (best.kind != SST_KEYCODE_BYTES)
	{
		status = make_codes(builder, pending, best.kind, node, err);
		if (status != SV_OK)
			return status;
	}
	sst_rmi_fit_root(node, builder->codes, node->count, best.fit, best.leaves, builder->table);
	return SV_OK;
}

static SvStatus
build_node(Builder *builder, const Pending *pending, SvError *err)
{
	SvBuffer   *out = builder->out;
	size_t		at = out->len;
	SstRmiNode	node = {.first = pending->first, .count = pending->count,
	.depth = (uint8_t) pending->depth};
	SvStatus	status = choose_models(builder, pending, &node, err);
	size_t		table_bytes = sst_rmi_table_bytes(node.table_bits);
	size_t		leaves_bytes = sst_rmi_leaves_bytes(builder->knots, node.leaf_count);

	if (status != SV_OK)
		return status;
	status = sv_buffer_reserve(out, SST_RMI_NODE_BYTES + builder->code.len + table_bytes +
							   leaves_bytes, err);
	if (status != SV_OK)
		return status;
	sst_rmi_node_write(&node, (uint32_t) builder->code.len, out->data + at);
	memcpy(out->data + at + SST_RMI_NODE_BYTES, builder->code.data, builder->code.len);
	out->len += SST_RMI_NODE_BYTES + builder->code.len;
	memcpy(out->data + out->len, builder->table, table_bytes);
	out->len += table_bytes;
	if (pending->leaf_at != 0)
		sv_put_u32(out->data + pending->leaf_at + SST_RMI_LEAF_SLOPE,
				   (uint32_t) ((at - builder->start) / SST_RMI_ALIGN));
	builder->nodes++;
	if (builder->knots)
	{
		sst_rmi_knots_write(&builder->bounds, &node, builder->codes, builder->fractions,
							out->data + out->len);
		out->len += leaves_bytes;
		return SV_OK;
	}
	return append_leaves(builder, &node, node.code.skip + node.code.prefix_bytes, err);
}

/* ------------------------------------------------------------- the whole */

static SvStatus
build_nodes(Builder *builder, SvError *err)
{
	Pending		pending = {0, builder->keys->count, 0, 1, 0};
	SvStatus	status = sv_buffer_append(&builder->pending, &pending, sizeof(pending), err);

	for (size_t at = 0; status == SV_OK && at < builder->pending.len; at += sizeof(pending))
	{
		memcpy(&pending, builder->pending.data + at, sizeof(pending));
		status = build_node(builder, &pending, err);
	}
	return status;
}

static SvStatus
append_fences(Builder *builder, SvError *err)
{
	SvBuffer   *out = builder->out;
	uint32_t	count = builder->fences == NULL ? 0 : builder->keys->count;
	SvStatus	status = sv_buffer_reserve(out, (size_t) count * 8, err);

	if (status != SV_OK)
		return status;
	for (uint32_t i = 0; i < count; i++)
		sv_put_u64(out->data + out->len + (size_t) i * 8, builder->fences[i]);
	out->len += (size_t) count * 8;
	return SV_OK;
}

static bool
holds(SstRmiRange range, uint32_t i)
{
	return range.low <= i && range.high > i;
}

/* Makes a range of the leaf. */
static void
give_up(const SstRmi *rmi, uint8_t *leaf)
{
	LeafPlan	plan = {SST_RMI_RANGE, {0, 0, 0, 0}, 0};

	if (rmi->knots)
		sv_put_u32(leaf, sv_get_u32(leaf) | SST_RMI_KNOT_RANGE);
	else
		write_leaf(leaf, &plan, sv_get_u32(leaf), sst_rmi_leaf_keys(leaf));
}

/*
 * Looks each key up.  A bound that does not hold at a key and just before it
 * is given up; and a leaf that does not have its key is a fault in here.
 */
static SvStatus
verify(const Builder *builder, SvError *err)
{
	uint8_t    *bytes = builder->out->data + builder->start;
	size_t		len = builder->out->len - builder->start;
	SstRmi		rmi;
	const char *wrong = sst_rmi_parse(&rmi, sv_slice(bytes, len), builder->keys->count);

	if (wrong != NULL)
		return sv_fail(err, SV_CORRUPT, "learned index was built wrongly: %s", wrong);
	for (uint32_t i = 0; i < builder->keys->count; i++)
	{
		SvSlice		key = builder->keys->key(builder->keys->state, i);
		SstRmiProbe probe = sst_rmi_start(&rmi, key);
		SstRmiRange range;

		sst_rmi_descend(&rmi, &probe, key);
		if (probe.leaf == NULL)
			return fault(i, err);
		range = rmi.knots ? sst_rmi_range(&rmi, &probe) :
			sst_rmi_leaf_range(probe.leaf, probe.fraction, rmi.count);
		if (!holds(range, i))
			give_up(&rmi, bytes + (probe.leaf - bytes));
		if (!holds(sst_rmi_range(&rmi, &probe), i))
			return fault(i, err);
	}
	return SV_OK;
}

static SvStatus
check_ascending(const SstRmiKeys *keys, SvError *err)
{
	for (uint32_t i = 1; i < keys->count; i++)
	{
		if (sv_slice_compare(keys->key(keys->state, i - 1), keys->key(keys->state, i)) >= 0)
			return sv_fail(err, SV_INVALID, "keys of a learned index do not ascend");
	}
	return SV_OK;
}

static SvStatus
build_all(Builder *builder, SvError *err)
{
	uint8_t		header[SST_RMI_HEADER_BYTES] = {0};
	uint8_t    *written;
	uint16_t	flags = builder->fences != NULL ? SST_RMI_FENCES : 0;
	SvStatus	status = check_ascending(builder->keys, err);

	if (status == SV_OK)
		status = sv_buffer_append(builder->out, header, sizeof(header), err);
	if (status == SV_OK && builder->keys->count > 0)
		status = build_nodes(builder, err);
	if (status == SV_OK)
		status = append_fences(builder, err);
	if (status != SV_OK)
		return status;
	written = builder->out->data + builder->start;
	sv_put_u32(written, SST_RMI_VERSION);
	sv_put_u32(written + SST_RMI_HEADER_COUNT, builder->keys->count);
	sv_put_u32(written + SST_RMI_HEADER_NODES, builder->nodes);
	if (builder->knots)
	{
		flags = SST_RMI_KNOTS;
		written[SST_RMI_HEADER_BELOW] = builder->bounds.below;
		written[SST_RMI_HEADER_ABOVE] = builder->bounds.above;
	}
	sv_put_u16(written + SST_RMI_HEADER_FLAGS, flags);
	return verify(builder, err);
}

SvStatus
sst_rmi_build(const SstRmiKeys *keys, const SstRmiOptions *options, SvBuffer *out, SvError *err)
{
	const SvAlloc *alloc = out->alloc;
	Builder		builder = {.keys = keys, .out = out, .start = out->len};
	SvStatus	status;

	builder.rules = options->fences ? fenced_rules : plain_rules;
	builder.keys_per_leaf = options->keys_per_leaf;
	builder.knots = !options->fences && keys->count > 0 && keys->count <= SST_RMI_KNOT_RANK;
	builder.keys_per_knot = options->keys_per_leaf != 0 ? options->keys_per_leaf :
		DEFAULT_KEYS_PER_KNOT;
	if (builder.keys_per_leaf == 0)
		builder.keys_per_leaf = options->fences ? DEFAULT_KEYS_PER_FENCED_LEAF :
			DEFAULT_KEYS_PER_LEAF;
	sv_buffer_init(&builder.pending, alloc);
	sv_buffer_init(&builder.code, alloc);
	builder.codes = sv_allocate(alloc, (size_t) keys->count * sizeof(uint64_t));
	builder.fractions = sv_allocate(alloc, (size_t) keys->count * sizeof(uint32_t));
	builder.fences = !options->fences ? NULL :
		sv_allocate(alloc, (size_t) keys->count * sizeof(uint64_t));
	if (builder.codes == NULL || builder.fractions == NULL ||
		(options->fences && builder.fences == NULL))
		status = sv_fail(err, SV_NO_MEMORY, "out of memory");
	else
		status = build_all(&builder, err);
	if (status != SV_OK)
		out->len = builder.start;
	sv_release(alloc, builder.fences);
	sv_release(alloc, builder.fractions);
	sv_release(alloc, builder.codes);
	sv_buffer_free(&builder.code);
	sv_buffer_free(&builder.pending);
	return status;
}
