/*
 * load_crew.h
 *		Background workers that build parts of one load, as the backend sees
 *		them.
 *
 * They are this process's alone, and end with the load: by load_crew_end, or,
 * after an error, as soon as the context is reset or deleted or the resource
 * owner that was current at the start is released.  That ends them in the middle
 * of whatever they do; what they wrote then is orphans of this transaction.
 *
 * An error of a worker is raised here, by the next call that has to do with it:
 * with its SQLSTATE, message, detail and hint.
 */
#ifndef LOAD_CREW_H
#define LOAD_CREW_H

#include "postgres.h"

#include "forest/load_build.h"

#define LOAD_MAX_WORKERS 16

typedef struct LoadCrew LoadCrew;

/*
 * Starts up to so many workers, and does not wait for them.  NULL: there is no
 * room for one (max_worker_processes, shared memory), or they would not see the
 * server or its user mapping, because this transaction has made or changed it.
 */
extern LoadCrew *load_crew_start(MemoryContext context, const LoadBuildSpec *spec, int workers);

/*
 * Waits until each of them is there or has gone, and ends those beyond the first
 * `wanted`.  The number of the others, perhaps 0: they are called 0 and so on, and
 * share the memory of the spec.
 */
extern int	load_crew_assemble(LoadCrew *crew, int wanted);

/* Gives an entry to a worker.  May wait for the worker, interruptibly. */
extern void load_crew_put(LoadCrew *crew, int worker, SvSlice key, SvSlice value, TimestampTz expires_at);

/* No more entries come.  Does not wait for what the workers make of them. */
extern void load_crew_close(LoadCrew *crew);

/* Then: what the worker has built, in CurrentMemoryContext.  Waits for it. */
extern void load_crew_result(LoadCrew *crew, int worker, LoadBuilt *built);

/* When all results are there, or none is wanted.  NULL is allowed. */
extern void load_crew_end(LoadCrew *crew);

#endif							/* LOAD_CREW_H */
