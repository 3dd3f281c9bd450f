/*
 * store_s3v2_run.h
 *		Requests by libs3, some at a time, with their retries.  Private to the
 *		driver.
 */
#ifndef STORE_S3V2_RUN_H
#define STORE_S3V2_RUN_H

#include "store/store_s3v2_task.h"

/*
 * Does all of them, io_concurrency at a time.  On an error *failed (may be NULL)
 * is the index of the task that met it, or -1, and the others are dropped.
 * SV_NOT_FOUND of a HEAD, and short_range, are for the caller to look at: they are
 * no errors here.  Afterwards nothing of the tasks is used any more.
 */
extern SvStatus s3v2_run(S3V2Store *store, S3V2Task *tasks, int ntasks, int *failed,
						 const StoreCall *call, SvError *err);

/* Ends all requests, and with them the connections. */
extern void s3v2_drop_context(S3V2Store *store);

#endif							/* STORE_S3V2_RUN_H */
