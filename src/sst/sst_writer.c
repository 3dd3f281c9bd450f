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
#include "sst/sst_pack.h"
#include "sst/sst_rmi_build.h"
#include "sst/sst_tail.h"
#include "sst/sst_zstd.h"

/* With fewer blocks binary search is as good as a learned index. */
#define MIN_LEARNED_BLOCKS 8

struct SstWriter
{
	const SvAlloc *alloc;
	SstSink		sink;
	SstWriterOptions options;
	int			zstd_level;		/* of the current block */
	bool		may_use_dictionary;
	bool		usable;			/* neither failed nor finished */
	uint64_t	offset;			/* bytes given to the sink */
	SstProperties properties;
	SstBlockBuilder block;
	SstPacker  *packer;
	SstIndexBuilder index;
	SstFilterBuilder filter;
	uint32_t	filter_bits;	/* of the filter, if options say that there is one */
	size_t		last_key_len;
	uint8_t		last_key[SST_MAX_KEY_BYTES];
};

static SvStatus
emit(SstWriter *writer, SvSlice bytes, SvError *err)
{
	writer->offset += bytes.len;
	return writer->sink.append(writer->sink.state, bytes.data, bytes.len, err);
}

static SvStatus
put_stored(void *state, uint32_t block, const SstBlockInfo *info, SvSlice stored, SvError *err)
{
	SstWriter  *writer = state;
	SstBlockInfo placed = *info;

	placed.offset = writer->offset;
	placed.checksum = sv_hash64(stored);
	sst_index_builder_place(&writer->index, block, &placed);
	return emit(writer, stored, err);
}

static SvStatus
check_options(const SstWriterOptions *options, SvError *err)
{
	if (options->block_bytes == 0 || options->block_bytes > SST_FRAME_BYTES)
		return sv_fail(err, SV_INVALID, "block size %u is out of range 1 to %d",
					   options->block_bytes, SST_FRAME_BYTES);
	if (options->filter_bits > SST_FILTER_MAX_BITS)
		return sv_fail(err, SV_INVALID, "%u filter bits per key are out of range 0 to %d",
					   options->filter_bits, SST_FILTER_MAX_BITS);
	if (options->dictionary_bytes != 0 &&
		(options->dictionary_bytes < SST_MIN_DICTIONARY_BYTES ||
		 options->dictionary_bytes > SST_MAX_DICTIONARY_BYTES))
		return sv_fail(err, SV_INVALID, "dictionary size %u is neither 0 nor in range %d to %d",
					   options->dictionary_bytes, SST_MIN_DICTIONARY_BYTES,
					   SST_MAX_DICTIONARY_BYTES);
	return sst_zstd_check_level(options->zstd_level, err);
}

SvStatus
sst_writer_create(SstWriter **writer, const SstWriterOptions *options, const SstSink *sink,
				  const SvAlloc *alloc, SvError *err)
{
	SstPackSink pack_sink = {.put = put_stored};
	SvStatus	status = check_options(options, err);
	SstWriter  *w;

	*writer = NULL;
	if (status != SV_OK)
		return status;
	w = sv_allocate(alloc, sizeof(*w));
	if (w == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for writing a file");
	memset(w, 0, sizeof(*w));
	w->alloc = alloc;
	w->sink = *sink;
	w->options = *options;
	w->zstd_level = options->zstd_level;
	w->may_use_dictionary = true;
	w->usable = true;
	sst_block_builder_init(&w->block, alloc);
	sst_index_builder_init(&w->index, alloc);
	sst_filter_builder_init(&w->filter, alloc);
	w->filter_bits = options->filter_bits;
	pack_sink.state = w;
	status = sst_packer_create(&w->packer, options->dictionary_bytes, &pack_sink, alloc, err);
	if (status != SV_OK)
	{
		sst_writer_destroy(w);
		return status;
	}
	*writer = w;
	return SV_OK;
}

void
sst_writer_destroy(SstWriter *writer)
{
	if (writer == NULL)
		return;
	sst_packer_destroy(writer->packer);
	sst_filter_builder_free(&writer->filter);
	sst_index_builder_free(&writer->index);
	sst_block_builder_free(&writer->block);
	sv_release(writer->alloc, writer);
}

/* Ends the current block, if it has entries. */
static SvStatus
flush_block(SstWriter *writer, SvError *err)
{
	SstRawBlock block = {
		.number = writer->index.count - 1,
		.entries = (uint16_t) sst_block_builder_entries(&writer->block),
		.dictionary = writer->may_use_dictionary,
		.level = writer->zstd_level
	};
	SvStatus	status;

	if (block.entries == 0)
		return SV_OK;
	status = sst_block_builder_finish(&writer->block, &block.raw, err);
	if (status == SV_OK)
		status = sst_packer_add(writer->packer, &block, err);
	sst_block_builder_reset(&writer->block);
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
		sst_block_builder_bytes(&writer->block, entry) > writer->options.block_bytes)
		status = flush_block(writer, err);
	if (status == SV_OK && sst_block_builder_entries(&writer->block) == 0)
		status = sst_index_builder_begin(&writer->index, entry->key,
										 sv_slice(writer->last_key, writer->last_key_len), err);
	if (status == SV_OK)
		status = sst_block_builder_add(&writer->block, entry, err);
	if (status == SV_OK && writer->options.filter_bits > 0)
		status = sst_filter_builder_add(&writer->filter, sv_hash64(entry->key), err);
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
	if (sst_block_builder_bytes(&writer->block, NULL) >= writer->options.block_bytes)
		status = flush_block(writer, err);
	return status;
}

