/*
 * lsm_wire.c
 *		Every number takes eight bytes, bytes come behind their length.
 */
#include "lsm/lsm_wire.h"

#include "base/sv_coding.h"

/* Goes on after a failure, doing nothing. */
typedef struct Put
{
	SvBuffer   *to;
	SvError    *err;
	SvStatus	status;
} Put;

static void
put_bytes(Put *put, const void *data, size_t len)
{
	if (put->status == SV_OK && len > 0)
		put->status = sv_buffer_append(put->to, data, len, put->err);
}

static void
put_number(Put *put, uint64_t number)
{
	uint8_t		bytes[8];

	sv_put_u64(bytes, number);
	put_bytes(put, bytes, sizeof(bytes));
}

static void
put_slice(Put *put, SvSlice slice)
{
	put_number(put, slice.len);
	put_bytes(put, slice.data, slice.len);
}

typedef struct Get
{
	SvCursor	from;
	SvArena    *arena;
	bool		failed;			/* bytes were missing, or memory */
} Get;

static uint64_t
get_number(Get *get)
{
	uint64_t	number = 0;

	if (!get->failed && !sv_cursor_u64(&get->from, &number))
		get->failed = true;
	return number;
}

/* Of things that have a number each, at least. */
static int
get_count(Get *get)
{
	uint64_t	count = get_number(get);

	if (count > get->from.left / 8)
		get->failed = true;
	return get->failed ? 0 : (int) count;
}

static SvSlice
get_slice(Get *get)
{
	uint64_t	len = get_number(get);
	SvSlice		borrowed;
	SvSlice		copy = sv_slice(NULL, 0);

	if (!get->failed && (!sv_cursor_bytes(&get->from, (size_t) len, &borrowed) ||
						 !sv_arena_copy(get->arena, borrowed, &copy)))
		get->failed = true;
	return copy;
}

/* A text of C; its end has come with it. */
static const char *
get_text(Get *get)
{
	SvSlice		text = get_slice(get);

	if (text.len == 0 || text.data[text.len - 1] != '\0')
		get->failed = true;
	return (const char *) text.data;
}

static void *
get_array(Get *get, int count, size_t each)
{
	void	   *array = sv_arena_take(get->arena, each * (size_t) (count + 1));

	if (array == NULL)
		get->failed = true;
	return array;
}

/* -------------------------------------------------------------------- runs */

static void
put_part(Put *put, const LsmPart *part)
{
	put_number(put, (uint64_t) part->table_id);
	put_slice(put, part->min_key);
	put_slice(put, part->max_key);
	put_number(put, part->entries);
	put_number(put, part->tombstones);
	put_number(put, part->raw_bytes);
	put_number(put, part->expiring);
	put_number(put, (uint64_t) part->expires_min);
	put_number(put, (uint64_t) part->expires_max);
}

static void
get_part(Get *get, LsmPart *part)
{
	part->table_id = (int32_t) get_number(get);
	part->min_key = get_slice(get);
	part->max_key = get_slice(get);
	part->entries = get_number(get);
	part->tombstones = get_number(get);
	part->raw_bytes = get_number(get);
	part->expiring = get_number(get);
	part->expires_min = (int64_t) get_number(get);
	part->expires_max = (int64_t) get_number(get);
}

static void
put_run(Put *put, const LsmRun *run)
{
	put_number(put, (uint64_t) run->id);
	put_number(put, (uint64_t) run->tier);
	put_number(put, (uint64_t) run->level);
	put_number(put, (uint64_t) run->seq_lo);
	put_number(put, (uint64_t) run->seq_hi);
	put_number(put, run->file_bytes);
	put_number(put, run->tail_bytes);
	put_slice(put, sv_slice(run->object, strlen(run->object) + 1));
	put_number(put, (uint64_t) run->nparts);
	for (int i = 0; i < run->nparts; i++)
		put_part(put, &run->parts[i]);
}

