/*
 * lsm_output.c
 *		See lsm_output.h.
 */
#include "lsm/lsm_output.h"

void
lsm_output_init(LsmOutputFile *file, const SvAlloc *alloc)
{
	*file = (LsmOutputFile) {.alloc = alloc};
	sv_buffer_init(&file->min_key, alloc);
	sv_buffer_init(&file->max_key, alloc);
}

static SvStatus
append_to_sink(void *state, const void *data, size_t len, SvError *err)
{
	LsmOutputFile *file = state;
	SvStatus	status = file->sink.append(file->sink.state, data, len, err);

	if (status == SV_OK)
		file->written += len;
	return status;
}

SvStatus
lsm_output_begin(LsmOutputFile *file, int32_t table_id, const SstWriterOptions *options,
				 const SstSink *sink, SvError *err)
{
	SstSink		counting = {.append = append_to_sink,.state = file};

	file->options = *options;
	file->sink = *sink;
	file->written = 0;
	lsm_part_init(&file->part, table_id);
	return sst_writer_create(&file->writer, &file->options, &counting, file->alloc, err);
}

static SvStatus
keep_key(SvBuffer *buffer, SvSlice key, SvError *err)
{
	sv_buffer_reset(buffer);
	return key.len == 0 ? SV_OK : sv_buffer_append(buffer, key.data, key.len, err);
}

SvStatus
lsm_output_add(LsmOutputFile *file, const SstEntry *entry, SvError *err)
{
	SvStatus	status = file->part.entries == 0 ? keep_key(&file->min_key, entry->key, err) : SV_OK;

	if (status == SV_OK)
		status = keep_key(&file->max_key, entry->key, err);
	if (status == SV_OK)
		status = sst_writer_add(file->writer, entry, err);
	if (status == SV_OK)
		lsm_part_count(&file->part, entry);
	return status;
}

bool
lsm_output_is_full(const LsmOutputFile *file, uint64_t run_bytes)
{
	uint64_t	filter_bytes = file->part.entries * file->options.filter_bits / 8;

	return file->written + filter_bytes >= run_bytes;
}

SvStatus
lsm_output_end(LsmOutputFile *file, SstSummary *summary, SvError *err)
{
	SvStatus	status = sst_writer_finish(file->writer, summary, err);

	sst_writer_destroy(file->writer);
	file->writer = NULL;
	return status;
}

void
lsm_output_free(LsmOutputFile *file)
{
	sst_writer_destroy(file->writer);
	file->writer = NULL;
	sv_buffer_free(&file->min_key);
	sv_buffer_free(&file->max_key);
}
