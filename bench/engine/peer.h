/*
 * peer.h
 *		What the benchmark asks of each contender.
 *
 * A contender that fails ends the program: see engine_die.
 */
#ifndef ENGINE_PEER_H
#define ENGINE_PEER_H

#include "engine_data.h"

#ifdef __cplusplus
extern "C"
{
#endif

typedef struct EngineStore EngineStore; /* loaded, everything in memory */
typedef struct EngineSession EngineSession; /* what one thread reads a store with */

/* Threads that read a store at the same time. */
#define ENGINE_MAX_THREADS 2

typedef struct EnginePeer
{
	const char *name;
	int			variant;		/* for load */

	/* Writes all of the data into an empty directory of its own, and brings it into memory. */
	EngineStore *(*load) (const struct EnginePeer *peer, const EngineData *data,
						  const char *directory);
	void		(*close) (EngineStore *store);

	/* Bytes of files, and of filters and indexes in memory (0: not known). */
	uint64_t	(*disk_bytes) (EngineStore *store);
	uint64_t	(*index_bytes) (EngineStore *store);

	EngineSession *(*begin) (EngineStore *store);
	void		(*end) (EngineSession *session);

	/* Values are good until the session's next call; that of a missing key is empty. */
	bool		(*get) (EngineSession *session, SvSlice key, SvSlice *value);

	/* n keys, ascending and without repeats. */
	void		(*get_many) (EngineSession *session, const SvSlice *keys, uint32_t n, SvSlice *values);
} EnginePeer;

/* The most keys that get_many is called with. */
#define ENGINE_MAX_BATCH 4096

extern const EnginePeer engine_skyvault;	/* runs as a level of the forest has them */
extern const EnginePeer engine_skyvault_one_run;
extern const EnginePeer engine_skyvault_small_pages;
extern const EnginePeer engine_rocksdb_4k;
extern const EnginePeer engine_rocksdb_16k;
extern const EnginePeer engine_lmdb;

#ifdef __cplusplus
}
#endif

#endif							/* ENGINE_PEER_H */
