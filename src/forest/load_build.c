/*
 * load_build.c
 *		See load_build.h.
 *
 * Entries are collected by the sorter until it has enough of them to tell
 * whether they come in order.  If so, they are written, and those that follow go
 * straight to the writer, but for the last one, which the next may replace.  The
 * first that is out of order ends that stretch, and from then on all go through
 * the sorter: keys that are in both stretches are in the later one newer.
 *
 * The store's handle is this load's own, since an upload is under way between
 * two calls, while the backend does other things.
 */
#include "postgres.h"

#include "forest/load_build.h"

#include "forest/forest_store.h"
#include "forest/load_sort.h"
#include "forest/object_name.h"
#include "lsm/lsm_output.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "server/pg_status.h"
#include "server/stop_point.h"
#include "utils/memutils.h"

/* So much in order is taken for sorted input. */
#define STREAM_AFTER_BYTES ((Size) 4 * 1024 * 1024)

/* How often what was written is told to others. */
#define TOLD_ENTRIES 4096

struct LoadBuild
{
	MemoryContext context;
	MemoryContextCallback callback;
	SvAlloc		alloc;
	LoadBuildSpec spec;
	LoadSort   *sort;
	bool		is_streaming;
	bool		has_streamed;
	SstEntry	last;			/* while streaming: not written yet; its bytes are in last_bytes */
	SvBuffer	last_bytes;

	ObjectStore *store;
	StoreCall	call;
	StoreUpload *upload;
	LsmOutputFile output;
	char	   *object;			/* being written */
	uint64		told_entries;	/* of the run being written */
	uint64		told_bytes;

	int			stretch;
	LoadBuilt	built;
	int			room;			/* in built.runs */
};

static bool
is_over(void *state)
{
	return true;
}

/*
 * After an error, or at the end.  What is under way is given up, with no
 * patience for a store that does not answer.
 */
static void
release(void *arg)
{
	LoadBuild  *build = arg;
	StoreCall	call = {.cancelled = is_over,.caller = STORE_LOAD};

	if (build->upload != NULL)
		store_upload_abort(build->upload, &call);
	build->upload = NULL;
	store_close(build->store);
	build->store = NULL;
}

LoadBuild *
load_build_begin(const LoadBuildSpec *spec)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault load build",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	LoadBuild  *build = palloc0(sizeof(LoadBuild));

	Assert(spec->vault.epoch != 0);
	build->context = context;
	build->alloc = pg_status_alloc(context);
	build->spec = *spec;
	build->spec.memory_bytes = Max(spec->memory_bytes, LOAD_MIN_MEMORY_BYTES);
	build->sort = load_sort_begin(build->spec.memory_bytes, spec->duplicate, spec->duplicate_state);
	sv_buffer_init(&build->last_bytes, &build->alloc);
	lsm_output_init(&build->output, &build->alloc);
	build->callback.func = release;
	build->callback.arg = build;
	MemoryContextRegisterResetCallback(context, &build->callback);
	build->store = forest_store_open_own(spec->server_oid);
	build->call = *forest_store_call(spec->server_oid, STORE_LOAD);
	build->call.upload_bytes = build->spec.memory_bytes;
	MemoryContextSwitchTo(old);
	return build;
}

void
load_build_end(LoadBuild *build)
{
	if (build->sort != NULL)
		load_sort_end(build->sort);
	MemoryContextDelete(build->context);
}

/* ---- runs ---- */

pg_noreturn static void fail(LoadBuild *build, const SvError *err);

static void
fail(LoadBuild *build, const SvError *err)
{
	SvError		told = *err;

	if (build->upload != NULL)
		store_upload_abort(build->upload, &build->call);
	build->upload = NULL;
	if (err->status == SV_CANCELLED)
		CHECK_FOR_INTERRUPTS();
	/* Flushes go on by themselves, loads do not. */
	if (told.status == SV_NO_SPACE && told.hint[0] == '\0')
		sv_set_hint(&told, "Make room in the store, and load again."
					" What this load has written there goes with the next garbage collection.");
	pg_status_report(ERROR, &told);
	pg_unreachable();
}

static SvStatus
append(void *state, const void *data, size_t len, SvError *err)
{
	LoadBuild  *build = state;

	return store_upload_append(build->upload, data, len, &build->call, err);
}

static void
tell(LoadBuild *build)
{
	load_progress_written(build->spec.progress, build->output.part.entries - build->told_entries,
						  build->output.written - build->told_bytes);
	build->told_entries = build->output.part.entries;
	build->told_bytes = build->output.written;
}

static void
begin_run(LoadBuild *build)
{
	MemoryContext old = MemoryContextSwitchTo(build->context);
	SstWriterOptions options = SST_WRITER_DEFAULTS;
	SstSink		sink = {.append = append,.state = build};
	SvError		err;

	options.zstd_level = build->spec.storage.zstd_level;
	options.filter_bits = build->spec.storage.filter_bits;
	options.dictionary_bytes = build->spec.storage.dictionary_bytes;
	STOP_POINT("load-begin-run");
	build->object = object_name_of_transaction(&build->spec.vault, build->spec.xid, "sst");
	build->told_entries = build->told_bytes = 0;
	if (store_upload_begin(build->store, build->object, &build->upload, &build->call, &err) != SV_OK)
	{
		build->upload = NULL;
		fail(build, &err);
	}
	if (lsm_output_begin(&build->output, build->spec.table_id, &options, &sink, &err) != SV_OK)
		fail(build, &err);
	MemoryContextSwitchTo(old);
}

