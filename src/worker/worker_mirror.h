/*
 * worker_mirror.h
 *		The chore that keeps mirrors whole, of servers with the option mirror: an
 *		object of the registry that is missing locally is fetched, one a turn, and
 *		once an hour what no longer is in the catalogue is removed.
 *
 * New runs are written locally before they are published, by whoever uploads
 * them; the chore is for what was there before the mirror was, for what was
 * damaged, and for what a full disk left out.
 */
#ifndef WORKER_MIRROR_H
#define WORKER_MIRROR_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* For worker_chore.c. */
extern TimestampTz worker_mirror_run(void);

#endif							/* WORKER_MIRROR_H */
