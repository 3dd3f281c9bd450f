/*
 * sst_rmi_fit.c
 *		Root and leaf models of the learned index, fitted.
 */
#include "sst/sst_rmi_fit.h"

#include <math.h>

/* Steps towards the best slope of a leaf; most leaves need four. */
#define MAX_SLOPES	8

/* A table has one piece for so many leaves, or less. */
#define LEAVES_PER_PIECE	8
#define MIN_TABLE_BITS		2

/* ------------------------------------------------------------------ roots */

/*
 * Maps base .. base + span to all of the leaves: the span is shifted up to 64
 * bits, so that a scale of 32 bits divides it evenly enough and never
 * truncates to 0.
 */
static void
set_scale(SstRmiNode *node, uint64_t base, uint64_t top, uint32_t leaves)
{
	uint64_t	reach;
	double		scale;

	node->base = base;
	node->span = top - base;
	node->shift = node->span == 0 ? 0 : (uint8_t) __builtin_clzll(node->span);
	reach = node->span << node->shift;
	if (leaves > node->span)
		leaves = (uint32_t) node->span + 1;
	scale = reach == 0 ? 1 : floor(leaves * (ldexp(1, 64) / (double) reach));
	node->scale = scale < UINT32_MAX ? (uint32_t) scale : UINT32_MAX;
	while (node->scale > 1 && sst_rmi_scaled(reach, node->scale) >> 32 >= leaves)
		node->scale--;
	node->leaf_count = (uint32_t) (sst_rmi_scaled(reach, node->scale) >> 32) + 1;
}

/*
 * Divides the leaves among the pieces by the number of their keys, one at least
 * for each.  Pieces beyond the span get none.
 */
static void
fill_table(SstRmiNode *node, const uint64_t *codes, uint32_t count, uint32_t leaves)
{
	uint32_t	bits = node->table_bits;
	uint32_t	pieces = UINT32_C(1) << bits;
	uint32_t	reached = (uint32_t) (node->span << node->shift >> (64 - bits)) + 1;
	uint8_t    *table = (uint8_t *) node->table;
	uint32_t	piece = 0;

	memset(table, 0, sst_rmi_table_bytes(bits));
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t	at = (uint32_t) (sst_rmi_position(node, codes[i]) >> (64 - bits));

		for (; piece < at; piece++)
			sv_put_u32(table + (size_t) (piece + 1) * 4,
					   piece + 1 + (uint32_t) ((uint64_t) i * (leaves - reached) / count));
	}
	for (; piece < pieces; piece++)
		sv_put_u32(table + (size_t) (piece + 1) * 4, leaves);
	node->leaf_count = leaves;
}

static uint8_t
table_bits_for(uint32_t leaves)
{
	uint8_t		bits = 0;

	while (bits < SST_RMI_MAX_TABLE_BITS && leaves >> (bits + 1) >= LEAVES_PER_PIECE)
		bits++;
	return bits < MIN_TABLE_BITS ? 0 : bits;
}

bool
sst_rmi_fit_root(SstRmiNode *node, const uint64_t *codes, uint32_t count,
				 SstRmiRootFit fit, uint32_t leaves, uint8_t *table)
{
	bool		logarithmic = fit == SST_RMI_FIT_LOGARITHMIC || fit == SST_RMI_FIT_LOGARITHMIC_TABLE;
	bool		with_table = fit == SST_RMI_FIT_LINEAR_TABLE || fit == SST_RMI_FIT_LOGARITHMIC_TABLE;
	uint32_t	margin = logarithmic || fit == SST_RMI_FIT_TRIMMED ? count / (leaves + 1) : 0;
	uint64_t	base = codes[margin];
	uint64_t	top = codes[count - 1 - (fit == SST_RMI_FIT_TRIMMED ? margin : 0)];

	node->root = SST_RMI_ROOT_LINEAR;
	node->origin = 0;
	node->table = table;
	node->table_bits = with_table ? table_bits_for(leaves) : 0;
	if (logarithmic)
	{
		node->root = SST_RMI_ROOT_LOGARITHMIC;
		node->origin = codes[0];
		base = sst_rmi_logarithm(base - codes[0]);
		top = sst_rmi_logarithm(top - codes[0]);
	}
	set_scale(node, base, top < base ? base : top, leaves);
	if (node->table_bits != 0)
		fill_table(node, codes, count, leaves);
	return !with_table || node->table_bits != 0;
}

