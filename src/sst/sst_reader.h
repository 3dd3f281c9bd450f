/*
 * sst_reader.h
 *		Reads one SST.
 *
 * The reader does no I/O of its own: it asks a source for byte ranges.
 * Opening asks for one range, the tail; after that a lookup asks for at most
 * one block (none when the key is out of range).  Every byte that comes from
 * the source is taken to be hostile: checksums, offsets and lengths are
 * checked before use, and SV_CORRUPT names the object, the offset and the
 * block.
 *
 * A reader is used by one thread at a time.  Its memory is the tail plus what
 * a lookup's block takes while it is looked at.
 */
#ifndef SST_READER_H
#define SST_READER_H

#include "base/sv_alloc.h"
#include "base/sv_buffer.h"
#include "base/sv_status.h"
#include "sst/sst_entry.h"

typedef struct SstSource
{
	/* Reads exactly len bytes at offset into dst, or fails. */
	SvStatus	(*read) (void *state, uint64_t offset, size_t len, void *dst, SvError *err);
	void	   *state;
	const char *name;			/* for messages; must outlive the reader */
} SstSource;

typedef struct SstReader SstReader;

/*
 * file_bytes and tail_bytes are those of the SstSummary.  SV_CORRUPT if they
 * do not fit the file, SV_UNSUPPORTED for a version from the future.
 */
extern SvStatus sst_reader_open(SstReader **reader, const SstSource *source,
								uint64_t file_bytes, uint64_t tail_bytes,
								const SvAlloc *alloc, SvError *err);
extern void sst_reader_close(SstReader *reader);

extern uint64_t sst_reader_entries(const SstReader *reader);

/* Bytes of memory the open reader holds. */
extern size_t sst_reader_memory(const SstReader *reader);

/*
 * SV_NOT_FOUND, or SV_OK with *entry filled in.  entry->key and entry->value
 * point into *scratch, which is reset first.
 */
extern SvStatus sst_reader_get(SstReader *reader, SvSlice key, SstEntry *entry,
							   SvBuffer *scratch, SvError *err);

#endif							/* SST_READER_H */
