/*
 * lsm_parts.c
 *		Large merges are cut, small ones are put together.
 */
#include "lsm/lsm_parts.h"

int
lsm_parts_wanted(const LsmJob *job)
{
	uint64_t	part_bytes = UINT64_MAX;
	int			most = 1;

	for (int i = 0; i < job->nmerges; i++)
	{
		const LsmMergePlan *merge = &job->merges[i];

		if (merge->is_move || merge->most_parts < 2)
			continue;
		if (merge->most_parts > most)
			most = merge->most_parts;
		if (merge->part_bytes < part_bytes)
			part_bytes = merge->part_bytes;
	}
	if (most > LSM_MAX_PARTS)
		most = LSM_MAX_PARTS;
	if (part_bytes == 0)
		part_bytes = 1;
	if (job->input_bytes / part_bytes < (uint64_t) most)
		most = (int) (job->input_bytes / part_bytes);
	return most > 1 ? most : 1;
}

int
lsm_parts_slices(const LsmJob *job, int merge, int nparts)
{
	const LsmMergePlan *plan = &job->merges[merge];
	uint64_t	part = job->input_bytes / (uint64_t) nparts + 1;
	uint64_t	slices = (plan->bytes + part / 2) / part;

	if (slices > (uint64_t) nparts)
		slices = (uint64_t) nparts;
	if (plan->most_parts > 0 && slices > (uint64_t) plan->most_parts)
		slices = (uint64_t) plan->most_parts;
	return slices > 1 ? (int) slices : 1;
}

void
lsm_parts_init(LsmParts *parts, const SvAlloc *alloc)
{
	*parts = (LsmParts) {0};
	sv_arena_init(&parts->arena, alloc);
}

void
lsm_parts_free(LsmParts *parts)
{
	sv_arena_free(&parts->arena);
	parts->nslices = parts->nparts = 0;
}

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: the parts of a compaction");
}

static SvStatus
make_room(LsmParts *parts, int more, SvError *err)
{
	int			room = (parts->nslices + more) * 2;
	LsmSlice   *slices;
	uint64_t   *bytes;

	if (parts->nslices + more <= parts->room)
		return SV_OK;
	slices = sv_arena_take(&parts->arena, sizeof(LsmSlice) * (size_t) room);
	bytes = sv_arena_take(&parts->arena, sizeof(uint64_t) * (size_t) room);
	if (slices == NULL || bytes == NULL)
		return no_memory(err);
	if (parts->nslices > 0)
	{
		memcpy(slices, parts->slices, sizeof(LsmSlice) * (size_t) parts->nslices);
		memcpy(bytes, parts->bytes, sizeof(uint64_t) * (size_t) parts->nslices);
	}
	parts->slices = slices;
	parts->bytes = bytes;
	parts->room = room;
	return SV_OK;
}

SvStatus
lsm_parts_add(LsmParts *parts, const LsmJob *job, int merge, LsmMarks *marks, int slices, SvError *err)
{
	SvStatus	status = make_room(parts, slices, err);
	LsmSlice   *added;
	int			n;

	if (status != SV_OK)
		return status;
	added = &parts->slices[parts->nslices];
	n = lsm_split(marks, merge, slices, added);
	for (int i = 0; i < n; i++)
	{
		/* A slice's high is the next one's low. */
		if (i > 0)
		{
			if (!sv_arena_copy(&parts->arena, added[i].low, &added[i].low))
				return no_memory(err);
			added[i - 1].high = added[i].low;
		}
		parts->bytes[parts->nslices + i] = job->merges[merge].bytes / (uint64_t) n;
	}
	parts->nslices += n;
	return SV_OK;
}

void
lsm_parts_group(LsmParts *parts, int nparts)
{
	double		all = 0;
	double		before = 0;

	for (int i = 0; i < parts->nslices; i++)
		all += (double) parts->bytes[i];
	parts->nparts = parts->nslices > 0 ? 1 : 0;
	parts->first[0] = 0;
	for (int i = 0; i < parts->nslices; i++)
	{
		double		middle = before + (double) parts->bytes[i] / 2;

		/* A slice belongs where its middle is. */
		if (i > 0 && parts->nparts < nparts && middle * nparts >= all * parts->nparts)
			parts->first[parts->nparts++] = i;
		before += (double) parts->bytes[i];
	}
	parts->first[parts->nparts] = parts->nslices;
}