static void
get_run(Get *get, LsmRun *run)
{
	run->id = (int64_t) get_number(get);
	run->tier = (LsmTier) get_number(get);
	run->level = (int) get_number(get);
	run->seq_lo = (int64_t) get_number(get);
	run->seq_hi = (int64_t) get_number(get);
	run->file_bytes = get_number(get);
	run->tail_bytes = get_number(get);
	run->object = get_text(get);
	run->nparts = get_count(get);
	run->parts = get_array(get, run->nparts, sizeof(LsmPart));
	for (int i = 0; i < run->nparts && !get->failed; i++)
		get_part(get, &run->parts[i]);
}

/* ------------------------------------------------------------------ merges */

static void
put_range(Put *put, LsmRange range)
{
	put_slice(put, range.low);
	put_slice(put, range.high);
}

static LsmRange
get_range(Get *get)
{
	LsmRange	range;

	range.low = get_slice(get);
	range.high = get_slice(get);
	return range;
}

static void
put_merge(Put *put, const LsmMergePlan *merge)
{
	put_number(put, (uint64_t) merge->table_id);
	put_number(put, (uint64_t) merge->tier);
	put_number(put, (uint64_t) merge->level);
	put_number(put, (uint64_t) merge->seq_lo);
	put_number(put, (uint64_t) merge->seq_hi);
	put_number(put, merge->is_move);
	put_number(put, merge->run_bytes);
	put_number(put, (uint64_t) merge->nsources);
	for (int i = 0; i < merge->nsources; i++)
	{
		put_number(put, (uint64_t) merge->sources[i].input);
		put_number(put, (uint64_t) merge->sources[i].part);
	}
	put_number(put, (uint64_t) merge->nolder);
	for (int i = 0; i < merge->nolder; i++)
		put_range(put, merge->older[i]);
}

static void
get_merge(Get *get, LsmMergePlan *merge)
{
	merge->table_id = (int32_t) get_number(get);
	merge->tier = (LsmTier) get_number(get);
	merge->level = (int) get_number(get);
	merge->seq_lo = (int64_t) get_number(get);
	merge->seq_hi = (int64_t) get_number(get);
	merge->is_move = get_number(get) != 0;
	merge->run_bytes = get_number(get);
	merge->nsources = get_count(get);
	merge->sources = get_array(get, merge->nsources, sizeof(LsmMergeSource));
	for (int i = 0; i < merge->nsources && !get->failed; i++)
	{
		merge->sources[i].input = (int) get_number(get);
		merge->sources[i].part = (int) get_number(get);
	}
	merge->nolder = get_count(get);
	merge->older = get_array(get, merge->nolder, sizeof(LsmRange));
	for (int i = 0; i < merge->nolder && !get->failed; i++)
		merge->older[i] = get_range(get);
}

/* ------------------------------------------------------------------- parts */

static void
put_parts(Put *put, const LsmParts *parts)
{
	put_number(put, (uint64_t) parts->nslices);
	for (int i = 0; i < parts->nslices; i++)
	{
		const LsmSlice *slice = &parts->slices[i];

		put_number(put, (uint64_t) slice->merge);
		put_number(put, (uint64_t) (slice->has_low ? 1 : 0) + (slice->has_high ? 2 : 0));
		put_slice(put, slice->low);
		put_slice(put, slice->high);
	}
	put_number(put, (uint64_t) parts->nparts);
	for (int i = 0; i <= parts->nparts; i++)
		put_number(put, (uint64_t) parts->first[i]);
}

static void
get_parts(Get *get, LsmParts *parts)
{
	parts->nslices = parts->room = get_count(get);
	parts->slices = get_array(get, parts->nslices, sizeof(LsmSlice));
	for (int i = 0; i < parts->nslices && !get->failed; i++)
	{
		LsmSlice   *slice = &parts->slices[i];
		uint64_t	has;

		slice->merge = (int) get_number(get);
		has = get_number(get);
		slice->has_low = (has & 1) != 0;
		slice->has_high = (has & 2) != 0;
		slice->low = get_slice(get);
		slice->high = get_slice(get);
	}
	parts->nparts = get_count(get);
	if (parts->nparts > LSM_MAX_PARTS)
		get->failed = true;
	for (int i = 0; i <= parts->nparts && !get->failed; i++)
		parts->first[i] = (int) get_number(get);
}

