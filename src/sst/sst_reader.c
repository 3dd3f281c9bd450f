/*
 * sst_reader.c
 *		Opening an SST, fetching its blocks, and looking up a key.
 */
#include "sst/sst_reader.h"

#include <inttypes.h>

#include "base/sv_hash.h"
#include "sst/sst_fetch.h"
#include "sst/sst_format.h"
#include "sst/sst_zstd.h"

struct SstReader
{
	const SvAlloc *alloc;
	SstSource	source;
	uint64_t	tail_offset;
	SvBuffer	tail;			/* index points into it */
	SstIndex	index;
	SstProperties properties;
	SstDecompressor *decompressor;	/* made for the first compressed block */
	SvBuffer	stored;			/* a compressed block, while it is decompressed */
};

static SvStatus
damaged_tail(const SstReader *reader, const char *problem, SvError *err)
{
	return sv_fail(err, SV_CORRUPT, "corrupted tail at offset %" PRIu64 " of object \"%s\": %s",
				   reader->tail_offset, reader->source.name, problem);
}

SvStatus
sst_reader_damaged(const SstReader *reader, uint32_t block, const char *problem, SvError *err)
{
	return sv_fail(err, SV_CORRUPT,
				   "corrupted block %" PRIu32 " at offset %" PRIu64 " of object \"%s\": %s",
				   block, sst_index_block(&reader->index, block).offset,
				   reader->source.name, problem);
}

static SvStatus
read_into(SstReader *reader, uint64_t offset, size_t len, SvBuffer *buf, SvError *err)
{
	SvStatus	status;

	sv_buffer_reset(buf);
	status = sv_buffer_reserve(buf, len, err);
	if (status == SV_OK)
		status = reader->source.read(reader->source.state, offset, len, buf->data, err);
	if (status == SV_OK)
		buf->len = len;
	return status;
}

/* The bytes of a part that sst_footer_decode found to be inside the tail. */
static SvSlice
part_of_tail(const SstReader *reader, SstHandle handle)
{
	return sv_slice(reader->tail.data + (handle.offset - reader->tail_offset),
					(size_t) handle.length);
}

/* A filter or learned index is passed over: every lookup is right without it. */
static SvStatus
parse_tail(SstReader *reader, SvError *err)
{
	SvSlice		tail = sv_buffer_slice(&reader->tail);
	SstFooter	footer;
	uint32_t	version;
	const char *problem = sst_tail_check(tail, &version);

	if (problem != NULL)
		return damaged_tail(reader, problem, err);
	if (version > SST_VERSION)
		return sv_fail(err, SV_UNSUPPORTED,
					   "object \"%s\" has format version %" PRIu32 ", newer than version %d",
					   reader->source.name, version, SST_VERSION);

	problem = sst_footer_decode(tail, reader->tail_offset, &footer);
	if (problem == NULL)
		problem = sst_properties_decode(part_of_tail(reader, footer.properties),
										&reader->properties);
	if (problem == NULL)
		problem = sst_index_parse(&reader->index, part_of_tail(reader, footer.block_index),
								  reader->tail_offset, reader->properties.entries);
	return problem == NULL ? SV_OK : damaged_tail(reader, problem, err);
}

SvStatus
sst_reader_open(SstReader **reader, const SstSource *source, uint64_t file_bytes,
				uint64_t tail_bytes, const SvAlloc *alloc, SvError *err)
{
	SstReader  *r;
	SvStatus	status;

	*reader = NULL;
	if (tail_bytes > file_bytes || tail_bytes < SST_TRAILER_BYTES ||
		tail_bytes > SST_MAX_TAIL_BYTES)
		return sv_fail(err, SV_CORRUPT,
					   "object \"%s\" of %" PRIu64 " bytes cannot have a tail of %" PRIu64 " bytes",
					   source->name, file_bytes, tail_bytes);
	r = sv_allocate(alloc, sizeof(*r));
	if (r == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for opening object \"%s\"",
					   source->name);
	memset(r, 0, sizeof(*r));
	r->alloc = alloc;
	r->source = *source;
	r->tail_offset = file_bytes - tail_bytes;
	sv_buffer_init(&r->tail, alloc);
	sv_buffer_init(&r->stored, alloc);

	status = read_into(r, r->tail_offset, (size_t) tail_bytes, &r->tail, err);
	if (status == SV_OK)
		status = parse_tail(r, err);
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
	sst_decompressor_destroy(reader->decompressor);
	sv_buffer_free(&reader->stored);
	sv_buffer_free(&reader->tail);
	sv_release(reader->alloc, reader);
}

uint64_t
sst_reader_entries(const SstReader *reader)
{
	return reader->properties.entries;
}

