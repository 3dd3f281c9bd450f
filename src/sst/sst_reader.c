/*
 * sst_reader.c
 *		A tail and a loader of one's own.
 */
#include "sst/sst_reader.h"

#include "base/sv_hash.h"

struct SstReader
{
	const SvAlloc *alloc;
	SstSource	source;
	SvBuffer	bytes;			/* tail points into it */
	SstTail		tail;
	SstLoader  *loader;
};

static SvStatus
read_tail(SstReader *reader, uint64_t file_bytes, size_t tail_bytes, SvError *err)
{
	SvStatus	status = sv_buffer_reserve(&reader->bytes, tail_bytes, err);

	if (status == SV_OK)
		status = reader->source.read(reader->source.state, file_bytes - tail_bytes, tail_bytes,
									 reader->bytes.data, err);
	if (status != SV_OK)
		return status;
	reader->bytes.len = tail_bytes;
	return sst_tail_parse(&reader->tail, sv_buffer_slice(&reader->bytes), file_bytes,
						  reader->source.name, err);
}

SvStatus
sst_reader_open(SstReader **reader, const SstSource *source, uint64_t file_bytes,
				uint64_t tail_bytes, const SvAlloc *alloc, SvError *err)
{
	SstReader  *r;
	SvStatus	status = sst_tail_check_size(file_bytes, tail_bytes, source->name, err);

	*reader = NULL;
	if (status != SV_OK)
		return status;
	r = sv_allocate(alloc, sizeof(*r));
	if (r == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for opening object \"%s\"",
					   source->name);
	memset(r, 0, sizeof(*r));
	r->alloc = alloc;
	r->source = *source;
	sv_buffer_init(&r->bytes, alloc);
	status = sst_loader_create(&r->loader, alloc, err);
	if (status == SV_OK)
		status = read_tail(r, file_bytes, (size_t) tail_bytes, err);
	if (status != SV_OK)
	{
		sst_reader_close(r);
		return status;
	}
	*reader = r;
	return SV_OK;
}

void
sst_reader_close(SstReader *reader)
{
	if (reader == NULL)
		return;
	sst_loader_destroy(reader->loader);
	sv_buffer_free(&reader->bytes);
	sv_release(reader->alloc, reader);
}

const SstTail *
sst_reader_tail(const SstReader *reader)
{
	return &reader->tail;
}

size_t
sst_reader_memory(const SstReader *reader)
{
	return sizeof(*reader) + reader->bytes.capacity + sst_loader_memory(reader->loader);
}

static SvStatus
fetch_block(void *state, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err)
{
	SstReader  *reader = state;
	uint32_t	raw_bytes = sst_index_block(&reader->tail.index, block).raw_bytes;
	const char *problem;
	SvStatus	status;

	sv_buffer_reset(raw);
	status = sv_buffer_reserve(raw, raw_bytes, err);
	if (status == SV_OK)
		status = sst_load_block(reader->loader, &reader->tail, &reader->source, block, raw->data,
								err);
	if (status != SV_OK)
		return status;
	raw->len = raw_bytes;
	problem = sst_block_parse(parsed, sv_buffer_slice(raw));
	return problem == NULL ? SV_OK :
		sst_block_damaged(&reader->tail, reader->source.name, block, problem, err);
}

SstBlockSource
sst_reader_block_source(SstReader *reader)
{
	return (SstBlockSource) {
		.tail = &reader->tail,.fetch = fetch_block,.state = reader,.name = reader->source.name
	};
}

SvStatus
sst_reader_get(SstReader *reader, SvSlice key, SstEntry *entry, SvBuffer *scratch, SvError *err)
{
	uint64_t	hash = sv_hash64(key);
	uint32_t	block;
	SstBlock	parsed;
	bool		found;
	const char *problem;
	SvStatus	status;

	sv_buffer_reset(scratch);
	if (!sst_filter_may_have(&reader->tail.filter, hash))
		return SV_NOT_FOUND;
	block = sst_tail_locate(&reader->tail, key);
	if (block == SST_NO_BLOCK)
		return SV_NOT_FOUND;
	status = fetch_block(reader, block, scratch, &parsed, err);
	if (status != SV_OK)
		return status;
	problem = sst_block_find(&parsed, key, hash, &found, entry);
	if (problem != NULL)
		return sst_block_damaged(&reader->tail, reader->source.name, block, problem, err);
	return found ? SV_OK : SV_NOT_FOUND;
}
