/*
 * sst_fixture.h
 *		Files in memory, entries to put into them, and an allocator that fails.
 *
 * For the tests of src/sst; everything that goes wrong here, other than in
 * what is tested, ends the program.
 */
#ifndef SST_FIXTURE_H
#define SST_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/sv_buffer.h"
#include "sst/sst_reader.h"
#include "sst/sst_writer.h"

static inline void *
must_allocate(size_t bytes)
{
	void	   *p = malloc(bytes == 0 ? 1 : bytes);

	if (p == NULL)
		abort();
	return p;
}

/* A file, and a count of the reads that met it. */
typedef struct MemFile
{
	SvBuffer	bytes;
	SstSummary	summary;
	int			reads;
	uint64_t	last_read_at;
} MemFile;

static inline SvStatus
mem_append(void *state, const void *data, size_t len, SvError *err)
{
	return sv_buffer_append(&((MemFile *) state)->bytes, data, len, err);
}

static inline SvStatus
mem_read(void *state, uint64_t offset, size_t len, void *dst, SvError *err)
{
	MemFile    *file = state;

	file->reads++;
	file->last_read_at = offset;
	if (offset > file->bytes.len || len > file->bytes.len - offset)
		return sv_fail(err, SV_IO, "read beyond the end");
	memcpy(dst, file->bytes.data + offset, len);
	return SV_OK;
}

static inline void
mem_file_init(MemFile *file)
{
	memset(file, 0, sizeof(*file));
	sv_buffer_init(&file->bytes, &sv_malloc_alloc);
}

static inline void
mem_file_free(MemFile *file)
{
	sv_buffer_free(&file->bytes);
}

static inline SstSink
mem_sink(MemFile *file)
{
	return (SstSink) {mem_append, file};
}

static inline SstSource
mem_source(MemFile *file)
{
	return (SstSource) {mem_read, file, "test-object"};
}

static inline SvStatus
mem_open(SstReader **reader, MemFile *file, const SvAlloc *alloc, SvError *err)
{
	SstSource	source = mem_source(file);

	return sst_reader_open(reader, &source, file->summary.file_bytes,
						   file->summary.tail_bytes, alloc, err);
}

static inline SvStatus
mem_iterate(SstIterator **it, SstReader *reader, const SvSlice *low, const SvSlice *high,
			bool backward, const SvAlloc *alloc, SvError *err)
{
	SstBlockSource source = sst_reader_block_source(reader);

	return sst_iterator_open(it, &source, low, high, backward, alloc, err);
}

/* Writes the entries into file, which is emptied first. */
static inline SvStatus
write_entries(MemFile *file, const SstEntry *entries, size_t n, SstWriterOptions options,
			  const SvAlloc *alloc, SvError *err)
{
	SstWriter  *writer;
	SstSink		sink = mem_sink(file);
	SvStatus	status;

	sv_buffer_reset(&file->bytes);
	status = sst_writer_create(&writer, &options, &sink, alloc, err);
	for (size_t i = 0; i < n && status == SV_OK; i++)
		status = sst_writer_add(writer, &entries[i], err);
	if (status == SV_OK)
		status = sst_writer_finish(writer, &file->summary, err);
	sst_writer_destroy(writer);
	return status;
}

static inline bool
same_entry(const SstEntry *a, const SstEntry *b)
{
	return a->kind == b->kind && a->expires_at == b->expires_at &&
		sv_slice_equal(a->key, b->key) && sv_slice_equal(a->value, b->value);
}

static inline SstEntry
value_entry(const char *key, const char *value, int64_t expires_at)
{
	return (SstEntry)
	{
		.key = sv_slice(key, strlen(key)),
		.value = sv_slice(value, strlen(value)),
		.expires_at = expires_at,
		.kind = SST_VALUE
	};
}

static inline SstEntry
tombstone_entry(const char *key)
{
	return (SstEntry)
	{
		.key = sv_slice(key, strlen(key)),
		.value = sv_slice(NULL, 0),
		.expires_at = SST_NEVER_EXPIRES,
		.kind = SST_TOMBSTONE
	};
}

/* xorshift64*: the same numbers everywhere for the same seed, which is not 0. */
static inline uint64_t
next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* malloc that fails when countdown, counting allocations, reaches 0. */
typedef struct FailingAlloc
{
	long		countdown;
	long		outstanding;
	bool		failed;
} FailingAlloc;

static inline bool
fails_now(FailingAlloc *state)
{
	if (state->countdown-- > 0)
		return false;
	state->failed = true;
	return true;
}

static inline void *
failing_allocate(void *state, size_t bytes)
{
	if (fails_now(state))
		return NULL;
	((FailingAlloc *) state)->outstanding++;
	return must_allocate(bytes);
}

static inline void *
failing_resize(void *state, void *ptr, size_t bytes)
{
	void	   *resized;

	if (fails_now(state))
		return NULL;
	if (ptr == NULL)
		((FailingAlloc *) state)->outstanding++;
	resized = realloc(ptr, bytes);
	if (resized == NULL)
		abort();
	return resized;
}

static inline void
failing_release(void *state, void *ptr)
{
	if (ptr != NULL)
		((FailingAlloc *) state)->outstanding--;
	free(ptr);
}

static inline SvAlloc
failing_alloc(FailingAlloc *state)
{
	return (SvAlloc) {failing_allocate, failing_resize, failing_release, state};
}

#endif							/* SST_FIXTURE_H */
