/*
 * lsm_compact.c
 *		Streams of sources into a merge, the merge into outputs.
 *
 * The sources of a merge are cut into groups of such as are disjoint by key
 * (lsm_group.h).  A group is one stream: its runs are opened one after the
 * other.  A WAL run serves one merge after the other, in the order of the file,
 * so it stays open, with what was read ahead, until its last use.
 */
#include "lsm/lsm_compact.h"

#include "lsm/lsm_input.h"
#include "lsm/lsm_merge.h"
#include "lsm/lsm_output.h"
#include "lsm/lsm_walkey.h"

/* After so many entries, or bytes read, the caller hears of it. */
#define PROGRESS_ENTRIES 256
#define PROGRESS_BYTES (1024 * 1024)

/* An input of the job while it is read. */
typedef struct OpenInput
{
	SstSource	source;
	bool		has_source;
	LsmInput   *input;
	int			uses;			/* that are to come, the current one included */
} OpenInput;

typedef struct Compaction
{
	const LsmJob *job;
	const LsmCompactOptions *options;
	const LsmCompactIo *io;
	LsmResult  *result;
	const SvAlloc *alloc;
	OpenInput  *inputs;			/* as many as the job has */
	LsmCompactCounts told;		/* at the last call of progress */
} Compaction;

/* The runs of a group, one after the other. */
typedef struct Stream
{
	Compaction *compaction;
	const LsmSlice *slice;
	const LsmGroup *group;
	int			next;			/* in the group: to be opened next */
	int			open;			/* in the job's inputs; -1 if none is */
	bool		is_wal;
	SstIterator *iterator;
} Stream;

/* One slice being merged. */
typedef struct Run
{
	Compaction *compaction;
	const LsmSlice *slice;
	const LsmMergePlan *plan;
	LsmSourceRun *sources;
	LsmGroup   *groups;
	LsmSource  *merge_sources;
	Stream	   *streams;
	int			nstreams;
	LsmMerge   *merge;
	int			older_at;		/* in plan->older */

	LsmOutputFile output;
	SstSink		sink;			/* the caller's */
} Run;

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: a compaction");
}

/* ------------------------------------------------------------------ result */

void
lsm_result_init(LsmResult *result, const SvAlloc *alloc)
{
	*result = (LsmResult) {0};
	sv_arena_init(&result->arena, alloc);
}

void
lsm_result_free(LsmResult *result)
{
	sv_arena_free(&result->arena);
	result->noutputs = 0;
}

static SvStatus
add_output(LsmResult *result, LsmOutput **output, SvError *err)
{
	if (result->noutputs == result->room)
	{
		int			room = result->room == 0 ? 8 : result->room * 2;
		LsmOutput  *grown = sv_arena_take(&result->arena, sizeof(LsmOutput) * (size_t) room);

		if (grown == NULL)
			return no_memory(err);
		if (result->noutputs > 0)
			memcpy(grown, result->outputs, sizeof(LsmOutput) * (size_t) result->noutputs);
		result->outputs = grown;
		result->room = room;
	}
	*output = &result->outputs[result->noutputs];
	return SV_OK;
}

/* ------------------------------------------------------------------ inputs */

static void
close_input(Compaction *compaction, int number)
{
	OpenInput  *open = &compaction->inputs[number];

	lsm_input_close(open->input);
	open->input = NULL;
	if (open->has_source)
		compaction->io->close_input(compaction->io->state, &open->source);
	open->has_source = false;
}

static SvStatus
open_input(Compaction *compaction, int number, SvError *err)
{
	OpenInput  *open = &compaction->inputs[number];
	const LsmRun *run = &compaction->job->inputs[number].run;
	SvStatus	status;

	if (open->input != NULL)
		return SV_OK;
	status = compaction->io->open_input(compaction->io->state, run, &open->source, err);
	if (status != SV_OK)
		return status;
	open->has_source = true;
	return lsm_input_open(&open->input, &open->source, run->file_bytes, run->tail_bytes,
						  compaction->options->read_ahead_bytes,
						  &compaction->result->counts.bytes_in, compaction->alloc, err);
}

/* The use of an input by a stream is over. */
static void
release_input(Compaction *compaction, int number)
{
	if (--compaction->inputs[number].uses == 0)
		close_input(compaction, number);
}

/* ----------------------------------------------------------------- streams */

/* Where the stream reads in the part: [low, high) of the file's keys; NULL for an open bound. */
typedef struct Bounds
{
	const SvSlice *low;
	const SvSlice *high;
	SvSlice		low_key;
	SvSlice		high_key;
	uint8_t		low_bytes[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES];
	uint8_t		high_bytes[LSM_WALKEY_PREFIX_BYTES + SST_MAX_KEY_BYTES + 1];
} Bounds;

