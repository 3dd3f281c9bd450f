/*
 * pg_status.h
 *		The bridge from the server-free layers to Postgres: statuses become
 *		errors, and palloc becomes an allocator.
 */
#ifndef PG_STATUS_H
#define PG_STATUS_H

#include "postgres.h"

#include "base/sv_alloc.h"
#include "base/sv_status.h"

/*
 * Raises err at the given level with its detail and the SQLSTATE of its status:
 * SV_CORRUPT XX001, SV_IO and SV_NOT_FOUND 58030, SV_DENIED 42501... the table is in
 * pg_status.c, with a hint for errors that bring none of their own.  SV_CANCELLED is
 * raised as what this process was told to stop by.
 */
extern void pg_status_report(int elevel, const SvError *err);

/* For calls that may only succeed, as in: PG_STATUS_CHECK(f(..., &err), &err). */
#define PG_STATUS_CHECK(call, err) \
	do { \
		if (unlikely((call) != SV_OK)) \
			pg_status_report(ERROR, (err)); \
	} while (0)

/*
 * An allocator over a memory context.  allocate returns NULL instead of
 * raising an error, as sv_alloc.h demands.
 */
extern SvAlloc pg_status_alloc(MemoryContext context);

/*
 * Whether this process should stop what it does below the layers that may
 * raise errors: it was cancelled or terminated, its client has gone, or it is in the
 * way of a recovery; CHECK_FOR_INTERRUPTS says so.
 */
extern bool pg_status_must_stop(void);

#endif							/* PG_STATUS_H */
