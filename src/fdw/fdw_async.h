/*
 * fdw_async.h
 *		Scans below one Append that wait for their stores together: tables, or servers,
 *		with option async_capable.
 *
 * Nothing is under way between two calls of the executor.  A scan that was asked for
 * its first row waits without doing anything; when the executor has nothing else to do,
 * one call reads what all that wait need first.  From then on one that has to wait for
 * a block reads ahead for the others as well (forest_scans_open).
 */
#ifndef FDW_ASYNC_H
#define FDW_ASYNC_H

#include "postgres.h"

#include "foreign/fdwapi.h"

/* Of FdwRoutine. */
extern bool fdw_async_is_capable(ForeignPath *path);
extern void fdw_async_request(AsyncRequest *areq);
extern void fdw_async_configure_wait(AsyncRequest *areq);
extern void fdw_async_notify(AsyncRequest *areq);

#endif							/* FDW_ASYNC_H */
