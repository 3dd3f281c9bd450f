/*
 * fdw_touched.c
 *		See fdw_touched.h.
 */
#include "postgres.h"

#include "fdw/fdw_touched.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct TouchedKey
{
	SvSlice		key;			/* hash key, by content; the bytes are the set's */
	int			touches;		/* FdwTouch flags */
} TouchedKey;

struct FdwTouched
{
	MemoryContext context;
	HTAB	   *keys;
};

static uint32
hash_key(const void *key, Size keysize)
{
	const SvSlice *slice = key;

	return hash_bytes(slice->data, (int) slice->len);
}

static int
match_keys(const void *a, const void *b, Size keysize)
{
	return sv_slice_equal(*(const SvSlice *) a, *(const SvSlice *) b) ? 0 : 1;
}

FdwTouched *
fdw_touched_create(MemoryContext context)
{
	FdwTouched *touched = MemoryContextAlloc(context, sizeof(FdwTouched));
	HASHCTL		control = {
		.keysize = sizeof(SvSlice),
		.entrysize = sizeof(TouchedKey),
		.hash = hash_key,
		.match = match_keys,
		.hcxt = context
	};

	touched->context = context;
	touched->keys = hash_create("skyvault touched keys", 256, &control,
								HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	return touched;
}

void
fdw_touched_add(FdwTouched *touched, SvSlice key, FdwTouch touch)
{
	TouchedKey *entry = hash_search(touched->keys, &key, HASH_FIND, NULL);

	if (entry == NULL)
	{
		uint8	   *bytes = MemoryContextAlloc(touched->context, Max(key.len, 1));

		if (key.len > 0)
			memcpy(bytes, key.data, key.len);
		key.data = bytes;
		entry = hash_search(touched->keys, &key, HASH_ENTER, NULL);
		entry->touches = 0;
	}
	entry->touches |= touch;
}

bool
fdw_touched_has(FdwTouched *touched, SvSlice key, FdwTouch touch)
{
	TouchedKey *entry;

	if (touched == NULL)
		return false;
	entry = hash_search(touched->keys, &key, HASH_FIND, NULL);
	return entry != NULL && (entry->touches & touch) != 0;
}
