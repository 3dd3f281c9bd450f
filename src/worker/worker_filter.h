/*
 * worker_filter.h
 *		What a scheduler does for the filter over its delta's keys.
 *
 * All of these are called outside a transaction, never fail, and wait for
 * nobody's transaction; they start transactions of their own.
 */
#ifndef WORKER_FILTER_H
#define WORKER_FILTER_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* Before a flush takes its first snapshot, and after its last publish. */
extern void worker_filter_before_flush(void);
extern void worker_filter_after_flush(void);

/*
 * Does what is due.  Returns when to call again at the latest, DT_NOEND if
 * there is nothing to do before the next flush.
 */
extern TimestampTz worker_filter_upkeep(void);

/* The extension is gone, and with it the delta. */
extern void worker_filter_leave(void);

#endif							/* WORKER_FILTER_H */