/* ----------------------------------------------------------------- leaves */

/* The strip of a given slope that holds all points: how high it is, and how that grows with the slope. */
typedef struct Strip
{
	double		slope;
	double		height;
	double		growth;
} Strip;

static Strip
measure_strip(double slope, const uint32_t *fractions, uint32_t n)
{
	double		least = INFINITY;
	double		most = -INFINITY;
	uint32_t	least_at = 0;
	uint32_t	most_at = 0;
	Strip		strip;

	for (uint32_t i = 0; i < n; i++)
	{
		double		rest = i - slope * fractions[i];

		if (rest < least)
		{
			least = rest;
			least_at = fractions[i];
		}
		if (rest > most)
		{
			most = rest;
			most_at = fractions[i];
		}
	}
	strip.slope = slope;
	strip.height = most - least;
	strip.growth = (double) least_at - (double) most_at;
	return strip;
}

/*
 * The slope of the lowest strip.  The height is a convex function of the
 * slope, made of straight pieces: go to where the known pieces on both sides
 * of the lowest point meet, until little is left to gain.
 */
static double
best_slope(const uint32_t *fractions, uint32_t n)
{
	double		width = (double) fractions[n - 1] - fractions[0];
	Strip		left = {0, n - 1, -width};
	Strip		right = {2 * (n - 1) / width, n - 1, width};
	Strip		best = {0, INFINITY, 0};

	for (int i = 0; i < MAX_SLOPES; i++)
	{
		double		left_at = left.height - left.growth * left.slope;
		double		right_at = right.height - right.growth * right.slope;
		double		slope = (left_at - right_at) / (right.growth - left.growth);
		Strip		strip = measure_strip(slope, fractions, n);

		if (strip.height < best.height)
			best = strip;
		if (strip.growth == 0 || best.height - (left_at + left.growth * slope) < 0.5)
			break;
		if (strip.growth < 0)
			left = strip;
		else
			right = strip;
	}
	return best.slope;
}

/* The slope as an integer with as many bits as there are, over a power of 2. */
static void
set_slope(SstRmiModel *model, double slope)
{
	int			exponent;
	double		mantissa = frexp(slope, &exponent);
	int			shift = 32 - exponent;

	if (shift > 63)
	{
		mantissa = ldexp(mantissa, 63 - shift);
		shift = 63;
	}
	model->slope = (uint32_t) fmin(rint(ldexp(mantissa, 32)), UINT32_MAX);
	model->shift = (uint32_t) shift;
}

/*
 * Ranks change only at keys and models are monotone.  So a lower bound that
 * holds just before each key and at the end, and an upper bound that holds at
 * each key, hold everywhere.
 */
static bool
measure_bounds(SstRmiModel *model, const uint32_t *fractions, uint32_t n)
{
	int64_t		below = (int64_t) (UINT32_MAX * (uint64_t) model->slope >> model->shift) - n;
	int64_t		above = 0;

	if (below < 0)
		below = 0;
	for (uint32_t i = 0; i < n; i++)
	{
		int64_t		middle = (int64_t) ((uint64_t) fractions[i] * model->slope >> model->shift);

		if (middle - i > below)
			below = middle - i;
		if (i + 1 - middle > above)
			above = i + 1 - middle;
	}
	model->below = (uint32_t) below;
	model->above = (uint32_t) above;
	return below <= UINT16_MAX && above <= UINT16_MAX;
}

bool
sst_rmi_fit_leaf(SstRmiModel *model, const uint32_t *fractions, uint32_t n)
{
	if (n < 2 || n > UINT16_MAX || fractions[0] == fractions[n - 1])
		return false;
	set_slope(model, best_slope(fractions, n));
	if (model->shift < 1)
		return false;
	return measure_bounds(model, fractions, n);
}
