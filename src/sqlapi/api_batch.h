/*
 * api_batch.h
 *		Looking up the keys of an array, some thousands at a time.
 */
#ifndef API_BATCH_H
#define API_BATCH_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_batch.h"
#include "sqlapi/api_args.h"
#include "utils/array.h"

/* A key, and after the lookup its value, as bytes; data NULL: a null. */
typedef struct ApiPair
{
	SvSlice		key;
	SvSlice		value;
} ApiPair;

/* Where the pairs go, in the order of the keys. */
typedef void (*ApiPairTaker) (void *arg, int position, const ApiPair *pair);

/*
 * Looks up the i-th key of the array in maps[i], or with one_map all in maps[0],
 * under the active snapshot, and hands the pairs to `take`.  A null key has no
 * value.  The values live as long as CurrentMemoryContext if keep_values, else
 * during the call of `take` alone, and memory does not grow with their number.
 * 54000 if a key is too long.
 */
extern void api_look_up(ArrayType *keys, const ApiMap *const *maps, bool one_map,
						bool keep_values, ApiPairTaker take, void *arg);

#endif							/* API_BATCH_H */
