/*
 * load_progress.h
 *		How far bulk loads are, for the view skyvault_progress_load.
 *
 * A fixed array of lines in shared memory, one for each load of any database
 * that is under way; a backend may have several, as of partitions.  A load that
 * finds no free line is not shown, and nothing else.  The counters are atomic: those
 * of what is read are the backend's, those of what is written are added to by
 * whoever writes, workers too.  Nothing in it is needed after a restart.
 */
#ifndef LOAD_PROGRESS_H
#define LOAD_PROGRESS_H

#include "postgres.h"

#include "port/atomics.h"

#define LOAD_PROGRESS_LINES 128

typedef enum LoadPhase
{
	LOAD_INITIALIZING,
	LOAD_READING,
	LOAD_SORTING,
	LOAD_WRITING,
	LOAD_PUBLISHING,
	LOAD_PHASES
} LoadPhase;

/* What a line is called by: it is free once the load has ended, and may be another's then. */
typedef struct LoadLine
{
	int			index;			/* -1: none */
	uint32		version;
} LoadLine;

/* For shmem_request_hook and shmem_startup_hook. */
extern void load_progress_shmem_request(void);
extern void load_progress_shmem_startup(void);

/*
 * A line for a load of this process, in LOAD_INITIALIZING: what people call the
 * command, a constant ("COPY"), and the table.  It is free again at
 * load_progress_end, or when the context is reset or deleted, as after an error.
 */
extern LoadLine load_progress_begin(MemoryContext context, const char *command, Oid relid);
extern void load_progress_end(LoadLine line);

/* For who has begun it, and for its workers once all is read: then it is what one of them does. */
extern void load_progress_phase(LoadLine line, LoadPhase phase);

/* For who has begun it. */
extern void load_progress_read(LoadLine line, uint64 rows, uint64 bytes);	/* so far */
extern void load_progress_total(LoadLine line, uint64 rows, uint64 bytes);	/* 0: not known */
extern void load_progress_workers(LoadLine line, int workers);

/* For any process: so much more is in the store. */
extern void load_progress_written(LoadLine line, uint64 rows, uint64 bytes);

/* ---- For people ---- */

typedef struct LoadProgress
{
	int			pid;
	Oid			dboid;
	Oid			relid;
	Oid			userid;			/* of the session */
	char		command[32];
	LoadPhase	phase;
	uint64		rows_read;
	uint64		bytes_read;		/* of keys and values; where bytes_total is known, of what that counts */
	uint64		rows_written;
	uint64		bytes_written;	/* of files */
	uint64		rows_total;		/* 0: not known */
	uint64		bytes_total;
	int			workers;
} LoadProgress;

/* All loads that are under way, into an array with room for LOAD_PROGRESS_LINES; the count. */
extern int	load_progress_list(LoadProgress *loads);

extern const char *load_progress_phase_name(LoadPhase phase);

#endif							/* LOAD_PROGRESS_H */
