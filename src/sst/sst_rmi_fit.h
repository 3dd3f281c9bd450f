/*
 * sst_rmi_fit.h
 *		The models of the learned index, fitted: root models for the codes of a
 *		node, a linear model for a leaf.  For sst_rmi_build.c.
 *
 * Floating point only proposes; bounds are measured with the integers that
 * lookups use.
 */
#ifndef SST_RMI_FIT_H
#define SST_RMI_FIT_H

#include "sst/sst_rmi_node.h"

/* Root models to choose from. */
typedef enum SstRmiRootFit
{
	SST_RMI_FIT_LINEAR,
	SST_RMI_FIT_TRIMMED,		/* linear, the outermost keys left to the outermost leaves */
	SST_RMI_FIT_LOGARITHMIC,
	SST_RMI_FIT_LINEAR_TABLE,
	SST_RMI_FIT_LOGARITHMIC_TABLE
} SstRmiRootFit;

#define SST_RMI_ROOT_FITS	5

/*
 * Sets the root model of a node with `count` ascending codes (at least one)
 * and the number of its leaves, which is at most `leaves`.  A table is written
 * to *table, which has SST_RMI_MAX_TABLE_BYTES and has to stay.  False if
 * there are too few leaves for a table.
 */
extern bool sst_rmi_fit_root(SstRmiNode *node, const uint64_t *codes, uint32_t count,
							 SstRmiRootFit fit, uint32_t leaves, uint8_t *table);

typedef struct SstRmiModel
{
	uint32_t	slope;
	uint32_t	shift;
	uint32_t	below;
	uint32_t	above;
} SstRmiModel;

/*
 * The narrowest linear model of n keys with these ascending fractions: the
 * rank of fraction[i]'s key is i + 1, and i just before it.  False if there is
 * none that a leaf could hold.
 */
extern bool sst_rmi_fit_leaf(SstRmiModel *model, const uint32_t *fractions, uint32_t n);

#endif							/* SST_RMI_FIT_H */
