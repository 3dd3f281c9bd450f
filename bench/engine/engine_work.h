/*
 * engine_work.h
 *		What is asked of a store, how long that takes, and whether the answers
 *		are right.
 */
#ifndef ENGINE_WORK_H
#define ENGINE_WORK_H

#include "peer.h"

typedef enum EngineKind
{
	ENGINE_GET_HIT,
	ENGINE_GET_MISS,
	ENGINE_BATCH_HIT
} EngineKind;

typedef struct EngineWork
{
	EngineKind	kind;
	uint32_t	threads;
	uint32_t	batch;			/* keys a call, for ENGINE_BATCH_HIT */
} EngineWork;

/* The keys of one round, for all its threads, in the order in which they are asked for. */
typedef struct EngineQueries
{
	uint32_t	per_thread;
	uint32_t	threads;
	uint8_t    *bytes;
	SvSlice    *keys;
	uint64_t	digests[ENGINE_MAX_THREADS];	/* of the right answers, added up */
} EngineQueries;

/* Other rounds have other keys, as far as the data has enough of them. */
extern void engine_queries_make(EngineQueries *queries, const EngineData *data,
								const EngineWork *work, uint32_t per_thread, uint32_t round);
extern void engine_queries_free(EngineQueries *queries);

/* Nanoseconds a key, as each thread sees them.  Adds to *wrong for each thread with a wrong digest. */
extern double engine_work_time(const EnginePeer *peer, EngineSession *const *sessions,
							   const EngineWork *work, const EngineQueries *queries, uint64_t *wrong);

/*
 * How many answers are wrong when every key is asked for, and as many in
 * batches, and every missing one: with all bytes compared.
 */
extern uint64_t engine_verify(const EnginePeer *peer, EngineSession *session, const EngineData *data);

#endif							/* ENGINE_WORK_H */
