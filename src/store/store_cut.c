/*
 * store_cut.c
 *		Cutting a stream into ranges.
 */
#include "store/store_cut.h"

#include <stdlib.h>
#include <string.h>

#include "cache/disk_files.h"

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
