/*
 * sv_hash.h
 *		The one hash function: XXH3 with seed 0.
 *
 * Its results are stored in files; it guards against accidents, not against
 * somebody who means harm.
 */
#ifndef SV_HASH_H
#define SV_HASH_H

#include "base/sv_slice.h"

extern uint64_t sv_hash64(SvSlice bytes);

/* 128 bits of it, the low ones first. */
extern void sv_hash128(SvSlice bytes, uint64_t out[2]);

#endif							/* SV_HASH_H */