static SvSlice
wal_bound(uint8_t *bytes, int32_t table_id, SvSlice key, bool behind)
{
	size_t		len = LSM_WALKEY_PREFIX_BYTES + key.len;

	lsm_walkey_prefix(bytes, table_id);
	if (key.len > 0)
		memcpy(bytes + LSM_WALKEY_PREFIX_BYTES, key.data, key.len);
	if (behind)
		bytes[len++] = 0;
	return sv_slice(bytes, len);
}

/* A WAL run also holds what it does not speak for: there the part's ends are bounds. */
static void
set_bounds(Bounds *bounds, const LsmSlice *slice, const LsmPart *part, bool is_wal)
{
	bool		low_cut = slice->has_low && sv_slice_compare(part->min_key, slice->low) < 0;
	bool		high_cut = slice->has_high && sv_slice_compare(slice->high, part->max_key) <= 0;

	bounds->low_key = low_cut ? slice->low : part->min_key;
	bounds->high_key = high_cut ? slice->high : part->max_key;
	if (is_wal)
	{
		bounds->low_key = wal_bound(bounds->low_bytes, part->table_id, bounds->low_key, false);
		bounds->high_key = wal_bound(bounds->high_bytes, part->table_id, bounds->high_key, !high_cut);
	}
	bounds->low = is_wal || low_cut ? &bounds->low_key : NULL;
	bounds->high = is_wal || high_cut ? &bounds->high_key : NULL;
}

static bool
slice_touches(const LsmSlice *slice, const LsmPart *part)
{
	return (!slice->has_low || sv_slice_compare(slice->low, part->max_key) <= 0) &&
		(!slice->has_high || sv_slice_compare(part->min_key, slice->high) < 0);
}

static int
input_number(const Compaction *compaction, const LsmRun *run)
{
	return (int) ((const LsmJobInput *) run - compaction->job->inputs);
}

static SvStatus
open_next(Stream *stream, SvError *err)
{
	Compaction *compaction = stream->compaction;
	const LsmSourceRun *source = &stream->group->sources[stream->next];
	int			number = input_number(compaction, source->run);
	OpenInput  *open = &compaction->inputs[number];
	SstBlockSource blocks;
	Bounds		bounds;
	SvStatus	status;

	stream->next++;
	if (!slice_touches(stream->slice, source->part))
	{
		release_input(compaction, number);
		return SV_OK;
	}
	status = open_input(compaction, number, err);
	if (status != SV_OK)
		return status;
	stream->open = number;
	stream->is_wal = source->run->tier == LSM_WAL;
	set_bounds(&bounds, stream->slice, source->part, stream->is_wal);
	lsm_input_limit(open->input, open->uses == 1 ? bounds.high : NULL);
	blocks = lsm_input_source(open->input);
	return sst_iterator_open(&stream->iterator, &blocks, bounds.low, bounds.high, false,
							 compaction->alloc, err);
}

static void
close_current(Stream *stream)
{
	sst_iterator_close(stream->iterator);
	stream->iterator = NULL;
	if (stream->open >= 0)
		release_input(stream->compaction, stream->open);
	stream->open = -1;
}

static SvStatus
stream_next(void *state, SstEntry *entry, SvError *err)
{
	Stream	   *stream = state;

	for (;;)
	{
		SvStatus	status;

		if (stream->iterator == NULL)
		{
			if (stream->next == stream->group->count)
				return SV_NOT_FOUND;
			status = open_next(stream, err);
			if (status != SV_OK)
				return status;
			continue;
		}
		status = sst_iterator_next(stream->iterator, entry, err);
		if (status == SV_OK)
		{
			if (stream->is_wal)
				entry->key = lsm_walkey_key(entry->key);
			stream->compaction->result->counts.entries_in++;
			return SV_OK;
		}
		if (status != SV_NOT_FOUND)
			return status;
		close_current(stream);
	}
}

/* ------------------------------------------------------------------ output */

static SvStatus
append_to_sink(void *state, const void *data, size_t len, SvError *err)
{
	Run		   *run = state;
	SvStatus	status = run->sink.append(run->sink.state, data, len, err);

	if (status == SV_OK)
		run->compaction->result->counts.bytes_out += len;
	return status;
}

