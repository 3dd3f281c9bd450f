/*
 * sst_iterator.h
 *		Walks over the entries of one SST, in either direction.
 */
#ifndef SST_ITERATOR_H
#define SST_ITERATOR_H

#include "sst/sst_block.h"
#include "sst/sst_tail.h"

/*
 * Where blocks come from: a reader, or a cache.  fetch replaces raw's content
 * with the settled block, which *parsed then points into.
 */
typedef struct SstBlockSource
{
	const SstTail *tail;
	SvStatus	(*fetch) (void *state, uint32_t block, SvBuffer *raw, SstBlock *parsed,
						  SvError *err);
	void	   *state;
	const char *name;			/* of the object, for messages */
} SstBlockSource;

/*
 * An iterator yields the entries with low <= key < high in ascending order, or
 * descending if backward.  A NULL bound is open; bounds are copied.  What the
 * source points to must outlive it.  next answers SV_NOT_FOUND at the end,
 * again and again; the entry is valid until the next call on the iterator.
 */
typedef struct SstIterator SstIterator;

extern SvStatus sst_iterator_open(SstIterator **it, const SstBlockSource *source,
								  const SvSlice *low, const SvSlice *high, bool backward,
								  const SvAlloc *alloc, SvError *err);
extern SvStatus sst_iterator_next(SstIterator *it, SstEntry *entry, SvError *err);

/*
 * A key ahead: where the block begins that is so many blocks ahead of the iterator's, and
 * forward one more.  False: there is none.  The key is valid as long as the tail.
 */
extern bool sst_iterator_horizon(const SstIterator *it, uint32_t blocks, SvSlice *key);
extern void sst_iterator_close(SstIterator *it);	/* NULL is allowed */

#endif							/* SST_ITERATOR_H */
