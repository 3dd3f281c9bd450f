/*
 * s3_batch.h
 *		Requests to S3 that run at once, each tried again as long as that may
 *		help.  Private to the S3 driver.
 *
 * A batch runs as many as the store's concurrency, in the order in which they
 * were added; what is tried again waits for a place, too.  The first that fails ends
 * it: those that run are dropped.
 */
#ifndef S3_BATCH_H
#define S3_BATCH_H

#include "store/s3_op.h"

/* How long a step waits at most. */
#define S3_STEP_MS 100

typedef struct S3Batch
{
	S3Store    *store;
	S3Op	   *queue;			/* not begun, first in first out */
	S3Op	   *queue_last;
	S3Op	   *active;			/* running or pausing, in no order */
	int			nactive;
	int			npending;		/* added, and not ended */
	uint64_t	deadline_us;
	int			timeout_ms;
	S3Op	   *failed;			/* that ended it */
	SvStatus	status;			/* SV_OK as long as none has failed */
	SvError		error;			/* of the last try that did not do, in case that no time is left for another */
	S3Op	   *error_op;
} S3Batch;

extern void s3_batch_init(S3Batch *batch, S3Store *store, const StoreCall *call);

/* Begins the time limits of a call anew, for a batch that lives longer than one. */
extern void s3_batch_renew(S3Batch *batch, const StoreCall *call);

/* The op stays the caller's, and where it is, until it or the batch has ended. */
extern void s3_batch_add(S3Batch *batch, S3Op *op);

/* How many ops have not ended. */
extern int	s3_batch_pending(const S3Batch *batch);

/* Starts what may run at once, and waits for nothing but keys that have to be renewed.  As s3_batch_step otherwise. */
extern SvStatus s3_batch_start(S3Batch *batch, const StoreCall *call, SvError *err);

/*
 * Goes on, waiting at most max_wait_ms.  Anything but SV_OK is the end of the
 * batch: an op failed, the call was cancelled, or its time is over.
 */
extern SvStatus s3_batch_step(S3Batch *batch, const StoreCall *call, int max_wait_ms, SvError *err);

/* Until all have ended; calls the call's progress callback between the steps. */
extern SvStatus s3_batch_finish(S3Batch *batch, const StoreCall *call, SvError *err);

/* Drops what runs; ops that have not ended never will. */
extern void s3_batch_drop(S3Batch *batch, const StoreCall *call);

/*
 * One op from start to end.  Its status if that is an answer (SV_NOT_FOUND,
 * SV_EXISTS with err filled in), else why it failed.
 */
extern SvStatus s3_run(S3Store *store, S3Op *op, const StoreCall *call, SvError *err);

#endif							/* S3_BATCH_H */