static SvStatus
begin_output(Run *run, SvError *err)
{
	Compaction *compaction = run->compaction;
	SstSink		sink = {.append = append_to_sink,.state = run};
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	SvStatus	status = compaction->io->begin_output(compaction->io->state, run->plan, &options, &run->sink, err);

	if (status != SV_OK)
		return status;
	return lsm_output_begin(&run->output, run->plan->table_id, &options, &sink, err);
}

/* The finished file as the registry will have it, in the result's memory. */
static SvStatus
describe_output(Run *run, const SstSummary *summary, LsmOutput *output, SvError *err)
{
	SvArena    *arena = &run->compaction->result->arena;
	const LsmMergePlan *plan = run->plan;
	LsmPart    *part = sv_arena_take(arena, sizeof(LsmPart));

	if (part == NULL)
		return no_memory(err);
	*part = run->output.part;
	if (!sv_arena_copy(arena, sv_buffer_slice(&run->output.min_key), &part->min_key) ||
		!sv_arena_copy(arena, sv_buffer_slice(&run->output.max_key), &part->max_key))
		return no_memory(err);
	output->merge = (int) (plan - run->compaction->job->merges);
	output->run = (LsmRun) {
		.tier = plan->tier,.level = plan->level,.seq_lo = plan->seq_lo,.seq_hi = plan->seq_hi,
		.file_bytes = summary->file_bytes,.tail_bytes = summary->tail_bytes,
		.nparts = 1,.parts = part
	};
	return SV_OK;
}

static SvStatus
end_output(Run *run, SvError *err)
{
	Compaction *compaction = run->compaction;
	SstSummary	summary;
	LsmOutput  *output = NULL;
	const char *object = NULL;
	SvStatus	status = lsm_output_end(&run->output, &summary, err);

	if (status == SV_OK)
		status = add_output(compaction->result, &output, err);
	if (status == SV_OK)
		status = describe_output(run, &summary, output, err);
	if (status == SV_OK)
		status = compaction->io->end_output(compaction->io->state, &output->run, &object, err);
	if (status != SV_OK)
		return status;
	output->run.object = sv_arena_string(&compaction->result->arena, object);
	if (output->run.object == NULL)
		return no_memory(err);
	compaction->result->noutputs++;
	return SV_OK;
}

static SvStatus
write_entry(Run *run, const SstEntry *entry, SvError *err)
{
	SvStatus	status = run->output.writer == NULL ? begin_output(run, err) : SV_OK;

	if (status == SV_OK)
		status = lsm_output_add(&run->output, entry, err);
	if (status != SV_OK)
		return status;
	run->compaction->result->counts.entries_out++;
	return lsm_output_is_full(&run->output, run->plan->run_bytes) ? end_output(run, err) : SV_OK;
}

/* ------------------------------------------------------------------- merge */

/* What is left of the newest entry of a key; false if nothing is. */
static bool
judge(Run *run, SstEntry *entry)
{
	LsmCompactCounts *counts = &run->compaction->result->counts;
	bool		may_drop = lsm_merge_may_drop_next(run->plan, entry->key, &run->older_at);

	if (entry->kind == SST_VALUE && entry->expires_at < run->compaction->options->expired_before)
	{
		counts->expired++;
		entry->kind = SST_TOMBSTONE;
		entry->value = sv_slice(NULL, 0);
		entry->expires_at = SST_NEVER_EXPIRES;
		return !may_drop;
	}
	if (entry->kind == SST_TOMBSTONE && may_drop)
	{
		counts->tombstones_dropped++;
		return false;
	}
	return true;
}

static SvStatus
tell_progress(Compaction *compaction, bool at_once, SvError *err)
{
	const LsmCompactCounts *counts = &compaction->result->counts;

	if (compaction->io->progress == NULL ||
		(!at_once && counts->entries_in - compaction->told.entries_in < PROGRESS_ENTRIES &&
		 counts->bytes_in - compaction->told.bytes_in < PROGRESS_BYTES))
		return SV_OK;
	compaction->told = *counts;
	return compaction->io->progress(compaction->io->state, counts, err);
}

static SvStatus
merge_entries(Run *run, SvError *err)
{
	LsmCompactCounts *counts = &run->compaction->result->counts;
	uint64_t	entries_in = counts->entries_in;
	uint64_t	met = 0;
	SvStatus	status;

	for (;;)
	{
		SstEntry	entry;

		status = lsm_merge_next(run->merge, &entry, NULL, err);
		if (status != SV_OK)
			break;
		met++;
		if (judge(run, &entry))
			status = write_entry(run, &entry, err);
		if (status == SV_OK)
			status = tell_progress(run->compaction, false, err);
		if (status != SV_OK)
			return status;
	}
	if (status != SV_NOT_FOUND)
		return status;
	counts->hidden += counts->entries_in - entries_in - met;
	return run->output.writer == NULL ? SV_OK : end_output(run, err);
}

