/*
 * engine_rounds.h
 *		All works on all data sets by all contenders, in rounds in which they
 *		take turns.
 */
#ifndef ENGINE_ROUNDS_H
#define ENGINE_ROUNDS_H

#include <stdio.h>

#include "peer.h"

typedef struct EngineRounds
{
	const EnginePeer *const *peers;
	uint32_t	peer_count;
	uint32_t	keys;
	uint32_t	rounds;			/* at most ENGINE_MAX_ROUNDS */
	uint32_t	operations;		/* keys asked for in one measurement by one thread */
	const char *directory;		/* empty; what is made in it is removed again */
	FILE	   *csv;
} EngineRounds;

#define ENGINE_MAX_ROUNDS 9
#define ENGINE_MAX_PEERS 8

/* Measures one data set, adds lines to the CSV file; answers how many answers were wrong. */
extern uint64_t engine_rounds_run(const EngineRounds *options, EngineSet set);

extern void engine_rounds_header(FILE *csv);

#endif							/* ENGINE_ROUNDS_H */