size_t
sst_reader_memory(const SstReader *reader)
{
	return sizeof(*reader) + reader->tail.capacity + reader->stored.capacity +
		sst_decompressor_memory(reader->decompressor);
}

const SvAlloc *
sst_reader_alloc(const SstReader *reader)
{
	return reader->alloc;
}

const SstIndex *
sst_reader_index(const SstReader *reader)
{
	return &reader->index;
}

/* Reads a block's stored bytes into *buf and compares their checksum. */
static SvStatus
read_stored(SstReader *reader, uint32_t block, const SstBlockInfo *info, SvBuffer *buf,
			SvError *err)
{
	SvStatus	status = read_into(reader, info->offset, info->stored_bytes, buf, err);

	if (status == SV_OK && sv_hash64(sv_buffer_slice(buf)) != info->checksum)
		status = sst_reader_damaged(reader, block, "checksum does not match", err);
	return status;
}

/* Reads a compressed block and decompresses it into *raw. */
static SvStatus
read_compressed(SstReader *reader, uint32_t block, const SstBlockInfo *info, SvBuffer *raw,
				SvError *err)
{
	SvError		detail;
	SvStatus	status = SV_OK;

	if (reader->decompressor == NULL)
		status = sst_decompressor_create(&reader->decompressor, reader->alloc, err);
	if (status == SV_OK)
		status = read_stored(reader, block, info, &reader->stored, err);
	if (status == SV_OK)
		status = sv_buffer_reserve(raw, info->raw_bytes, err);
	if (status == SV_OK)
	{
		status = sst_decompress(reader->decompressor, sv_buffer_slice(&reader->stored),
								raw->data, info->raw_bytes, &detail);
		if (status == SV_OK)
			raw->len = info->raw_bytes;
		else if (status == SV_CORRUPT)
			status = sst_reader_damaged(reader, block, detail.message, err);
		else
			status = sv_fail(err, status, "%s", detail.message);
	}
	if (reader->stored.capacity > SST_KEPT_BUFFER_BYTES)
		sv_buffer_free(&reader->stored);
	return status;
}

/* Whether a block has what the index promises of it: NULL, or what differs. */
static const char *
check_against_index(const SstIndex *index, uint32_t block, const SstBlock *parsed)
{
	SstEntry	entry;
	const char *problem;
	int			c;

	if (parsed->count != sst_index_block(index, block).entries)
		return "wrong number of entries";
	problem = sst_block_entry(parsed, 0, &entry);
	if (problem != NULL)
		return problem;
	c = sv_slice_compare(entry.key, sst_index_low_key(index, block));
	if (c < 0 || (block == 0 && c != 0))
		return "first key does not fit the block index";
	problem = sst_block_entry(parsed, parsed->count - 1, &entry);
	if (problem != NULL)
		return problem;
	if (block + 1 < index->count ?
		sv_slice_compare(entry.key, sst_index_low_key(index, block + 1)) >= 0 :
		!sv_slice_equal(entry.key, sst_index_last_key(index)))
		return "last key does not fit the block index";
	return NULL;
}

SvStatus
sst_reader_fetch(SstReader *reader, uint32_t block, SvBuffer *raw, SstBlock *parsed, SvError *err)
{
	SstBlockInfo info = sst_index_block(&reader->index, block);
	const char *problem;
	SvStatus	status;

	sv_buffer_reset(raw);
	if ((info.flags & SST_BLOCK_ZSTD) != 0)
		status = read_compressed(reader, block, &info, raw, err);
	else
		status = read_stored(reader, block, &info, raw, err);
	if (status != SV_OK)
		return status;

	problem = sst_block_parse(parsed, sv_buffer_slice(raw));
	if (problem == NULL)
		problem = check_against_index(&reader->index, block, parsed);
	return problem == NULL ? SV_OK : sst_reader_damaged(reader, block, problem, err);
}

SvStatus
sst_reader_get(SstReader *reader, SvSlice key, SstEntry *entry, SvBuffer *scratch, SvError *err)
{
	uint32_t	blocks = sst_index_blocks_up_to(&reader->index, key);
	SstBlock	parsed;
	uint32_t	position;
	bool		exact;
	const char *problem;
	SvStatus	status;

	sv_buffer_reset(scratch);
	if (blocks == 0 || sv_slice_compare(key, sst_index_last_key(&reader->index)) > 0)
		return SV_NOT_FOUND;
	status = sst_reader_fetch(reader, blocks - 1, scratch, &parsed, err);
	if (status != SV_OK)
		return status;
	problem = sst_block_seek(&parsed, key, &position, &exact, entry);
	if (problem != NULL)
		return sst_reader_damaged(reader, blocks - 1, problem, err);
	return exact ? SV_OK : SV_NOT_FOUND;
}
