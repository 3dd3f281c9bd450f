/*
 * lsm_split.c
 *		Marks in key order, cut where the bytes before them are a share of all.
 */
#include "lsm/lsm_split.h"

#include <stdlib.h>

#include "lsm/lsm_walkey.h"

/* So many marks of one run are enough to cut it well. */
#define MARKS_OF_RUN 64

void
lsm_marks_init(LsmMarks *marks, const SvAlloc *alloc)
{
	*marks = (LsmMarks) {0};
	sv_arena_init(&marks->arena, alloc);
}

void
lsm_marks_free(LsmMarks *marks)
{
	sv_arena_free(&marks->arena);
}

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: splitting a range of keys");
}

SvStatus
lsm_marks_add(LsmMarks *marks, SvSlice key, uint64_t bytes, SvError *err)
{
	SvSlice		copy;

	if (marks->n == marks->room)
	{
		int			room = marks->room == 0 ? 64 : marks->room * 2;
		LsmMark    *grown = sv_arena_take(&marks->arena, sizeof(LsmMark) * (size_t) room);

		if (grown == NULL)
			return no_memory(err);
		if (marks->n > 0)
			memcpy(grown, marks->marks, sizeof(LsmMark) * (size_t) marks->n);
		marks->marks = grown;
		marks->room = room;
	}
	if (!sv_arena_copy(&marks->arena, key, &copy))
		return no_memory(err);
	marks->marks[marks->n++] = (LsmMark) {copy, bytes};
	return SV_OK;
}

SvStatus
lsm_marks_add_runs(LsmMarks *marks, const LsmJob *job, int merge, SvError *err)
{
	const LsmMergePlan *plan = &job->merges[merge];
	SvStatus	status = SV_OK;

	for (int i = 0; i < plan->nsources && status == SV_OK; i++)
	{
		const LsmRun *run = &job->inputs[plan->sources[i].input].run;
		const LsmPart *part = &run->parts[plan->sources[i].part];

		status = lsm_marks_add(marks, part->min_key, run->nparts == 1 ? run->file_bytes : part->raw_bytes,
							   err);
	}
	return status;
}

static bool
is_of_table(const SstTail *tail, uint32_t block, int32_t table_id)
{
	SvSlice		key = sst_index_low_key(&tail->index, block);

	return key.len >= LSM_WALKEY_PREFIX_BYTES && lsm_walkey_table(key) == table_id;
}

SvStatus
lsm_marks_add_blocks(LsmMarks *marks, const SstTail *tail, bool is_wal, int32_t table_id, SvError *err)
{
	uint32_t	begin = 0;
	uint32_t	end = tail->index.count;
	uint32_t	step;
	SvStatus	status = SV_OK;

	/* Blocks of a table are neighbours. */
	while (is_wal && begin < end && !is_of_table(tail, begin, table_id))
		begin++;
	while (is_wal && begin < end && !is_of_table(tail, end - 1, table_id))
		end--;
	step = (end - begin) / MARKS_OF_RUN + 1;
	for (uint32_t i = begin; i < end && status == SV_OK; i += step)
	{
		uint32_t	next = i + step < end ? i + step : end;
		uint64_t	to = next < tail->index.count ? sst_index_block(&tail->index, next).offset : tail->offset;
		SvSlice		key = sst_index_low_key(&tail->index, i);

		status = lsm_marks_add(marks, is_wal ? lsm_walkey_key(key) : key,
							   to - sst_index_block(&tail->index, i).offset, err);
	}
	return status;
}

static int
compare_marks(const void *a, const void *b)
{
	return sv_slice_compare(((const LsmMark *) a)->key, ((const LsmMark *) b)->key);
}

int
lsm_split(LsmMarks *marks, int merge, int pieces, LsmSlice *slices)
{
	uint64_t	all = 0;
	uint64_t	before = 0;
	int			n = 1;

	slices[0] = (LsmSlice) {.merge = merge};
	if (marks->n > 0)
		qsort(marks->marks, (size_t) marks->n, sizeof(LsmMark), compare_marks);
	for (int i = 0; i < marks->n; i++)
		all += marks->marks[i].bytes;
	for (int i = 0; i < marks->n && n < pieces; i++)
	{
		SvSlice		key = marks->marks[i].key;

		/* Not before the first key, and not twice at one. */
		if ((double) before * pieces >= (double) all * n && before > 0 &&
			sv_slice_compare(key, marks->marks[i - 1].key) > 0)
		{
			slices[n - 1].has_high = true;
			slices[n - 1].high = key;
			slices[n++] = (LsmSlice) {.merge = merge,.has_low = true,.low = key};
		}
		before += marks->marks[i].bytes;
	}
	return n;
}

static SvStatus
copy_output(LsmResult *to, const LsmOutput *from, LsmOutput *copy, SvError *err)
{
	LsmPart    *part = sv_arena_take(&to->arena, sizeof(LsmPart));

	*copy = *from;
	copy->run.object = sv_arena_string(&to->arena, from->run.object);
	copy->run.parts = part;
	if (part == NULL || copy->run.object == NULL)
		return no_memory(err);
	*part = from->run.parts[0];
	if (!sv_arena_copy(&to->arena, from->run.parts[0].min_key, &part->min_key) ||
		!sv_arena_copy(&to->arena, from->run.parts[0].max_key, &part->max_key))
		return no_memory(err);
	return SV_OK;
}

SvStatus
lsm_result_append(LsmResult *to, const LsmResult *from, SvError *err)
{
	int			n = to->noutputs + from->noutputs;
	LsmOutput  *outputs = sv_arena_take(&to->arena, sizeof(LsmOutput) * (size_t) (n + 1));
	SvStatus	status = outputs == NULL ? no_memory(err) : SV_OK;

	if (status == SV_OK && to->noutputs > 0)
		memcpy(outputs, to->outputs, sizeof(LsmOutput) * (size_t) to->noutputs);
	for (int i = 0; i < from->noutputs && status == SV_OK; i++)
		status = copy_output(to, &from->outputs[i], &outputs[to->noutputs + i], err);
	if (status != SV_OK)
		return status;
	to->outputs = outputs;
	to->noutputs = to->room = n;
	to->counts.entries_in += from->counts.entries_in;
	to->counts.entries_out += from->counts.entries_out;
	to->counts.hidden += from->counts.hidden;
	to->counts.tombstones_dropped += from->counts.tombstones_dropped;
	to->counts.expired += from->counts.expired;
	to->counts.bytes_in += from->counts.bytes_in;
	to->counts.bytes_out += from->counts.bytes_out;
	return SV_OK;
}
