/*
 * sst_rmi_knots.c
 *		Leaves as knots, made.
 *
 * All leaves share their bounds, so that a lookup has nothing to read but the
 * two knots, and always takes as many steps after them: what is wider than the
 * others costs a branch that was not foreseen, besides its search.
 */
#include "sst/sst_rmi_knots.h"

#include <math.h>

/* Reaches to choose from are 0, 1, 3, 7, 15: so a search of 2 * reach + 1 keys has whole steps. */
#define REACHES		5
#define COST_MARKED	20.0

/* How far the models of a leaf may be off: `reach` too high, or one more than that too low. */
static uint32_t
reach_of(const uint32_t *fractions, uint32_t n)
{
	int64_t		reach = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		int64_t		off = (int64_t) ((uint64_t) n * fractions[i] >> 32) - i;

		if (off > reach || -off > reach)
			reach = off < 0 ? -off : off;
	}
	return (uint32_t) reach;
}

/* The keys that share a leaf with the one at `from`: *n, and their fractions. */
static uint32_t
gather(const SstRmiNode *node, const uint64_t *codes, uint32_t from, uint32_t *fractions, uint32_t *n)
{
	SstRmiPlace place = sst_rmi_place(node, codes[from]);
	uint32_t	leaf = place.leaf;
	uint32_t	i = from;

	do
	{
		fractions[i++ - from] = place.fraction;
		if (i < node->count)
			place = sst_rmi_place(node, codes[i]);
	} while (i < node->count && place.leaf == leaf);
	*n = i - from;
	return leaf;
}

void
sst_rmi_knots_measure(SstRmiKnots *knots, const SstRmiNode *node, const uint64_t *codes,
					  uint32_t *fractions)
{
	double		steps[REACHES] = {0};
	double		searched[REACHES] = {0};
	uint32_t	n;
	int			best = 0;

	for (uint32_t i = 0; i < node->count; i += n)
	{
		uint32_t	reach;

		gather(node, codes, i, fractions, &n);
		reach = reach_of(fractions, n);
		for (int j = 0; j < REACHES; j++)
		{
			if (reach < UINT32_C(1) << j)
				steps[j] += (double) n * (j + 1);
			else
			{
				steps[j] += n * (log2((double) n + 1) + COST_MARKED);
				searched[j] += n;
			}
		}
	}
	for (int j = 1; j < REACHES; j++)
	{
		if (steps[j] < steps[best])
			best = j;
	}
	knots->below = (uint8_t) ((1 << best) - 1);
	knots->above = (uint8_t) (1 << best);
	knots->steps = steps[best] / node->count;
	knots->searched = searched[best] / node->count;
}

void
sst_rmi_knots_write(const SstRmiKnots *knots, const SstRmiNode *node, const uint64_t *codes,
					uint32_t *fractions, uint8_t *leaves)
{
	uint32_t	done = 0;
	uint32_t	n;

	memset(leaves, 0, sst_rmi_leaves_bytes(true, node->leaf_count));
	for (uint32_t i = 0; i < node->count; i += n)
	{
		uint32_t	leaf = gather(node, codes, i, fractions, &n);
		uint32_t	mark = reach_of(fractions, n) > knots->below ? SST_RMI_KNOT_RANGE : 0;

		for (; done < leaf; done++)
			sv_put_u32(leaves + (size_t) done * 4, i);
		sv_put_u32(leaves + (size_t) done++ * 4, i | mark);
	}
	for (; done <= node->leaf_count; done++)
		sv_put_u32(leaves + (size_t) done * 4, node->count);
}
