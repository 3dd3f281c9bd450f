/*
 * sst_format.h
 *		What FORMAT.md fixes about an SST's tail: sizes, numbers, footer and
 *		properties.
 *
 * The numbers here are stored in files: never change one.  The decoders take
 * hostile bytes; each returns NULL, or what is wrong with them in a few words.
 */
#ifndef SST_FORMAT_H
#define SST_FORMAT_H

#include "base/sv_buffer.h"
#include "sst/sst_entry.h"

/* Not text, and harmed by whoever takes it for text. */
#define SST_MAGIC			"\x89SKYSST\n"
#define SST_MAGIC_BYTES		8

/*
 * The version ladder.  A reader refuses what is above its own rung, and reads
 * every rung below it for ever.
 *
 * 1: the first.
 */
#define SST_VERSION			1

/* A frame of the block cache; a block of more is large and has one entry. */
#define SST_FRAME_BYTES		16384

/* Buffers for ordinary blocks grow no further by doubling; larger ones are let go after use. */
#define SST_KEPT_BUFFER_BYTES (2 * SST_FRAME_BYTES)

#define SST_FOOTER_BYTES	104

/* Parts begin at a multiple of this, counted from where the tail does; the footer does not. */
#define SST_PART_ALIGN		32

/* The end of the footer, laid out alike in every version. */
#define SST_TRAILER_BYTES	24

#define SST_PROPERTIES_BYTES 24

/* A dictionary of zstd, which readers keep a copy of. */
#define SST_MAX_DICTIONARY_BYTES (256 * 1024)

/* What one allocation may have in the server. */
#define SST_MAX_TAIL_BYTES	((size_t) 1024 * 1024 * 1024 - 1)

/* Where a part of the tail is in the file; a part of length 0 is absent. */
typedef struct SstHandle
{
	uint64_t	offset;
	uint64_t	length;
} SstHandle;

/* The tail's parts, in the order of the file. */
typedef struct SstFooter
{
	SstHandle	filter;
	SstHandle	learned_index;
	SstHandle	dictionary;
	SstHandle	block_index;
	SstHandle	properties;
} SstFooter;

typedef struct SstProperties
{
	uint64_t	entries;		/* tombstones included */
	uint64_t	tombstones;
	uint64_t	raw_bytes;		/* keys and values before compression */
} SstProperties;

/* Appends zeroes up to where the next part may begin. */
extern SvStatus sst_tail_align(SvBuffer *tail, SvError *err);

/* Appends the footer, and with it the checksum of all that tail holds. */
extern SvStatus sst_footer_append(SvBuffer *tail, const SstFooter *footer, SvError *err);

/*
 * Magic and checksum, which hold in every version.  *version is set when they
 * are right; only a version this build knows may be decoded further.
 */
extern const char *sst_tail_check(SvSlice tail, uint32_t *version);

/* After sst_tail_check.  tail_offset is the tail's place in the file. */
extern const char *sst_footer_decode(SvSlice tail, uint64_t tail_offset, SstFooter *footer);

extern SvStatus sst_properties_append(SvBuffer *tail, const SstProperties *properties,
									  SvError *err);
extern const char *sst_properties_decode(SvSlice bytes, SstProperties *properties);

#endif							/* SST_FORMAT_H */
