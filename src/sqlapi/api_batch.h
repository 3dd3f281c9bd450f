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

/*
 * Where the pairs go: n of them, those of the keys from position `first` on, in
 * the order of the keys.  Their values are good during the call alone.
 */
typedef void (*ApiPairsTaker) (void *arg, int first, const ApiPair *pairs, int n);

/*
 * Looks up the i-th key of the array in maps[i], or with one_map all in maps[0],
 * under the active snapshot, and hands the pairs to `take`, some thousands at a
 * time, so that memory does not grow with their number.  A null key has no
 * value.  54000 if a key is too long.
 */
extern void api_look_up(ArrayType *keys, const ApiMap *const *maps, bool one_map,
						ApiPairsTaker take, void *arg);

#endif							/* API_BATCH_H */
