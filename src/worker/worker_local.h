/*
 * worker_local.h
 *		The chore that minds what of remote stores is on local disk.
 *
 * Mirrors, of servers with that option, are kept whole: an object of the
 * registry that is missing locally is fetched, one a turn, and once an hour what
 * no longer is in the catalogue is removed.  New runs are written locally before they
 * are published, by whoever uploads them; the chore is for what was there before the
 * mirror was, for what was damaged, and for what a full disk left out.
 *
 * A mirror that is not wanted any more (option off, other url, DROP SERVER, DROP DATABASE)
 * is removed as a whole.
 *
 * In the disk cache, what compaction, TRUNCATE and DROP have made garbage is
 * marked as the first to go: nobody with a new snapshot reads it.
 */
#ifndef WORKER_LOCAL_H
#define WORKER_LOCAL_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* For worker_chore.c. */
extern TimestampTz worker_local_run(void);

#endif							/* WORKER_LOCAL_H */
