/*
 * sst_rmi_build.h
 *		Making a learned index: see sst_rmi.h.
 */
#ifndef SST_RMI_BUILD_H
#define SST_RMI_BUILD_H

#include "base/sv_buffer.h"

/*
 * Where the keys to be indexed come from: called with 0 <= i < count, in any
 * order, again and again.  An answer stays good until the call after the next.
 */
typedef struct SstRmiKeys
{
	SvSlice		(*key) (const void *state, uint32_t i);
	const void *state;
	uint32_t	count;
} SstRmiKeys;

typedef struct SstRmiOptions
{
	uint32_t	keys_per_leaf;	/* aim; 0: the default */
	bool		fences;			/* keep each key's code, which narrows ranges without touching keys: 8 bytes a key */
} SstRmiOptions;

/* Appends the index of the keys, which must ascend strictly, to *out.  Nothing is appended on failure. */
extern SvStatus sst_rmi_build(const SstRmiKeys *keys, const SstRmiOptions *options,
							  SvBuffer *out, SvError *err);

#endif							/* SST_RMI_BUILD_H */
