/*
 * lsm_split.h
 *		A merge in pieces, for several workers: slices of its keys.
 *
 * Slices are disjoint and together the whole, so the workers share nothing:
 * each runs lsm_compact with its slice, and the outputs of all, in the order
 * of the slices, are the merge's.  Who splits the job appends the results
 * (lsm_result_append) and publishes them as one.
 */
#ifndef LSM_SPLIT_H
#define LSM_SPLIT_H

#include "lsm/lsm_compact.h"
#include "sst/sst_tail.h"

/* A key from which on there are so many bytes, up to the next mark of the same run. */
typedef struct LsmMark
{
	SvSlice		key;
	uint64_t	bytes;
} LsmMark;

typedef struct LsmMarks
{
	SvArena		arena;
	int			n;
	int			room;
	LsmMark    *marks;
} LsmMarks;

extern void lsm_marks_init(LsmMarks *marks, const SvAlloc *alloc);
extern void lsm_marks_free(LsmMarks *marks);

/* One mark; the key is copied. */
extern SvStatus lsm_marks_add(LsmMarks *marks, SvSlice key, uint64_t bytes, SvError *err);

/* The sources' first keys: good where a merge has many runs of few sequences. */
extern SvStatus lsm_marks_add_runs(LsmMarks *marks, const LsmJob *job, int merge, SvError *err);

/*
 * A source's blocks, some of them: good where runs are few and large.  Of a
 * WAL run only those of the table.
 */
extern SvStatus lsm_marks_add_blocks(LsmMarks *marks, const SstTail *tail, bool is_wal, int32_t table_id,
									 SvError *err);

/*
 * At most `pieces` slices of about equal bytes; fewer where marks are few.
 * slices has room for them; their keys point into the marks, which are sorted
 * on the way.  Returns how many there are, at least 1.
 */
extern int	lsm_split(LsmMarks *marks, int merge, int pieces, LsmSlice *slices);

/* Moves the outputs of `from` behind those of `to`, and adds its counts. */
extern SvStatus lsm_result_append(LsmResult *to, const LsmResult *from, SvError *err);

#endif							/* LSM_SPLIT_H */
