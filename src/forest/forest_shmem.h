/*
 * forest_shmem.h
 *		Who is changing the forest: counters in shared memory, by which a reader
 *		knows without looking at the changelog that nothing has changed.
 *
 * A transaction that changes the forest (whoever writes rows of the changelog,
 * the registry or floors) begins a change right before its commit and ends it
 * after its commit or abort is visible.  To begin raises `pending`, then
 * `changes`; to end lowers `pending`.  A prepared transaction is ended by
 * somebody who runs none of our code: so PREPARE, before it lowers `pending`,
 * raises a flag, and only a scheduler lowers it, once no such prepared
 * transaction is left.  The flag is up from the start of the server until a
 * scheduler has looked.
 *
 * So whoever reads, in this order, `changes` = c, `pending` = 0 and the flag
 * down, and then takes a snapshot, has in sight all changes that were begun
 * before c was read: each of them has raised `pending` before `changes`, and
 * lowered it after its end was visible, or was prepared, raised the flag before
 * it lowered `pending`, and was seen to be gone since.  And a snapshot after
 * whose taking `changes` is still c has no other change in sight.
 * forest_snapshot.c makes use of that.
 *
 * Databases share the counters if their oids fall together: then the changes
 * of one look like changes of the other, which costs a probe and breaks nothing.
 * There is nothing to claim, and nothing to free when a database is dropped.
 */
#ifndef FOREST_SHMEM_H
#define FOREST_SHMEM_H

#include "postgres.h"

/* Size requests, for shmem_request_hook; set-up, for shmem_startup_hook. */
extern void forest_shmem_request(void);
extern void forest_shmem_startup(void);

/* For the transaction that changes the forest; each begin needs exactly one end.  Must not fail. */
extern void forest_changes_begin(void);
extern void forest_changes_end(void);

/* The transaction is prepared: before its forest_changes_end. */
extern void forest_changes_note_prepared(void);

/*
 * How many changes were begun in this database.  Whatever was read before this
 * call, in the order of the program, was read before the count.
 */
extern uint64 forest_changes_count(void);

/*
 * *count as above.  True if every change that it counts is over, in the sense
 * that a snapshot taken from now on tells what became of it.
 */
extern bool forest_changes_all_over(uint64 *count);

/*
 * For schedulers.  The mark is 0 if the flag is down.  Otherwise: take the
 * mark, look at the prepared transactions of all databases for which
 * forest_changes_shared_with is true, and if there are none clear the mark.
 * Who prepares meanwhile makes the mark void.
 */
extern uint64 forest_changes_prepared_mark(void);
extern bool forest_changes_shared_with(Oid dboid);
extern void forest_changes_clear_prepared(uint64 mark);

#endif							/* FOREST_SHMEM_H */
