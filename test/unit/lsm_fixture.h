/*
 * lsm_fixture.h
 *		A store of files in memory, and compactions that read and write there.
 */
#ifndef LSM_FIXTURE_H
#define LSM_FIXTURE_H

#include "lsm/lsm_apply.h"
#include "lsm/lsm_walkey.h"
#include "sst_fixture.h"

#define STORE_FILES 20000
#define OBJECT_BYTES 32

typedef struct StoreFile
{
	char		object[OBJECT_BYTES];
	MemFile		file;
	int			opened;			/* by compactions, now */
} StoreFile;

/* Objects by number; their names say the number. */
typedef struct MemStore
{
	int			nfiles;
	StoreFile  *files[STORE_FILES];
	int			open_inputs;
	int			most_open_inputs;
	size_t		longest_read;
	SstWriterOptions options;
	int			fail_at;		/* the fail_at-th call of any kind fails; 0: none */
	int			calls;
	StoreFile  *output;			/* that has begun and not ended */
} MemStore;

static inline void
store_init(MemStore *store)
{
	memset(store, 0, sizeof(*store));
	store->options = (SstWriterOptions) SST_WRITER_DEFAULTS;
	store->options.zstd_level = 0;
	store->options.block_bytes = 256;
}

static inline StoreFile *
store_new(MemStore *store)
{
	StoreFile  *file = must_allocate(sizeof(StoreFile));

	if (store->nfiles == STORE_FILES)
		abort();
	memset(file, 0, sizeof(*file));
	mem_file_init(&file->file);
	sprintf(file->object, "run-%d", store->nfiles);
	store->files[store->nfiles++] = file;
	return file;
}

static inline StoreFile *
store_find(MemStore *store, const char *object)
{
	return store->files[atoi(object + strlen("run-"))];
}

static inline void
store_free(MemStore *store)
{
	for (int i = 0; i < store->nfiles; i++)
	{
		mem_file_free(&store->files[i]->file);
		free(store->files[i]);
	}
	store->nfiles = 0;
}

static inline SvStatus
store_call(MemStore *store, SvError *err)
{
	if (++store->calls == store->fail_at)
		return sv_fail(err, SV_IO, "the store failed");
	return SV_OK;
}

/* The store is found through the file's own state, so reads are counted there. */
static MemStore *reading_store;

static inline SvStatus
store_read(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	SvStatus	status = store_call(reading_store, err);

	if (len > reading_store->longest_read)
		reading_store->longest_read = len;
	return status == SV_OK ? mem_read(state, offset, len, dst, err) : status;
}

static inline SvStatus
io_open_input(void *state, const LsmRun *run, SstSource *source, SvError *err)
{
	MemStore   *store = state;
	StoreFile  *file = store_find(store, run->object);
	SvStatus	status = store_call(store, err);

	if (status != SV_OK)
		return status;
	reading_store = store;
	file->opened++;
	store->open_inputs++;
	if (store->open_inputs > store->most_open_inputs)
		store->most_open_inputs = store->open_inputs;
	*source = (SstSource) {.read = store_read,.state = &file->file,.name = file->object};
	return SV_OK;
}

static inline void
io_close_input(void *state, SstSource *source)
{
	MemStore   *store = state;

	store_find(store, source->name)->opened--;
	store->open_inputs--;
}

static inline SvStatus
io_append(void *state, const void *data, size_t len, SvError *err)
{
	MemStore   *store = state;
	SvStatus	status = store_call(store, err);

	return status == SV_OK ? mem_append(&store->output->file, data, len, err) : status;
}

static inline SvStatus
io_begin_output(void *state, const LsmMergePlan *merge, SstWriterOptions *options, SstSink *sink,
				SvError *err)
{
	MemStore   *store = state;
	SvStatus	status = store_call(store, err);

	(void) merge;
	if (status != SV_OK)
		return status;
	store->output = store_new(store);
	*options = store->options;
	*sink = (SstSink) {.append = io_append,.state = store};
	return SV_OK;
}

static inline SvStatus
io_end_output(void *state, const LsmRun *run, const char **object, SvError *err)
{
	MemStore   *store = state;
	SvStatus	status = store_call(store, err);

	if (status != SV_OK)
		return status;
	store->output->file.summary.file_bytes = run->file_bytes;
	store->output->file.summary.tail_bytes = run->tail_bytes;
	*object = store->output->object;
	store->output = NULL;
	return SV_OK;
}

static inline SvStatus
io_progress(void *state, const LsmCompactCounts *counts, SvError *err)
{
	(void) counts;
	return store_call(state, err);
}

static inline LsmCompactIo
store_io(MemStore *store)
{
	return (LsmCompactIo) {
		.open_input = io_open_input,.close_input = io_close_input,
		.begin_output = io_begin_output,.end_output = io_end_output,
		.progress = io_progress,.state = store
	};
}

#endif							/* LSM_FIXTURE_H */
