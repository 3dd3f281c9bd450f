/*
 * forest_delta_write.h
 *		Inserting delta rows and claims.
 *
 * Both wait for other writers of the same keys, and under REPEATABLE READ and
 * above raise 40001 if a row that is there is not visible to the
 * transaction's snapshot.  The caller holds the table lock in RowExclusive.
 */
#ifndef FOREST_DELTA_WRITE_H
#define FOREST_DELTA_WRITE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_write.h"

/* Inserts or replaces rows, which are in ascending key order without repeats. */
extern void delta_upsert(int32 table_id, const ForestWrite *writes, int n);

/* Owns the slots of the keys (ascending, no repeats): inserts a claim, or locks the row that is there. */
extern void delta_claim(int32 table_id, const SvSlice *keys, int n);

#endif							/* FOREST_DELTA_WRITE_H */
