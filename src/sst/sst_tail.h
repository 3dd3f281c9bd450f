/*
 * sst_tail.h
 *		The tail of an SST, parsed: everything about a file but its entries.
 *
 * A parsed tail borrows the bytes it was parsed from and never changes; any
 * number of threads or processes that see both at the same address may use
 * it.  Nothing here does I/O or allocates.
 */
#ifndef SST_TAIL_H
#define SST_TAIL_H

#include "base/sv_status.h"
#include "sst/sst_filter.h"
#include "sst/sst_format.h"
#include "sst/sst_index.h"
#include "sst/sst_rmi.h"

typedef struct SstTail
{
	uint64_t	offset;			/* in the file: where the data ends and the tail begins */
	SvSlice		bytes;
	SstProperties properties;
	SstIndex	index;
	SstFilter	filter;			/* absent: line_count 0 */
	SstRmi		rmi;			/* absent: count 0 although there are blocks */
	SvSlice		dictionary;		/* of zstd, for the blocks that say so; empty if absent */
	uint64_t	dictionary_hash[2]; /* what tells it from those of other files */
} SstTail;

#define SST_NO_BLOCK UINT32_MAX

/* SV_CORRUPT, naming the object, if no file of this size can have a tail of that one. */
extern SvStatus sst_tail_check_size(uint64_t file_bytes, uint64_t tail_bytes, const char *object,
									SvError *err);

/*
 * Checks and parses the last bytes.len bytes of a file of file_bytes bytes.
 * SV_CORRUPT or SV_UNSUPPORTED, naming the object.
 */
extern SvStatus sst_tail_parse(SstTail *tail, SvSlice bytes, uint64_t file_bytes,
							   const char *object, SvError *err);

/* The one block that may hold the key; SST_NO_BLOCK if it is out of the file's range. */
extern uint32_t sst_tail_locate(const SstTail *tail, SvSlice key);

/* The same in steps, for many lookups at once: see sst_rmi_start, sst_rmi_aim. */
extern SstRmiProbe sst_tail_start(const SstTail *tail, SvSlice key);
extern void sst_tail_aim(const SstTail *tail, const SstRmiProbe *probe);
extern uint32_t sst_tail_finish(const SstTail *tail, const SstRmiProbe *probe, SvSlice key);

/* Whether no model has told where the key is, but a search: of a leaf, or of all blocks. */
static inline bool
sst_tail_fell_back(const SstTail *tail, const SstRmiProbe *probe, SvSlice key)
{
	return tail->rmi.count == 0 ? tail->index.count > 1 : sst_rmi_is_searched(&tail->rmi, probe, key);
}

/* How many blocks have a low key that is below key, or not above it: what iterators seek by. */
extern uint32_t sst_tail_blocks_below(const SstTail *tail, SvSlice key);
extern uint32_t sst_tail_blocks_up_to(const SstTail *tail, SvSlice key);

/* Appends the part of the tail that holds a dictionary. */
extern SvStatus sst_dictionary_append(SvBuffer *tail, SvSlice dictionary, SvError *err);

#endif							/* SST_TAIL_H */
