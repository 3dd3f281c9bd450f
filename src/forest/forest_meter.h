/*
 * forest_meter.h
 *		What reading and writing takes, counted by each process for itself: for
 *		EXPLAIN.
 *
 * Counters only grow, from anything on, and belong to no statement: who wants to
 * know what something took reads them before and after, as Postgres does with
 * pgBufferUsage.  What they count is counted whether anybody asks or not, so it is
 * counted where that costs nothing: per batch, per run, per request.
 *
 * A ForestMeter is plain data, good to be copied and summed: those of parallel
 * workers too.
 */
#ifndef FOREST_METER_H
#define FOREST_METER_H

#include "postgres.h"

#include "portability/instr_time.h"

typedef enum ForestMeterCounter
{
	/* Pairs of a key, or of a range of keys, and a run of its table. */
	METER_RUNS_CONSIDERED,		/* that came before the answer in lookup order */
	METER_RUNS_OUT_OF_RANGE,	/* of these: the run's keys are others */
	METER_RUNS_FILTERED,		/* of the rest: the run's filter says no */

	METER_MODEL_LOOKUPS,		/* keys looked for in a run's learned index */
	METER_MODEL_FALLBACKS,		/* of these: led to a leaf without a model, or there was no index: binary search */

	METER_TAILS_LOADED,
	METER_BLOCKS_CACHED,		/* found in the cache of blocks */
	METER_BLOCKS_WAITED,		/* of these: another process was loading it */
	METER_BLOCKS_DISK,			/* loaded, and the disk tier had all of it */
	METER_BLOCKS_STORE,			/* loaded otherwise */
	METER_BLOCKS_STREAMED,		/* read past the cache by a large scan, in pieces of many blocks */
	METER_DISK_BYTES,			/* that the disk tier answered, of blocks, pieces and tails */

	METER_STORE_GETS,			/* retries and hedges too */
	METER_STORE_BYTES_READ,
	METER_STORE_PUTS,
	METER_STORE_BYTES_WRITTEN,
	METER_STORE_US,				/* spent in calls that read from the store, or its disk tier */
	METER_COUNTERS
} ForestMeterCounter;

typedef struct ForestMeter
{
	uint64		n[METER_COUNTERS];
} ForestMeter;

/* The process's counters as they are now. */
extern void forest_meter_read(ForestMeter *meter);

/* sum += now - since */
extern void forest_meter_add_since(ForestMeter *sum, const ForestMeter *since);

/* sum += part */
extern void forest_meter_add(ForestMeter *sum, const ForestMeter *part);

/* ---- for those who count ---- */

/* Those that nobody else keeps. */
typedef struct ForestMeterOwn
{
	uint64		runs_considered;
	uint64		runs_asked;
	uint64		blocks_disk;
	uint64		store_us;
} ForestMeterOwn;

extern ForestMeterOwn forest_meter_own;

/* Some pairs of a key or range and a run: how many came up, and how many of them the key ranges left. */
static inline void
forest_meter_runs(uint64 considered, uint64 asked)
{
	forest_meter_own.runs_considered += considered;
	forest_meter_own.runs_asked += asked;
}

/* A call that reads from a store. */
typedef struct ForestMeterCall
{
	instr_time	start;
	uint64		answered;		/* by the disk tier, before it */
} ForestMeterCall;

extern void forest_meter_call_begin(ForestMeterCall *call);

/* blocks: of the ranges that were asked for, how many are single blocks. */
extern void forest_meter_call_end(const ForestMeterCall *call, uint32 blocks);

#endif							/* FOREST_METER_H */
