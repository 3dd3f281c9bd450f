/*
 * lsm_input.h
 *		A run that is read from front to back, past all caches: its tail, and a
 *		buffer of what comes next.
 *
 * Blocks are fetched in ascending order, mostly; what lies behind one that is
 * not in the buffer is read along with it.
 */
#ifndef LSM_INPUT_H
#define LSM_INPUT_H

#include "base/sv_buffer.h"
#include "sst/sst_iterator.h"
#include "sst/sst_load.h"

typedef struct LsmInput LsmInput;

/* Reads the tail.  source has to outlive the input; *bytes_read grows with each read, now and later. */
extern SvStatus lsm_input_open(LsmInput **input, const SstSource *source, uint64_t file_bytes,
							   uint64_t tail_bytes, size_t read_ahead_bytes, uint64_t *bytes_read,
							   const SvAlloc *alloc, SvError *err);
extern void lsm_input_close(LsmInput *input);	/* NULL is allowed */

/* Nothing behind the block that may hold the key is read ahead; NULL: up to the end of the data. */
extern void lsm_input_limit(LsmInput *input, const SvSlice *key);

/* For an iterator, which the input must outlive. */
extern SstBlockSource lsm_input_source(LsmInput *input);

#endif							/* LSM_INPUT_H */
