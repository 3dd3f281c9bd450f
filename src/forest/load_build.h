/*
 * load_build.h
 *		Sorts the entries of a bulk load and writes them as runs: in the backend
 *		that loads, or in a worker of it.
 *
 * Entries come in any order; of equal keys the last one given wins.  As long as
 * keys ascend, and there is more than a few megabytes of them, they go to the store
 * without having been sorted.  The others are collected, sorted in memory, and
 * put into temporary files when there are more than fit; at the end all of them
 * are merged into runs, which are uploaded while they are written.
 *
 * So there are one or two stretches of runs.  Runs of a stretch are disjoint by
 * key, and ascend; the second stretch is newer than the first, and may have the
 * same keys.
 *
 * Memory: the sorter and the writer together take about memory_bytes, which is at
 * least LOAD_MIN_MEMORY_BYTES; an upload of the store's driver at most as much
 * again, but for what the store needs at least (object_store.h).  An entry that is
 * larger than that is taken all the same.
 *
 * All of it needs a ResourceOwner (temporary files), but no snapshot and no lock;
 * a worker needs no transaction id of its own.  Errors are raised; then, or
 * when its context is reset, what was begun is given up: objects that are complete
 * stay, and are orphans, to be found by the names' transaction.
 */
#ifndef LOAD_BUILD_H
#define LOAD_BUILD_H

#include "postgres.h"

#include "access/transam.h"
#include "base/sv_slice.h"
#include "datatype/timestamp.h"
#include "forest/forest_storage.h"
#include "forest/forest_vault.h"
#include "forest/load_progress.h"
#include "lsm/lsm_run.h"

#define LOAD_MIN_MEMORY_BYTES ((Size) 1024 * 1024)

/* A key that was given twice; raises an error, naming it. */
typedef void (*LoadDuplicate) (void *state, SvSlice key);

typedef struct LoadBuildSpec
{
	Oid			server_oid;
	ForestVault vault;			/* names begin with its uuid and epoch, which is not 0 */
	FullTransactionId xid;		/* top-level, of the transaction that will register the runs */
	int32		table_id;
	ForestStorage storage;
	Size		memory_bytes;
	Size		run_bytes;		/* of stored blocks, after which a run is cut */
	LoadDuplicate duplicate;	/* NULL: the last one wins */
	void	   *duplicate_state;
	LoadLine	progress;		/* gets what is written; {-1}: none */
} LoadBuildSpec;

/* A finished object.  All it points to is in the context of load_build_begin. */
typedef struct LoadRun
{
	const char *object;
	uint64		file_bytes;
	uint64		tail_bytes;
	LsmPart		part;
	int			stretch;		/* 0, 1 */
} LoadRun;

typedef struct LoadBuilt
{
	int			nruns;
	LoadRun    *runs;			/* by stretch, then ascending by key */
	int			nstretches;		/* that have runs: 0 to 2 */
	uint64		given;			/* entries added */
	uint64		entries;		/* in the runs */
	uint64		raw_bytes;		/* of them */
	uint64		file_bytes;
} LoadBuilt;

typedef struct LoadBuild LoadBuild;

/* Lives in a child of CurrentMemoryContext.  The spec is copied.  Makes no request yet. */
extern LoadBuild *load_build_begin(const LoadBuildSpec *spec);

/*
 * key and value are copied.  Lengths have been checked (forest_check_key,
 * forest_check_value).  expires_at: DT_NOEND is never.
 */
extern void load_build_add(LoadBuild *build, SvSlice key, SvSlice value, TimestampTz expires_at);

/* Once; no adds after it.  All runs are durable on return. */
extern void load_build_finish(LoadBuild *build, LoadBuilt *built);

/* Frees it, the runs of `built` included. */
extern void load_build_end(LoadBuild *build);

#endif							/* LOAD_BUILD_H */
