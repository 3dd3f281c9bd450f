/*
 * forest_traffic.h
 *		What goes through each vault, counted in shared memory: for
 *		amplification and for back-pressure.
 *
 * A fixed array of places, one for each vault of any database that was written
 * to since the server started; vaults beyond have none, and are neither counted
 * nor slowed down.  All fields but the key are atomic and need no lock; nothing
 * in it is needed after a restart.
 */
#ifndef FOREST_TRAFFIC_H
#define FOREST_TRAFFIC_H

#include "postgres.h"

#include "port/atomics.h"

#define TRAFFIC_MAX_VAULTS 512

/* They only grow. */
typedef enum TrafficCounter
{
	TRAFFIC_COMMITTED,			/* bytes that committed transactions put into the delta */
	TRAFFIC_FLUSHED,			/* bytes of files that flushes wrote, */
	TRAFFIC_COMPACTED_IN,		/* that compactions read */
	TRAFFIC_COMPACTED_OUT,		/* and written by them */
	TRAFFIC_DELAYED,			/* writes that were slowed down or held */
	TRAFFIC_DELAY_US,			/* how long, together */
	TRAFFIC_GAVE_UP,			/* writes that were held as long as may be */
	TRAFFIC_COUNTERS
} TrafficCounter;

typedef struct VaultTraffic
{
	Oid			dboid;			/* InvalidOid: a free place; never changes once set */
	int32		vault_id;
	pg_atomic_uint64 counters[TRAFFIC_COUNTERS];
	pg_atomic_uint64 base[TRAFFIC_COUNTERS];	/* the counters at the last reset */
	pg_atomic_uint64 asked_base;	/* forest_traffic_runs_asked and _found then */
	pg_atomic_uint64 found_base;
	pg_atomic_uint64 reset_at;	/* TimestampTz */

	/* For back-pressure: see worker_pressure.h. */
	pg_atomic_uint64 taken;		/* TRAFFIC_COMMITTED when the last flush that went well began */
	pg_atomic_uint32 flush_fails;	/* 1: the last flush did not go well */
	pg_atomic_uint32 compaction_rests;	/* 1: nobody compacts now: paused, failing, no workers */
	pg_atomic_uint32 wal_debt;	/* in hundredths of what is due */
	pg_atomic_uint32 level0_debt;
	pg_atomic_uint32 waiting;	/* backends that wait now */
} VaultTraffic;

/* For shmem_request_hook and shmem_startup_hook. */
extern void forest_traffic_shmem_request(void);
extern void forest_traffic_shmem_startup(void);

/* The place of a vault of this database; NULL if it has none, and none can be made or `make` is false. */
extern VaultTraffic *forest_traffic(int32 vault_id, bool make);

extern void forest_traffic_add(int32 vault_id, TrafficCounter counter, uint64 amount);

/* Since the last reset. */
extern uint64 forest_traffic_get(VaultTraffic *traffic, TrafficCounter counter);
extern void forest_traffic_reset(VaultTraffic *traffic);

/*
 * Of the whole server, since it started: runs that lookups and scans have asked
 * (a filter that said no, or a block that was looked at), and how many of these
 * had something.
 */
extern uint64 forest_traffic_runs_asked(void);
extern uint64 forest_traffic_runs_found(void);

#endif							/* FOREST_TRAFFIC_H */