static SvStatus
check_usable(const SstWriter *writer, SvError *err)
{
	if (writer->usable)
		return SV_OK;
	return sv_fail(err, SV_INVALID, "file was already finished or given up");
}

SvStatus
sst_writer_add(SstWriter *writer, const SstEntry *entry, SvError *err)
{
	SvStatus	status = check_usable(writer, err);

	if (status == SV_OK)
		status = add_entry(writer, entry, err);
	writer->usable = status == SV_OK;
	return status;
}

SvStatus
sst_writer_set_level(SstWriter *writer, int zstd_level, SvError *err)
{
	SvStatus	status = check_usable(writer, err);

	if (status == SV_OK)
		status = sst_zstd_check_level(zstd_level, err);
	if (status == SV_OK && zstd_level != writer->zstd_level)
		status = flush_block(writer, err);
	writer->zstd_level = zstd_level;
	writer->usable = status == SV_OK;
	return status;
}

SvStatus
sst_writer_set_dictionary(SstWriter *writer, bool may_use, SvError *err)
{
	SvStatus	status = check_usable(writer, err);

	if (status == SV_OK && may_use != writer->may_use_dictionary)
		status = flush_block(writer, err);
	writer->may_use_dictionary = may_use;
	writer->usable = status == SV_OK;
	return status;
}

/* -------------------------------------------------------------------- tail */

static SvSlice
low_key(const void *state, uint32_t i)
{
	return sst_index_builder_low_key(&((const SstWriter *) state)->index, i);
}

static SvStatus
append_filter(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	SvStatus	status = sst_filter_builder_finish(&writer->filter, writer->filter_bits,
												   tail, err);

	sst_filter_builder_free(&writer->filter);
	return status;
}

static SvStatus
append_learned_index(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	SstRmiKeys	keys = {low_key, writer, writer->index.count};
	SstRmiOptions options = {.fences = true};

	return keys.count < MIN_LEARNED_BLOCKS ? SV_OK : sst_rmi_build(&keys, &options, tail, err);
}

static SvStatus
append_dictionary(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	SvSlice		dictionary = sst_packer_dictionary(writer->packer);

	return dictionary.len == 0 ? SV_OK : sst_dictionary_append(tail, dictionary, err);
}

static SvStatus
append_block_index(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	return sst_index_builder_finish(&writer->index,
									sv_slice(writer->last_key, writer->last_key_len), tail, err);
}

static SvStatus
append_properties(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	return sst_properties_append(tail, &writer->properties, err);
}

static SvStatus
append_part(SstWriter *writer, SvStatus (*append) (SstWriter *, SvBuffer *, SvError *),
			SvBuffer *tail, SstHandle *handle, SvError *err)
{
	SvStatus	status = sst_tail_align(tail, err);

	handle->offset = writer->offset + tail->len;
	if (status == SV_OK)
		status = append(writer, tail, err);
	handle->length = writer->offset + tail->len - handle->offset;
	if (status == SV_OK && tail->len > SST_MAX_TAIL_BYTES - SST_FOOTER_BYTES)
		status = sv_fail(err, SV_INVALID, "too many entries for one file: %llu",
						 (unsigned long long) writer->properties.entries);
	return status;
}

static SvStatus
build_tail(SstWriter *writer, SvBuffer *tail, SvError *err)
{
	SstFooter	footer;
	SvStatus	status;

	status = append_part(writer, append_filter, tail, &footer.filter, err);
	if (status == SV_OK)
		status = append_part(writer, append_learned_index, tail, &footer.learned_index, err);
	if (status == SV_OK)
		status = append_part(writer, append_dictionary, tail, &footer.dictionary, err);
	if (status == SV_OK)
		status = append_part(writer, append_block_index, tail, &footer.block_index, err);
	if (status == SV_OK)
		status = append_part(writer, append_properties, tail, &footer.properties, err);
	return status == SV_OK ? sst_footer_append(tail, &footer, err) : status;
}

static SvStatus
finish_file(SstWriter *writer, SstSummary *summary, SvError *err)
{
	SvBuffer	tail;
	SvStatus	status = flush_block(writer, err);

	if (status == SV_OK)
		status = sst_packer_flush(writer->packer, err);
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

void
sst_writer_set_filter_bits(SstWriter *writer, uint32_t filter_bits)
{
	if (writer->options.filter_bits > 0 && filter_bits <= SST_FILTER_MAX_BITS)
		writer->filter_bits = filter_bits;
}

SvStatus
sst_writer_finish(SstWriter *writer, SstSummary *summary, SvError *err)
{
	SvStatus	status = check_usable(writer, err);

	writer->usable = false;
	return status == SV_OK ? finish_file(writer, summary, err) : status;
}
