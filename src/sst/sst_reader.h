/*
 * sst_reader.h
 *		Reads one SST, with no cache but its own tail.
 *
 * The reader does no I/O of its own: it asks a source for byte ranges.
 * Opening asks for one range, the tail; after that a lookup asks for at most
 * one block (none when filter or index know that the key is absent).  Every
 * byte that comes from the source is taken to be hostile: checksums, offsets
 * and lengths are checked before use, and SV_CORRUPT names the object, the
 * offset and the block.
 *
 * A reader is used by one thread at a time.  Its memory is the tail plus what
 * loading a block takes.
 */
#ifndef SST_READER_H
#define SST_READER_H

#include "sst/sst_iterator.h"
#include "sst/sst_load.h"

typedef struct SstReader SstReader;

/*
 * file_bytes and tail_bytes are those of the SstSummary.  SV_CORRUPT if they
 * do not fit the file, SV_UNSUPPORTED for a version from the future.
 */
extern SvStatus sst_reader_open(SstReader **reader, const SstSource *source,
								uint64_t file_bytes, uint64_t tail_bytes,
								const SvAlloc *alloc, SvError *err);
extern void sst_reader_close(SstReader *reader);

/* Good until the reader is closed. */
extern const SstTail *sst_reader_tail(const SstReader *reader);

static inline uint64_t
sst_reader_entries(const SstReader *reader)
{
	return sst_reader_tail(reader)->properties.entries;
}

/* Bytes of memory the open reader holds. */
extern size_t sst_reader_memory(const SstReader *reader);

/*
 * SV_NOT_FOUND, or SV_OK with *entry filled in.  entry->key and entry->value
 * point into *scratch, which is reset first.
 */
extern SvStatus sst_reader_get(SstReader *reader, SvSlice key, SstEntry *entry,
							   SvBuffer *scratch, SvError *err);

/* For an iterator, which the reader must outlive. */
extern SstBlockSource sst_reader_block_source(SstReader *reader);

#endif							/* SST_READER_H */
