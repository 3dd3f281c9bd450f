/*
 * sv_hash.c
 *		XXH3 by way of libxxhash's header.
 *
 * Inlined, so that the library's symbols cannot meet another copy of it in
 * the server's process.
 */
#include "base/sv_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t
sv_hash64(SvSlice bytes)
{
	return XXH3_64bits(bytes.data, bytes.len);
}

void
sv_hash128(SvSlice bytes, uint64_t out[2])
{
	XXH128_hash_t hash = XXH3_128bits(bytes.data, bytes.len);

	out[0] = hash.low64;
	out[1] = hash.high64;
}
