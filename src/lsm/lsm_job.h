/*
 * lsm_job.h
 *		A compaction job: which runs it takes out of the forest, and what is
 *		made of them.
 *
 * A job has inputs (runs, each for some or all of its tables) and merges (one
 * sorted stream of one table's entries each, written as outputs of one level).
 * Parts that are consumed without being a source of a merge are dead: of a
 * dropped table, or below the table's floor.
 *
 * A job owns all its memory; it outlives the forest it was chosen from.
 */
#ifndef LSM_JOB_H
#define LSM_JOB_H

#include "base/sv_arena.h"
#include "lsm/lsm_forest.h"

/* Stored in the catalogue: never renumber. */
typedef enum LsmJobKind
{
	LSM_JOB_REMOVE = 'r',		/* runs of which nothing lives: no merge, no bytes */
	LSM_JOB_WAL = 'w',			/* WAL runs -> a buffer run per table and stretch of neighbours */
	LSM_JOB_BUFFER = 'b',		/* level 0 of a table -> level 1 */
	LSM_JOB_LEVEL = 'l',		/* level n -> level n + 1 */
	LSM_JOB_REWRITE = 'g',		/* a run in its place, for what is garbage in it */
	LSM_JOB_FULL = 'f'			/* all of a table that overlaps -> one level */
} LsmJobKind;

typedef struct LsmJobInput
{
	LsmRun		run;			/* as registered when the job was chosen */
	int			ntables;		/* the parts that the job consumes; run.nparts if all */
	int32_t    *table_ids;		/* ascending */
} LsmJobInput;

/* Both ends inclusive. */
typedef struct LsmRange
{
	SvSlice		low;
	SvSlice		high;
} LsmRange;

typedef struct LsmMergeSource
{
	int			input;			/* in job->inputs */
	int			part;			/* in that run's parts */
} LsmMergeSource;

typedef struct LsmMergePlan
{
	int32_t		table_id;
	int64_t		floor_seq;		/* of the table when the job was chosen; 0 for none */
	LsmTier		tier;			/* of the outputs */
	int			level;
	int64_t		seq_lo;			/* of the outputs: the range of the sources */
	int64_t		seq_hi;
	LsmRange	range;			/* of all sources: outputs lie in it */
	bool		is_move;		/* one source, whose run only changes its tier and level */
	int			nsources;
	LsmMergeSource *sources;	/* in lookup order: newest first */
	uint64_t	bytes;			/* of the sources, estimated for parts of WAL runs */
	uint64_t	run_bytes;		/* at this size a new output is begun */
	int			most_parts;		/* the job may be cut into so many for its sake (lsm_parts.h), */
	uint64_t	part_bytes;		/* of at least so many bytes each */

	/*
	 * Where older entries than the outputs' may be in runs outside the merge:
	 * ascending and disjoint.  There a tombstone has to stay, everywhere else
	 * it goes (invariant 7).
	 */
	int			nolder;
	LsmRange   *older;
} LsmMergePlan;

typedef struct LsmJob
{
	SvArena		arena;
	LsmJobKind	kind;
	const char *reason;			/* for people: "12 WAL runs" */
	int			ninputs;
	LsmJobInput *inputs;		/* ascending by run.id */
	int			nmerges;
	LsmMergePlan *merges;		/* ascending by table */
	int64_t		newest_run_id;	/* of all runs that the choice knew */
	uint64_t	input_bytes;	/* to be read; 0 for moves and removals */
} LsmJob;

extern void lsm_job_free(LsmJob *job);	/* NULL is allowed */

/* Whether the merge's outputs may lack what hides older entries of the key. */
extern bool lsm_merge_may_drop(const LsmMergePlan *merge, SvSlice key);

/*
 * The same for ascending keys, in a step each: *at begins with 0 and is the
 * caller's to keep.
 */
extern bool lsm_merge_may_drop_next(const LsmMergePlan *merge, SvSlice key, int *at);

/* Where a job writes.  Level 0 is not in it: there the sequences keep order. */
typedef struct LsmTarget
{
	int32_t		table_id;
	int			level;
	LsmRange	range;
} LsmTarget;

/*
 * What a running job keeps others from: its inputs, all of them for all of
 * their tables, and its targets.  Also what is to be left alone for another
 * reason, such as the inputs of a job that has failed and waits.
 */
typedef struct LsmClaim
{
	int			nruns;
	const int64_t *run_ids;		/* in any order */
	int			ntargets;
	const LsmTarget *targets;
} LsmClaim;

/* The claim of a job, in the job's memory.  SV_NO_MEMORY. */
extern SvStatus lsm_job_claim(LsmJob *job, LsmClaim *claim, SvError *err);

#endif							/* LSM_JOB_H */
