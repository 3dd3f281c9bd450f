/*
 * sst_writer.c
 *		Entries in, an SST out: blocks as they fill, then the tail.
 */
#include "sst/sst_writer.h"

#include "base/sv_buffer.h"
#include "base/sv_hash.h"
#include "sst/sst_block.h"
#include "sst/sst_format.h"
#include "sst/sst_index.h"
#include "sst/sst_zstd.h"

struct SstWriter
{
	const SvAlloc *alloc;
	SstSink		sink;
	uint32_t	block_bytes;
	bool		usable;			/* neither failed nor finished */
	uint64_t	offset;			/* bytes given to the sink */
	SstProperties properties;
	SstBlockBuilder block;
	SstIndexBuilder index;
	SstCompressor *compressor;	/* NULL: blocks are stored raw */
	SvBuffer	compressed;
	size_t		last_key_len;
	uint8_t		last_key[SST_MAX_KEY_BYTES];
};

SvStatus
sst_writer_create(SstWriter **writer, const SstWriterOptions *options, const SstSink *sink,
				  const SvAlloc *alloc, SvError *err)
{
	SstWriter  *w;

	*writer = NULL;
	if (options->block_bytes == 0 || options->block_bytes > SST_FRAME_BYTES)
		return sv_fail(err, SV_INVALID, "block size %u is out of range 1 to %d",
					   options->block_bytes, SST_FRAME_BYTES);
	w = sv_allocate(alloc, sizeof(*w));
	if (w == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for writing a file");
	memset(w, 0, sizeof(*w));
	w->alloc = alloc;
	w->sink = *sink;
	w->block_bytes = options->block_bytes;
	w->usable = true;
	sst_block_builder_init(&w->block, alloc);
	sst_index_builder_init(&w->index, alloc);
	sv_buffer_init(&w->compressed, alloc);
	if (options->zstd_level != 0)
	{
		SvStatus	status = sst_compressor_create(&w->compressor, options->zstd_level,
												   alloc, err);

		if (status != SV_OK)
		{
			sst_writer_destroy(w);
			return status;
		}
	}
	*writer = w;
	return SV_OK;
}

void
sst_writer_destroy(SstWriter *writer)
{
	if (writer == NULL)
		return;
	sst_compressor_destroy(writer->compressor);
	sv_buffer_free(&writer->compressed);
	sst_index_builder_free(&writer->index);
	sst_block_builder_free(&writer->block);
	sv_release(writer->alloc, writer);
}

static SvStatus
emit(SstWriter *writer, SvSlice bytes, SvError *err)
{
	writer->offset += bytes.len;
	return writer->sink.append(writer->sink.state, bytes.data, bytes.len, err);
}

/* What of a raw block is stored: itself, unless compression saves more than an eighth. */
static SvStatus
compress_block(SstWriter *writer, SvSlice raw, SvSlice *stored, SstBlockInfo *info, SvError *err)
{
	SvStatus	status;

	*stored = raw;
	if (writer->compressor == NULL)
		return SV_OK;
	status = sst_compress(writer->compressor, raw, raw.len - raw.len / 8 - 1,
						  &writer->compressed, err);
	if (status == SV_OK && writer->compressed.len > 0)
	{
		*stored = sv_buffer_slice(&writer->compressed);
		info->flags |= SST_BLOCK_ZSTD;
	}
	return status;
}

/* Ends the current block, if it has entries. */
static SvStatus
flush_block(SstWriter *writer, SvError *err)
{
	SstBlockInfo info = {.offset = writer->offset};
	SvSlice		raw;
	SvSlice		stored;
	SvStatus	status;

	info.entries = (uint16_t) sst_block_builder_entries(&writer->block);
	if (info.entries == 0)
		return SV_OK;
	status = sst_block_builder_finish(&writer->block, &raw, err);
	if (status != SV_OK)
		return status;
	info.raw_bytes = (uint32_t) raw.len;
	if (raw.len > SST_FRAME_BYTES)
		info.flags |= SST_BLOCK_LARGE;

	status = compress_block(writer, raw, &stored, &info, err);
	if (status != SV_OK)
		return status;
	info.stored_bytes = (uint32_t) stored.len;
	info.checksum = sv_hash64(stored);
	status = sst_index_builder_end(&writer->index, &info, err);
	if (status == SV_OK)
		status = emit(writer, stored, err);

	sst_block_builder_reset(&writer->block);
	if (writer->compressed.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&writer->compressed);
	return status;
}

static SvStatus
check_entry(const SstWriter *writer, const SstEntry *entry, SvError *err)
{
	SvSlice		last_key = sv_slice(writer->last_key, writer->last_key_len);

	if (entry->kind != SST_VALUE && entry->kind != SST_TOMBSTONE)
		return sv_fail(err, SV_INVALID, "unknown kind of entry: %d", (int) entry->kind);
	if (entry->key.len > SST_MAX_KEY_BYTES)
		return sv_fail(err, SV_INVALID, "key of %zu bytes is longer than %d bytes",
					   entry->key.len, SST_MAX_KEY_BYTES);
	if (entry->value.len > SST_MAX_VALUE_BYTES)
		return sv_fail(err, SV_INVALID, "value of %zu bytes is longer than %d bytes",
					   entry->value.len, SST_MAX_VALUE_BYTES);
	if (entry->kind == SST_TOMBSTONE && entry->value.len > 0)
		return sv_fail(err, SV_INVALID, "tombstone has a value");
	if (writer->properties.entries > 0 && sv_slice_compare(entry->key, last_key) <= 0)
		return sv_fail(err, SV_INVALID, "keys are not in strictly ascending order");
	return SV_OK;
}

static SvStatus
add_entry(SstWriter *writer, const SstEntry *entry, SvError *err)
{
	SvStatus	status = check_entry(writer, entry, err);

	if (status == SV_OK &&
		sst_block_builder_bytes(&writer->block, entry) > writer->block_bytes)
		status = flush_block(writer, err);
	if (status == SV_OK && sst_block_builder_entries(&writer->block) == 0)
		status = sst_index_builder_begin(&writer->index, entry->key,
										 sv_slice(writer->last_key, writer->last_key_len), err);
	if (status == SV_OK)
		status = sst_block_builder_add(&writer->block, entry, err);
	if (status != SV_OK)
		return status;

	if (entry->key.len > 0)
		memcpy(writer->last_key, entry->key.data, entry->key.len);
	writer->last_key_len = entry->key.len;
	writer->properties.entries++;
	if (entry->kind == SST_TOMBSTONE)
		writer->properties.tombstones++;
	writer->properties.raw_bytes += entry->key.len + entry->value.len;

	/* A full block leaves now, which matters for the memory of a large one. */
	if (sst_block_builder_bytes(&writer->block, NULL) >= writer->block_bytes)
		status = flush_block(writer, err);
	return status;
}

SvStatus
sst_writer_add(SstWriter *writer, const SstEntry *entry, SvError *err)
{
	SvStatus	status;

	if (!writer->usable)
		return sv_fail(err, SV_INVALID, "file was already finished or given up");
	status = add_entry(writer, entry, err);
	writer->usable = status == SV_OK;
	return status;
}

/* Ends the part that began at handle->offset, with what tail holds by now. */
static void
end_part(const SstWriter *writer, const SvBuffer *tail, SstHandle *handle)
{
	handle->length = writer->offset + tail->len - handle->offset;
}

static SvStatus
build_tail(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	SvSlice		last_key = sv_slice(writer->last_key, writer->last_key_len);
	SstFooter	footer;
	SvStatus	status;

	footer.filter = (SstHandle) {writer->offset, 0};
	footer.learned_index = footer.filter;
	footer.block_index = footer.filter;
	status = sst_index_builder_finish(&writer->index, last_key, tail, err);
	if (status != SV_OK)
		return status;
	end_part(writer, tail, &footer.block_index);

	footer.properties.offset = writer->offset + tail->len;
	status = sst_properties_append(tail, &writer->properties, err);
	if (status != SV_OK)
		return status;
	end_part(writer, tail, &footer.properties);
	return sst_footer_append(tail, &footer, err);
}

static SvStatus
finish_file(SstWriter *writer, SstSummary *summary, SvError *err)
{
	SvBuffer	tail;
	SvStatus	status = flush_block(writer, err);

	if (status != SV_OK)
		return status;
	sv_buffer_init(&tail, writer->alloc);
	status = build_tail(writer, &tail, err);
	if (status == SV_OK)
		status = emit(writer, sv_buffer_slice(&tail), err);
	summary->tail_bytes = tail.len;
	sv_buffer_free(&tail);
	summary->file_bytes = writer->offset;
	summary->entries = writer->properties.entries;
	summary->tombstones = writer->properties.tombstones;
	summary->raw_bytes = writer->properties.raw_bytes;
	return status;
}

SvStatus
sst_writer_finish(SstWriter *writer, SstSummary *summary, SvError *err)
{
	if (!writer->usable)
		return sv_fail(err, SV_INVALID, "file was already finished or given up");
	writer->usable = false;
	return finish_file(writer, summary, err);
}
