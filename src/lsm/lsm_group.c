/*
 * lsm_group.c
 *		Groups of runs that are disjoint by key.
 */
#include "lsm/lsm_group.h"

#include <string.h>

#include "lsm/lsm_forest.h"

int
lsm_group_seek(const LsmGroup *group, SvSlice key)
{
	int			low = 0;
	int			high = group->count;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (sv_slice_compare(group->sources[middle].part->max_key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const LsmSourceRun *
lsm_group_find(const LsmGroup *group, SvSlice key)
{
	int			i = lsm_group_seek(group, key);

	if (i == group->count || sv_slice_compare(group->sources[i].part->min_key, key) > 0)
		return NULL;
	return &group->sources[i];
}

/*
 * The source right behind the group joins it if it overlaps none of it.  The
 * members being disjoint, only the first that does not end before it can.
 * Own runs stay among themselves: between them and others there is the delta.
 */
static bool
join(LsmGroup *group)
{
	LsmSourceRun source = group->sources[group->count];
	int			i = lsm_group_seek(group, source.part->min_key);

	if (group->sources[0].run->is_own != source.run->is_own)
		return false;
	if (i < group->count &&
		sv_slice_compare(group->sources[i].part->min_key, source.part->max_key) <= 0)
		return false;
	memmove(&group->sources[i + 1], &group->sources[i],
			(size_t) (group->count - i) * sizeof(LsmSourceRun));
	group->sources[i] = source;
	group->count++;
	return true;
}

int
lsm_group_sources(LsmSourceRun *sources, int n, LsmGroup *groups)
{
	int			ngroups = 0;

	for (int i = 0; i < n; i++)
	{
		if (ngroups == 0 || !join(&groups[ngroups - 1]))
			groups[ngroups++] = (LsmGroup) {.sources = &sources[i],.count = 1};
	}
	return ngroups;
}
