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
