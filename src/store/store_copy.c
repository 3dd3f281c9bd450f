/*
 * store_copy.c
 *		Names of objects in local copies; cutting a stream into ranges.
 */
#include "store/store_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/sv_hash.h"
#include "cache/disk_files.h"

StoreIdentity
store_identity(const char *where)
{
	StoreIdentity identity = {{0}};

	sv_hash128(sv_slice(where, strlen(where)), identity.hash);
	return identity;
}

CacheRunId
store_copy_object(const StoreIdentity *identity, const char *name)
{
	uint64_t	hash[2];

	sv_hash128(sv_slice(name, strlen(name)), hash);
	return (CacheRunId) {.hi = hash[0] ^ identity->hash[0],.lo = hash[1] ^ identity->hash[1]};
}

StoreCutter
store_cutter(void (*write) (void *state, uint32_t number, SvSlice bytes), void *state)
{
	return (StoreCutter) {.write = write,.state = state,.bytes = malloc(DISK_RANGE_BYTES)};
}

static void
hand_on(StoreCutter *cutter, SvSlice bytes)
{
	cutter->write(cutter->state, cutter->number++, bytes);
	cutter->len = 0;
}

void
store_cut(StoreCutter *cutter, SvSlice bytes)
{
	while (bytes.len > 0 && cutter->bytes != NULL)
	{
		size_t		room = DISK_RANGE_BYTES - cutter->len;
		size_t		piece = bytes.len < room ? bytes.len : room;

		if (piece == DISK_RANGE_BYTES)
			hand_on(cutter, sv_slice(bytes.data, piece));
		else
		{
			memcpy(cutter->bytes + cutter->len, bytes.data, piece);
			cutter->len += piece;
			if (cutter->len == DISK_RANGE_BYTES)
				hand_on(cutter, sv_slice(cutter->bytes, DISK_RANGE_BYTES));
		}
		bytes = sv_slice(bytes.data + piece, bytes.len - piece);
	}
}

void
store_cut_end(StoreCutter *cutter)
{
	if (cutter->len > 0)
		hand_on(cutter, sv_slice(cutter->bytes, cutter->len));
	free(cutter->bytes);
	cutter->bytes = NULL;
}
