/*
 * lsm_parts.h
 *		A job in parts, each for one worker: slices of its merges, in order.
 *
 * Whatever the parts, all slices together are the job, and the results of the
 * parts, appended in the order of the parts, are what the job would have done
 * as a whole, cut at other keys.
 */
#ifndef LSM_PARTS_H
#define LSM_PARTS_H

#include "lsm/lsm_settings.h"
#include "lsm/lsm_split.h"

#define LSM_MAX_PARTS LSM_MAX_SUBCOMPACTIONS

typedef struct LsmParts
{
	SvArena		arena;
	int			nslices;
	int			room;
	LsmSlice   *slices;			/* by merge, then ascending by key */
	uint64_t   *bytes;			/* of each, about */
	int			nparts;
	int			first[LSM_MAX_PARTS + 1];	/* part i has the slices from first[i] to before first[i + 1] */
} LsmParts;

/* How many parts the job is worth; 1: it is to be done as a whole. */
extern int	lsm_parts_wanted(const LsmJob *job);

/* Into how many slices a merge is cut if the job has so many parts. */
extern int	lsm_parts_slices(const LsmJob *job, int merge, int nparts);

extern void lsm_parts_init(LsmParts *parts, const SvAlloc *alloc);
extern void lsm_parts_free(LsmParts *parts);

/*
 * Cuts a merge at the marks, which are sorted on the way, and adds its slices.
 * To be called for each merge that is no move, in order.
 */
extern SvStatus lsm_parts_add(LsmParts *parts, const LsmJob *job, int merge, LsmMarks *marks, int slices,
							  SvError *err);

/* Then: makes at most nparts parts of the slices, about equal. */
extern void lsm_parts_group(LsmParts *parts, int nparts);

#endif							/* LSM_PARTS_H */