/* Sources of the plan in groups, and a stream for each. */
static SvStatus
open_streams(Run *run, SvArena *arena, SvError *err)
{
	const LsmMergePlan *plan = run->plan;
	size_t		n = (size_t) plan->nsources + 1;

	run->sources = sv_arena_take(arena, sizeof(LsmSourceRun) * n);
	run->groups = sv_arena_take(arena, sizeof(LsmGroup) * n);
	run->streams = sv_arena_take(arena, sizeof(Stream) * n);
	run->merge_sources = sv_arena_take(arena, sizeof(LsmSource) * n);
	if (run->sources == NULL || run->groups == NULL || run->streams == NULL ||
		run->merge_sources == NULL)
		return no_memory(err);
	for (int i = 0; i < plan->nsources; i++)
	{
		run->sources[i].run = &run->compaction->job->inputs[plan->sources[i].input].run;
		run->sources[i].part = &run->sources[i].run->parts[plan->sources[i].part];
	}
	run->nstreams = lsm_group_sources(run->sources, plan->nsources, run->groups);
	for (int i = 0; i < run->nstreams; i++)
	{
		run->streams[i] = (Stream) {
			.compaction = run->compaction,.slice = run->slice,.group = &run->groups[i],.open = -1
		};
		run->merge_sources[i] = (LsmSource) {.next = stream_next,.state = &run->streams[i]};
	}
	return lsm_merge_open(&run->merge, run->merge_sources, run->nstreams, false,
						  run->compaction->alloc, err);
}

static SvStatus
compact_slice(Compaction *compaction, const LsmSlice *slice, SvError *err)
{
	Run			run = {
		.compaction = compaction,.slice = slice,.plan = &compaction->job->merges[slice->merge]
	};
	SvArena		arena;
	SvStatus	status;

	sv_arena_init(&arena, compaction->alloc);
	lsm_output_init(&run.output, compaction->alloc);
	status = open_streams(&run, &arena, err);
	if (status == SV_OK)
		status = merge_entries(&run, err);
	lsm_output_free(&run.output);
	lsm_merge_close(run.merge);
	for (int i = 0; i < run.nstreams; i++)
		close_current(&run.streams[i]);
	sv_arena_free(&arena);
	return status;
}

/* --------------------------------------------------------------------- all */

static void
count_uses(Compaction *compaction, const LsmSlice *slice)
{
	const LsmMergePlan *plan = &compaction->job->merges[slice->merge];

	for (int i = 0; i < plan->nsources; i++)
		compaction->inputs[plan->sources[i].input].uses++;
}

/* All merges that are no moves, whole. */
static LsmSlice *
whole_merges(const LsmJob *job, int *n, SvArena *arena)
{
	LsmSlice   *slices = sv_arena_take(arena, sizeof(LsmSlice) * (size_t) (job->nmerges + 1));

	*n = 0;
	for (int i = 0; slices != NULL && i < job->nmerges; i++)
	{
		if (!job->merges[i].is_move)
			slices[(*n)++].merge = i;
	}
	return slices;
}

SvStatus
lsm_compact(const LsmJob *job, const LsmSlice *slices, int nslices,
			const LsmCompactOptions *options, const LsmCompactIo *io, LsmResult *result,
			const SvAlloc *alloc, SvError *err)
{
	Compaction	compaction = {
		.job = job,.options = options,.io = io,.result = result,.alloc = alloc,
		.told = result->counts
	};
	SvArena		arena;
	SvStatus	status = SV_OK;

	sv_arena_init(&arena, alloc);
	compaction.inputs = sv_arena_take(&arena, sizeof(OpenInput) * (size_t) (job->ninputs + 1));
	if (slices == NULL)
		slices = whole_merges(job, &nslices, &arena);
	if (slices == NULL || compaction.inputs == NULL)
		status = no_memory(err);
	for (int i = 0; i < nslices && status == SV_OK; i++)
		count_uses(&compaction, &slices[i]);
	for (int i = 0; i < nslices && status == SV_OK; i++)
		status = compact_slice(&compaction, &slices[i], err);
	if (status == SV_OK)
		status = tell_progress(&compaction, true, err);
	for (int i = 0; i < job->ninputs && compaction.inputs != NULL; i++)
		close_input(&compaction, i);
	sv_arena_free(&arena);
	return status;
}
