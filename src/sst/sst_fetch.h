/*
 * sst_fetch.h
 *		What the reader and the iterator share, and nobody else uses.
 */
#ifndef SST_FETCH_H
#define SST_FETCH_H

#include "sst/sst_block.h"
#include "sst/sst_index.h"
#include "sst/sst_reader.h"

extern const SvAlloc *sst_reader_alloc(const SstReader *reader);
extern const SstIndex *sst_reader_index(const SstReader *reader);

/*
 * Fetches a block, verified and decompressed, into *raw, whose content it
 * replaces, and parses it.  This is the only way to a data block: a block
 * cache belongs behind it.
 *
 * Verified means: the stored bytes have the checksum of the index, the number
 * of entries is the index's, the first and the last key are within the keys
 * that the index gives the block.
 */
extern SvStatus sst_reader_fetch(SstReader *reader, uint32_t block, SvBuffer *raw,
								 SstBlock *parsed, SvError *err);

/* Fills in SV_CORRUPT for a problem found in a block, naming object, offset and block. */
extern SvStatus sst_reader_damaged(const SstReader *reader, uint32_t block, const char *problem,
								   SvError *err);

#endif							/* SST_FETCH_H */
