/*
 * sv_hash.h
 *		The one hash function: XXH3 with 64 bits and seed 0.
 *
 * Its results are stored in files; it guards against accidents, not against
 * somebody who means harm.
 */
#ifndef SV_HASH_H
#define SV_HASH_H

#include "base/sv_slice.h"

extern uint64_t sv_hash64(SvSlice bytes);

#endif							/* SV_HASH_H */
