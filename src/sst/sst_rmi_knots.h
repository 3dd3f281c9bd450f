/*
 * sst_rmi_knots.h
 *		Leaves as knots (sst_rmi_node.h), made: for sst_rmi_build.c.
 */
#ifndef SST_RMI_KNOTS_H
#define SST_RMI_KNOTS_H

#include "sst/sst_rmi_node.h"

typedef struct SstRmiKnots
{
	uint8_t		below;
	uint8_t		above;
	double		steps;			/* of a lookup, mean, in steps of binary search */
	double		searched;		/* share of the keys that are in marked leaves */
} SstRmiKnots;

/*
 * Chooses the bounds for a node whose root is set, with these ascending codes,
 * node->count of them.  There is room for as many fractions.
 */
extern void sst_rmi_knots_measure(SstRmiKnots *knots, const SstRmiNode *node,
								  const uint64_t *codes, uint32_t *fractions);

/* Writes sst_rmi_leaves_bytes to *leaves. */
extern void sst_rmi_knots_write(const SstRmiKnots *knots, const SstRmiNode *node,
								const uint64_t *codes, uint32_t *fractions, uint8_t *leaves);

#endif							/* SST_RMI_KNOTS_H */
