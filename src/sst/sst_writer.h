/*
 * sst_writer.h
 *		Writes one SST, front to back, in one pass.
 *
 * Entries are added in strictly ascending key order.  Bytes leave through the
 * sink in order, each exactly once, in pieces of the writer's choosing.  The
 * writer keeps in memory the current block, the tail's parts, 8 bytes per key
 * if there is to be a filter, and the sample of which a dictionary is made.
 *
 * A writer that returned anything but SV_OK can only be destroyed.
 */
#ifndef SST_WRITER_H
#define SST_WRITER_H

#include "base/sv_alloc.h"
#include "base/sv_status.h"
#include "sst/sst_entry.h"
#include "sst/sst_filter.h"

typedef struct SstSink
{
	SvStatus	(*append) (void *state, const void *data, size_t len, SvError *err);
	void	   *state;
} SstSink;

typedef struct SstWriterOptions
{
	uint32_t	block_bytes;	/* raw size at which a data block is closed; at most 16384 */
	int			zstd_level;		/* 0: blocks are stored raw */
	uint32_t	filter_bits;	/* per key, at most SST_FILTER_MAX_BITS; 0: no filter */
	uint32_t	dictionary_bytes;	/* the most that a zstd dictionary may take; 0: none */
} SstWriterOptions;

/* dictionary_bytes, unless it is 0. */
#define SST_MIN_DICTIONARY_BYTES 256

#define SST_WRITER_DEFAULTS \
	{.block_bytes = 16 * 1024, .zstd_level = 1, .filter_bits = SST_FILTER_DEFAULT_BITS}

/* What the registry keeps about a run. */
typedef struct SstSummary
{
	uint64_t	file_bytes;
	uint64_t	tail_bytes;		/* the last tail_bytes of the file are all that opening it needs */
	uint64_t	entries;		/* tombstones included */
	uint64_t	tombstones;
	uint64_t	raw_bytes;		/* keys and values before compression */
} SstSummary;

typedef struct SstWriter SstWriter;

extern SvStatus sst_writer_create(SstWriter **writer, const SstWriterOptions *options,
								  const SstSink *sink, const SvAlloc *alloc, SvError *err);

/*
 * SV_INVALID if the key is not greater than the last one or is over
 * SST_MAX_KEY_BYTES (an empty key is allowed), or the value is too long.
 * The entry's bytes are copied.
 */
extern SvStatus sst_writer_add(SstWriter *writer, const SstEntry *entry, SvError *err);

/*
 * For the entries from here on, as of another table: the zstd level, and
 * whether they may be compressed with the dictionary, which needs
 * dictionary_bytes to have an effect, and is so from the beginning.  The
 * current block is closed if something changes.
 */
extern SvStatus sst_writer_set_level(SstWriter *writer, int zstd_level, SvError *err);
extern SvStatus sst_writer_set_dictionary(SstWriter *writer, bool may_use, SvError *err);

/*
 * Bits a key of the filter, which is for all entries, and not made before the
 * end: any number up to SST_FILTER_MAX_BITS, if the file was begun with a
 * filter; else there is none.
 */
extern void sst_writer_set_filter_bits(SstWriter *writer, uint32_t filter_bits);

/* Writes the tail.  A file without entries is valid. */
extern SvStatus sst_writer_finish(SstWriter *writer, SstSummary *summary, SvError *err);

/* At any time; NULL is allowed. */
extern void sst_writer_destroy(SstWriter *writer);

#endif							/* SST_WRITER_H */
