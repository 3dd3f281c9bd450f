/*
 * lsm_group.h
 *		A table's lookup order in steps: groups of runs that a key can be in at
 *		most one of.
 *
 * Runs that follow one another in lookup order and are disjoint by key may be
 * asked in any order, so they form a group, sorted by key, in which one binary
 * search finds the only run to ask: a whole level, the files of one load, or
 * flushes of keys that were written in order.  Runs of the reading transaction's own
 * are in groups of their own.
 */
#ifndef LSM_GROUP_H
#define LSM_GROUP_H

#include "base/sv_slice.h"

struct LsmSourceRun;

typedef struct LsmGroup
{
	struct LsmSourceRun *sources;	/* ascending by key */
	int			count;
} LsmGroup;

/*
 * Groups n sources that are in lookup order, reordering them within their
 * groups.  groups has room for n; the answer is how many there are.
 */
extern int	lsm_group_sources(struct LsmSourceRun *sources, int n, LsmGroup *groups);

/* The index of the group's first source whose largest key is not below key; count if there is none. */
extern int	lsm_group_seek(const LsmGroup *group, SvSlice key);

/* The only source of the group that may have the key, or NULL. */
extern const struct LsmSourceRun *lsm_group_find(const LsmGroup *group, SvSlice key);

#endif							/* LSM_GROUP_H */
