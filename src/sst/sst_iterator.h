/*
 * sst_iterator.h
 *		Walks over the entries of one SST, in either direction.
 */
#ifndef SST_ITERATOR_H
#define SST_ITERATOR_H

#include "sst/sst_reader.h"

/*
 * An iterator yields the entries with low <= key < high in ascending order, or
 * descending if backward.  A NULL bound is open; bounds are copied.  The
 * reader must outlive it.  next answers SV_NOT_FOUND at the end, again and
 * again; the entry is valid until the next call on the iterator.
 */
typedef struct SstIterator SstIterator;

extern SvStatus sst_iterator_open(SstIterator **it, SstReader *reader,
								  const SvSlice *low, const SvSlice *high, bool backward,
								  SvError *err);
extern SvStatus sst_iterator_next(SstIterator *it, SstEntry *entry, SvError *err);
extern void sst_iterator_close(SstIterator *it);

#endif							/* SST_ITERATOR_H */
