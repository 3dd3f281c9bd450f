/*
 * lsm_input.c
 *		One buffer of stored bytes, refilled at the first block that is not in it.
 */
#include "lsm/lsm_input.h"

struct LsmInput
{
	const SvAlloc *alloc;
	SstSource	source;
	SvBuffer	tail_bytes;		/* tail points into it */
	SstTail		tail;
	SstLoader  *loader;
	size_t		read_ahead_bytes;
	uint64_t	limit;			/* offset where reading ahead ends */
	uint64_t   *bytes_read;
	SvBuffer	ahead;			/* bytes of the file ... */
	uint64_t	ahead_at;		/* ... from this offset on */
};

static SvStatus
read_bytes(LsmInput *input, uint64_t offset, size_t len, SvBuffer *into, SvError *err)
{
	SvStatus	status;

	sv_buffer_reset(into);
	status = sv_buffer_reserve(into, len, err);
	if (status == SV_OK)
		status = input->source.read(input->source.state, offset, len, into->data, err);
	if (status != SV_OK)
		return status;
	into->len = len;
	*input->bytes_read += len;
	return SV_OK;
}

static SvStatus
read_tail(LsmInput *input, uint64_t file_bytes, uint64_t tail_bytes, SvError *err)
{
	SvStatus	status = sst_tail_check_size(file_bytes, tail_bytes, input->source.name, err);

	if (status == SV_OK)
		status = sst_loader_create(&input->loader, input->alloc, err);
	if (status == SV_OK)
		status = read_bytes(input, file_bytes - tail_bytes, (size_t) tail_bytes, &input->tail_bytes,
							err);
	if (status == SV_OK)
		status = sst_tail_parse(&input->tail, sv_buffer_slice(&input->tail_bytes), file_bytes,
								input->source.name, err);
	return status;
}

SvStatus
lsm_input_open(LsmInput **input, const SstSource *source, uint64_t file_bytes, uint64_t tail_bytes,
			   size_t read_ahead_bytes, uint64_t *bytes_read, const SvAlloc *alloc, SvError *err)
{
	LsmInput   *opened = sv_allocate(alloc, sizeof(LsmInput));
	SvStatus	status;

	*input = NULL;
	if (opened == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", source->name);
	memset(opened, 0, sizeof(LsmInput));
	opened->alloc = alloc;
	opened->source = *source;
	opened->read_ahead_bytes = read_ahead_bytes;
	opened->bytes_read = bytes_read;
	sv_buffer_init(&opened->tail_bytes, alloc);
	sv_buffer_init(&opened->ahead, alloc);
	status = read_tail(opened, file_bytes, tail_bytes, err);
	if (status != SV_OK)
	{
		lsm_input_close(opened);
		return status;
	}
	opened->limit = opened->tail.offset;
	*input = opened;
	return SV_OK;
}

void
lsm_input_close(LsmInput *input)
{
	if (input == NULL)
		return;
	sst_loader_destroy(input->loader);
	sv_buffer_free(&input->ahead);
	sv_buffer_free(&input->tail_bytes);
	sv_release(input->alloc, input);
}

void
lsm_input_limit(LsmInput *input, const SvSlice *key)
{
	uint32_t	blocks = key == NULL ? input->tail.index.count :
		sst_tail_blocks_up_to(&input->tail, *key);

	input->limit = blocks == input->tail.index.count ? input->tail.offset :
		sst_index_block(&input->tail.index, blocks).offset;
}

/* Makes sure that the buffer has the block's stored bytes. */
static SvStatus
read_ahead(LsmInput *input, const SstBlockInfo *info, SvError *err)
{
	uint64_t	bytes = input->read_ahead_bytes;

	if (info->offset >= input->ahead_at &&
		info->offset + info->stored_bytes <= input->ahead_at + input->ahead.len)
		return SV_OK;
	if (info->offset + bytes > input->limit)
		bytes = input->limit > info->offset ? input->limit - info->offset : 0;
	if (bytes < info->stored_bytes)
		bytes = info->stored_bytes;
	/* What a large value took is not kept for the small ones behind it. */
	if (input->ahead.capacity > input->read_ahead_bytes && bytes <= input->read_ahead_bytes)
		sv_buffer_free(&input->ahead);
	input->ahead_at = info->offset;
	return read_bytes(input, info->offset, (size_t) bytes, &input->ahead, err);
}

static SvStatus
fetch_block(void *state, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err)
{
	LsmInput   *input = state;
	SstBlockInfo info = sst_index_block(&input->tail.index, block);
	SvSlice		stored;
	const char *problem;
	SvStatus	status = read_ahead(input, &info, err);

	sv_buffer_reset(raw);
	if (status == SV_OK)
		status = sv_buffer_reserve(raw, info.raw_bytes, err);
	if (status != SV_OK)
		return status;
	stored = sv_slice(input->ahead.data + (info.offset - input->ahead_at), info.stored_bytes);
	status = sst_load_stored(input->loader, &input->tail, input->source.name, block, stored,
							 raw->data, err);
	if (status != SV_OK)
		return status;
	raw->len = info.raw_bytes;
	problem = sst_block_parse(parsed, sv_buffer_slice(raw));
	return problem == NULL ? SV_OK :
		sst_block_damaged(&input->tail, input->source.name, block, problem, err);
}

SstBlockSource
lsm_input_source(LsmInput *input)
{
	return (SstBlockSource) {
		.tail = &input->tail,.fetch = fetch_block,.state = input,.name = input->source.name
	};
}
