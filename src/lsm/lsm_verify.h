/*
 * lsm_verify.h
 *		Reads a run as a whole and compares it with what the registry says.
 *
 * No server.  Memory: the tail and a block.  Shallow: the tail, with filter and
 * indexes, and the counts it has.  Deep: every block and every entry as well:
 * checksums, order, bounds and counts of each part, and that filter and learned
 * index lead to the entry.  (The table of a block is none of the file's: it is
 * made when the block is loaded.)
 */
#ifndef LSM_VERIFY_H
#define LSM_VERIFY_H

#include "lsm/lsm_forest.h"
#include "sst/sst_load.h"

typedef struct LsmVerify
{
	const LsmRun *run;
	const SstSource *source;
	bool		deep;
	const SvAlloc *alloc;

	/* A problem, in a few words, and its detail; may be called several times. */
	void		(*report) (void *state, const char *problem, const char *detail);
	/* After each block; anything but SV_OK ends the reading. */
	SvStatus	(*progress) (void *state, uint64_t bytes, SvError *err);
	void	   *state;
} LsmVerify;

/*
 * SV_OK if all could be read, problems or not; damage is reported as a problem,
 * and ends the reading.  Else what source or progress answered.
 */
extern SvStatus lsm_verify_run(const LsmVerify *verify, SvError *err);

#endif							/* LSM_VERIFY_H */
