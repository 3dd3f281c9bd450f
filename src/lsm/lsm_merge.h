/*
 * lsm_merge.h
 *		Merges sorted streams of entries into one, newest wins.
 *
 * Sources are given newest first: of entries with equal keys the one from the
 * source with the lowest index survives, the others are skipped.  Tombstones
 * and expired entries come through; the caller judges them.  All sources run
 * in the same direction.
 */
#ifndef LSM_MERGE_H
#define LSM_MERGE_H

#include "base/sv_alloc.h"
#include "base/sv_status.h"
#include "sst/sst_entry.h"

/* One sorted stream: strictly ascending keys, or strictly descending. */
typedef struct LsmSource
{
	/* SV_OK with an entry that is valid until the next call; SV_NOT_FOUND at the end. */
	SvStatus	(*next) (void *state, SstEntry *entry, SvError *err);
	void	   *state;
} LsmSource;

typedef struct LsmMerge LsmMerge;

/* The sources array is copied; the streams stay the caller's.  nsources may be 0. */
extern SvStatus lsm_merge_open(LsmMerge **merge, const LsmSource *sources, int nsources,
							   bool backward, const SvAlloc *alloc, SvError *err);

/*
 * The next key's newest entry, valid until the next call, and in *source (may
 * be NULL) the index of the stream it came from.  No stream is advanced before
 * the call after the one that handed out its entry.
 */
extern SvStatus lsm_merge_next(LsmMerge *merge, SstEntry *entry, int *source, SvError *err);

/*
 * Whether of all streams only that of the entry handed out last is left; then the caller may
 * ask *source itself for what follows, and the merge no more.
 */
extern bool lsm_merge_sole(const LsmMerge *merge, LsmSource *source);
extern void lsm_merge_close(LsmMerge *merge);

#endif							/* LSM_MERGE_H */
