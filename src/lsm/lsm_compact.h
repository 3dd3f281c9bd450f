/*
 * lsm_compact.h
 *		Does what a job says: reads its inputs in order, drops what is hidden,
 *		deleted or expired, and writes the outputs.
 *
 * No server, no threads.  Memory is bounded whatever the inputs' size: runs
 * that exclude one another by key are read one after the other, with a
 * read-ahead of read_ahead_bytes each and the tail of each open one, and there
 * is one writer at a time.
 *
 * Of an entry that expired before expired_before the value goes; the entry
 * itself goes, as a tombstone does, if nothing older can be hidden by it
 * (lsm_merge_may_drop), else it becomes a tombstone.
 */
#ifndef LSM_COMPACT_H
#define LSM_COMPACT_H

#include "lsm/lsm_job.h"
#include "sst/sst_load.h"
#include "sst/sst_writer.h"

typedef struct LsmCompactCounts
{
	uint64_t	entries_in;
	uint64_t	entries_out;
	uint64_t	hidden;			/* entries dropped because a newer one was met */
	uint64_t	tombstones_dropped;
	uint64_t	expired;		/* dropped, or turned into tombstones */
	uint64_t	bytes_in;		/* read from sources */
	uint64_t	bytes_out;		/* given to sinks */
} LsmCompactCounts;

/* A finished file.  run.id is 0; registered_by and identity are not set. */
typedef struct LsmOutput
{
	int			merge;			/* in job->merges */
	LsmRun		run;			/* one part, or none if it is of no table */
} LsmOutput;

typedef struct LsmResult
{
	SvArena		arena;			/* has the outputs, their keys and names */
	int			noutputs;
	int			room;
	LsmOutput  *outputs;		/* by merge, then ascending by key */
	LsmCompactCounts counts;
} LsmResult;

/*
 * What the executor asks its caller for.  Each may fail, which ends the run
 * with that status.  At most one output is open at a time; inputs are opened
 * and closed in any number, one may be open several times.
 */
typedef struct LsmCompactIo
{
	/* Where the input's bytes come from, good until close_input with the same source. */
	SvStatus	(*open_input) (void *state, const LsmRun *run, SstSource *source, SvError *err);
	void		(*close_input) (void *state, SstSource *source);

	/* A new file for the merge: its sink and how it is to be written. */
	SvStatus	(*begin_output) (void *state, const LsmMergePlan *merge, SstWriterOptions *options,
								 SstSink *sink, SvError *err);

	/* All bytes have been given to the sink.  Durable on return; *object is its name, copied. */
	SvStatus	(*end_output) (void *state, const LsmRun *run, const char **object, SvError *err);

	/* Often; anything but SV_OK ends the run.  May be NULL. */
	SvStatus	(*progress) (void *state, const LsmCompactCounts *counts, SvError *err);
	void	   *state;
} LsmCompactIo;

typedef struct LsmCompactOptions
{
	int64_t		expired_before; /* INT64_MIN: nothing is */
	size_t		read_ahead_bytes;	/* of each open input; a larger block is read as it is */
} LsmCompactOptions;

/* A piece of a merge: the keys of [low, high), an absent bound being open. */
typedef struct LsmSlice
{
	int			merge;
	bool		has_low;
	bool		has_high;
	SvSlice		low;
	SvSlice		high;
} LsmSlice;

extern void lsm_result_init(LsmResult *result, const SvAlloc *alloc);
extern void lsm_result_free(LsmResult *result);

/*
 * Runs the slices, or all merges if slices is NULL, in order, and appends to
 * the result.  Moves need no running and are passed over.  After a failure the
 * result has the outputs that were finished, and an output that was begun is
 * the caller's to give up.  SV_CORRUPT names the object.
 */
extern SvStatus lsm_compact(const LsmJob *job, const LsmSlice *slices, int nslices,
							const LsmCompactOptions *options, const LsmCompactIo *io,
							LsmResult *result, const SvAlloc *alloc, SvError *err);

#endif							/* LSM_COMPACT_H */