/* -------------------------------------------------------------------- jobs */

SvStatus
lsm_wire_put_job(SvBuffer *to, const LsmJob *job, const LsmParts *parts, SvError *err)
{
	Put			put = {.to = to,.err = err,.status = SV_OK};

	put_number(&put, (uint64_t) job->kind);
	put_number(&put, job->input_bytes);
	put_number(&put, (uint64_t) job->ninputs);
	for (int i = 0; i < job->ninputs; i++)
		put_run(&put, &job->inputs[i].run);
	put_number(&put, (uint64_t) job->nmerges);
	for (int i = 0; i < job->nmerges; i++)
		put_merge(&put, &job->merges[i]);
	put_parts(&put, parts);
	return put.status;
}

static void
get_job(Get *get, LsmJob *job)
{
	job->kind = (LsmJobKind) get_number(get);
	job->input_bytes = get_number(get);
	job->ninputs = get_count(get);
	job->inputs = get_array(get, job->ninputs, sizeof(LsmJobInput));
	for (int i = 0; i < job->ninputs && !get->failed; i++)
		get_run(get, &job->inputs[i].run);
	job->nmerges = get_count(get);
	job->merges = get_array(get, job->nmerges, sizeof(LsmMergePlan));
	for (int i = 0; i < job->nmerges && !get->failed; i++)
		get_merge(get, &job->merges[i]);
}

SvStatus
lsm_wire_get_job(SvSlice from, const SvAlloc *alloc, LsmJob **job, LsmParts *parts, SvError *err)
{
	SvArena		arena;
	LsmJob	   *made;
	Get			get = {.from = sv_cursor(from)};

	*job = NULL;
	lsm_parts_init(parts, alloc);
	sv_arena_init(&arena, alloc);
	made = sv_arena_take(&arena, sizeof(LsmJob));
	if (made == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a job of another process");
	made->arena = arena;
	get.arena = &made->arena;
	get_job(&get, made);
	get.arena = &parts->arena;
	get_parts(&get, parts);
	if (get.failed)
	{
		lsm_job_free(made);
		return sv_fail(err, SV_NO_MEMORY, "a job of another process is not whole, or there is no memory for it");
	}
	*job = made;
	return SV_OK;
}

/* ----------------------------------------------------------------- results */

SvStatus
lsm_wire_put_result(SvBuffer *to, const LsmResult *result, SvError *err)
{
	const LsmCompactCounts *counts = &result->counts;
	Put			put = {.to = to,.err = err,.status = SV_OK};

	put_number(&put, (uint64_t) result->noutputs);
	for (int i = 0; i < result->noutputs; i++)
	{
		put_number(&put, (uint64_t) result->outputs[i].merge);
		put_run(&put, &result->outputs[i].run);
	}
	put_number(&put, counts->entries_in);
	put_number(&put, counts->entries_out);
	put_number(&put, counts->hidden);
	put_number(&put, counts->tombstones_dropped);
	put_number(&put, counts->expired);
	put_number(&put, counts->bytes_in);
	put_number(&put, counts->bytes_out);
	return put.status;
}

SvStatus
lsm_wire_get_result(SvSlice from, LsmResult *result, SvError *err)
{
	LsmCompactCounts *counts = &result->counts;
	Get			get = {.from = sv_cursor(from),.arena = &result->arena};
	int			n = get_count(&get);

	result->outputs = get_array(&get, n, sizeof(LsmOutput));
	for (int i = 0; i < n && !get.failed; i++)
	{
		result->outputs[i].merge = (int) get_number(&get);
		get_run(&get, &result->outputs[i].run);
	}
	counts->entries_in = get_number(&get);
	counts->entries_out = get_number(&get);
	counts->hidden = get_number(&get);
	counts->tombstones_dropped = get_number(&get);
	counts->expired = get_number(&get);
	counts->bytes_in = get_number(&get);
	counts->bytes_out = get_number(&get);
	if (get.failed)
		return sv_fail(err, SV_NO_MEMORY, "a result of another process is not whole, or there is no memory for it");
	result->noutputs = result->room = n;
	return SV_OK;
}