static SvSlice
copy_key(const SvBuffer *key)
{
	uint8	   *copy;

	if (key->len == 0)
		return sv_slice(NULL, 0);
	copy = palloc(key->len);
	memcpy(copy, key->data, key->len);
	return sv_slice(copy, key->len);
}

static void
add_run(LoadBuild *build, const SstSummary *summary)
{
	LoadBuilt  *built = &build->built;
	LoadRun    *run;

	if (built->nruns == build->room)
	{
		build->room = build->room == 0 ? 16 : build->room * 2;
		built->runs = built->runs == NULL ? palloc(build->room * sizeof(LoadRun)) :
			repalloc_huge(built->runs, build->room * sizeof(LoadRun));
	}
	run = &built->runs[built->nruns++];
	*run = (LoadRun) {
		.object = build->object,.file_bytes = summary->file_bytes,.tail_bytes = summary->tail_bytes,
		.part = build->output.part,.stretch = build->stretch
	};
	run->part.min_key = copy_key(&build->output.min_key);
	run->part.max_key = copy_key(&build->output.max_key);
	built->nstretches = build->stretch + 1;
	built->entries += run->part.entries;
	built->raw_bytes += run->part.raw_bytes;
	built->file_bytes += summary->file_bytes;
}

static void
end_run(LoadBuild *build)
{
	MemoryContext old = MemoryContextSwitchTo(build->context);
	StoreUpload *upload;
	SstSummary	summary;
	SvError		err;

	if (build->output.writer == NULL)
		return;
	if (lsm_output_end(&build->output, &summary, &err) != SV_OK)
		fail(build, &err);
	STOP_POINT("load-end-run");
	upload = build->upload;
	build->upload = NULL;
	if (store_upload_finish(upload, &build->call, &err) != SV_OK)
		fail(build, &err);
	tell(build);
	add_run(build, &summary);
	MemoryContextSwitchTo(old);
	STOP_POINT("load-uploaded");
}

static void
write_entry(LoadBuild *build, const SstEntry *entry)
{
	SvError		err;

	if (build->output.writer == NULL)
		begin_run(build);
	if (lsm_output_add(&build->output, entry, &err) != SV_OK)
		fail(build, &err);
	if (build->output.part.entries - build->told_entries >= TOLD_ENTRIES)
		tell(build);
	if (lsm_output_is_full(&build->output, build->spec.run_bytes))
		end_run(build);
}

static void
write_sorted(LoadBuild *build)
{
	SstEntry	entry;

	load_progress_phase(build->spec.progress, LOAD_SORTING);
	STOP_POINT("load-sorting");
	load_sort_perform(build->sort);
	STOP_POINT("load-sorted");
	load_progress_phase(build->spec.progress, LOAD_WRITING);
	while (load_sort_next(build->sort, &entry))
	{
		CHECK_FOR_INTERRUPTS();
		write_entry(build, &entry);
	}
}

/* ---- input in order ---- */

static void
keep_last(LoadBuild *build, const SstEntry *entry)
{
	SvBuffer   *bytes = &build->last_bytes;
	SvError		err;

	sv_buffer_reset(bytes);
	PG_STATUS_CHECK(sv_buffer_reserve(bytes, entry->key.len + entry->value.len, &err), &err);
	PG_STATUS_CHECK(sv_buffer_append(bytes, entry->key.data, entry->key.len, &err), &err);
	PG_STATUS_CHECK(sv_buffer_append(bytes, entry->value.data, entry->value.len, &err), &err);
	build->last = *entry;
	build->last.key = sv_slice(bytes->data, entry->key.len);
	build->last.value = sv_slice(bytes->data + entry->key.len, entry->value.len);
}

static void
start_streaming(LoadBuild *build)
{
	SstEntry	entry;
	bool		has_last = false;

	build->has_streamed = build->is_streaming = true;
	load_sort_perform(build->sort);
	while (load_sort_next(build->sort, &entry))
	{
		CHECK_FOR_INTERRUPTS();
		if (has_last)
			write_entry(build, &build->last);
		keep_last(build, &entry);
		has_last = true;
	}
	load_sort_reset(build->sort);
}

static void
stop_streaming(LoadBuild *build)
{
	write_entry(build, &build->last);
	end_run(build);
	build->is_streaming = false;
	build->stretch++;
}

/* False: the entry is out of order. */
static bool
stream(LoadBuild *build, const SstEntry *entry)
{
	int			order = sv_slice_compare(build->last.key, entry->key);

	if (order > 0)
		return false;
	if (order < 0)
		write_entry(build, &build->last);
	else if (build->spec.duplicate != NULL)
		build->spec.duplicate(build->spec.duplicate_state, entry->key);
	keep_last(build, entry);
	return true;
}

/* ---- all ---- */

void
load_build_add(LoadBuild *build, SvSlice key, SvSlice value, TimestampTz expires_at)
{
	SstEntry	entry = {.key = key,.value = value,.expires_at = expires_at,.kind = SST_VALUE};

	build->built.given++;
	if (build->is_streaming)
	{
		if (stream(build, &entry))
			return;
		stop_streaming(build);
	}
	load_sort_add(build->sort, &entry);
	if (unlikely(!build->has_streamed && load_sort_bytes(build->sort) >= STREAM_AFTER_BYTES &&
				 load_sort_is_ascending(build->sort)))
		start_streaming(build);
}

void
load_build_finish(LoadBuild *build, LoadBuilt *built)
{
	if (build->is_streaming)
		write_entry(build, &build->last);
	else
		write_sorted(build);
	end_run(build);
	load_sort_end(build->sort);
	build->sort = NULL;
	*built = build->built;
}
