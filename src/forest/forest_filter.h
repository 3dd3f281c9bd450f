/*
 * forest_filter.h
 *		A filter over the keys of the delta, in shared memory: which keys surely
 *		have no row there.
 *
 * Each database that a scheduler runs in has two generations of a Bloom filter,
 * as far as skyvault.delta_filter_size goes.  Who inserts a delta row adds its
 * key to the newest generation before the row is in the heap: a row trigger
 * does it (skyvault.delta_add_to_filter), so that it makes no difference
 * who inserts, or how.
 *
 * State	Readers				Changes to
 * UNKNOWN	probe				FILLING: an empty generation is published
 * FILLING	probe				COMPLETE: it has the keys of all rows
 * COMPLETE	ask the newest		BOTH: an empty generation is published, the newest from now on
 * BOTH		ask both			COMPLETE: the newest has the keys of all rows, the other one is dropped
 * any							UNKNOWN: forest_filter_forget
 *
 * That a generation "has the keys of all rows" means: of each row version that
 * any snapshot can see, now or later.  The scheduler (worker_filter.c) makes
 * sure of it after it has published one: it waits for the end of all
 * transactions that may have asked for the newest generation before, and then
 * adds what is in the heap.  All other transitions are safe at any time: until
 * that one has been made, readers have what they had before.
 *
 * The state is one word that changes with each transition and never has the
 * same value again.  A reader looks at it before and after it looks at bits,
 * and believes them only if it is the same, because a generation that was
 * dropped is cleared and published again.  Writers need no such care: bits too
 * many do no harm, and bits too few are made up for by the wait.
 *
 * After a restart, on a standby, or if all memory is taken by other databases,
 * the state is UNKNOWN.
 */
#ifndef FOREST_FILTER_H
#define FOREST_FILTER_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "utils/snapshot.h"

/* Size and lock requests, for shmem_request_hook; set-up, for shmem_startup_hook. */
extern void forest_filter_request(void);
extern void forest_filter_startup(void);

/* Adds a key, and that its table has some, to the newest generation of this database, if there is one. */
extern void forest_filter_add(int32 table_id, SvSlice key);

/*
 * Whether what the snapshot sees may be told from the filter at all: not in a
 * SERIALIZABLE transaction, whose reads have to leave predicate locks in the
 * delta, and not with a snapshot that was taken on a standby or that
 * old_snapshot_threshold may have taken rows from.
 */
extern bool forest_filter_serves(Snapshot snapshot);

/*
 * True: the key has no row in the delta that any snapshot sees which was taken
 * before this call and is served.
 */
extern bool forest_filter_excludes(int32 table_id, SvSlice key);

/* True: no key of the table has a row there; under the same terms.  Of others that have some it may be false. */
extern bool forest_filter_excludes_table(int32 table_id);

/* The same of many keys, whose memory misses overlap; false also where nothing can be said. */
extern void forest_filter_exclude(int32 table_id, const SvSlice *keys, int n, bool *excluded);

/* Asks for the memory that the answer will need, so that the misses of many keys overlap. */
extern void forest_filter_prefetch(int32 table_id, SvSlice key);

/* ---- For the scheduler of this database, which alone makes the transitions ---- */

typedef enum FilterPhase
{
	FILTER_UNKNOWN,
	FILTER_FILLING,
	FILTER_COMPLETE,
	FILTER_BOTH
} FilterPhase;

/* A state, to be compared and handed back. */
typedef uint64 FilterState;

/* Gets memory for this database if it has none; false if there is none to be had. */
extern bool forest_filter_claim(void);

/* What follows needs the memory. */
extern FilterState forest_filter_state(void);
extern FilterPhase forest_filter_phase(FilterState state);

/* UNKNOWN to FILLING, COMPLETE to BOTH; FILLING and BOTH to COMPLETE.  False if the state is another one by now. */
extern bool forest_filter_publish(FilterState state);
extern bool forest_filter_complete(FilterState state);

/* Whether no key was added to the newest generation. */
extern bool forest_filter_is_empty(FilterState state);

/* ---- For all, and never failing ---- */

/* To UNKNOWN, whatever it was. */
extern void forest_filter_forget(void);

/* The same for any database, and gives its memory back. */
extern void forest_filter_release(Oid dboid);

/* What there is to know about it. */
typedef struct FilterStats
{
	FilterPhase phase;
	int			generations;	/* published and not dropped */
	double		bits_set;		/* share in the newest, 0 to 1 */
	int64		checks;			/* keys asked for, and those excluded: sessions add theirs from time to time */
	int64		negatives;
} FilterStats;

extern FilterStats forest_filter_stats(void);

#endif							/* FOREST_FILTER_H */
