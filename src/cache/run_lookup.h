/*
 * run_lookup.h
 *		One key in one run: what run_reader.c and run_fetch.c have in common.
 */
#ifndef RUN_LOOKUP_H
#define RUN_LOOKUP_H

#include "cache/run_reader.h"

/* What looking for a key in the cache comes to. */
typedef enum RunLookup
{
	LOOKUP_FOUND,
	LOOKUP_ABSENT,				/* not in the run */
	LOOKUP_UNCACHED,			/* its block must be loaded first */
	LOOKUP_FAILED				/* *err is set */
} RunLookup;

/* A key on its way through the run's filter, index and block. */
typedef struct RunProbe
{
	SvSlice		key;
	uint64_t	hash;
	SstRmiProbe rmi;
	uint32_t	block;			/* SST_NO_BLOCK: the key is not in the run */
	SstBlockInfo info;
	uint32_t	first;			/* of the block's entries, the one to look at first */
	BlockKey	block_key;
	uint64_t	block_hash;
	uint32_t	frame;
	BlockView	view;
} RunProbe;

/* Everything that is cached, in one go.  LOOKUP_UNCACHED: probe->block is not there. */
extern RunLookup run_look_up(RunCaches *caches, const RunReader *run, const SstTail *tail, RunProbe *probe,
							 SvSlice key, SvBuffer *values, RunAnswer *answer, SvError *err);

/* The key of a probe that was LOOKUP_UNCACHED, in its block, settled. */
extern SvStatus run_find_in_loaded(RunCaches *caches, const RunReader *run, const SstTail *tail,
								   const RunProbe *probe, const uint8_t *settled, SvBuffer *values,
								   RunAnswer *answer, SvError *err);

/* Whatever it takes, with a tail that stays. */
extern SvStatus run_look_up_loading(RunCaches *caches, const RunReader *run, const SstTail *tail,
									SvSlice key, SvBuffer *values, RunAnswer *answer, SvError *err);

#endif							/* RUN_LOOKUP_H */
