/*
 * forest_pause.h
 *		Vaults for which workers begin no compaction: rows of skyvault.pause.
 *
 * Flushes, exports, snapshots and garbage collection go on: without exports a
 * restore would fall behind, and what no collection may take is for retention
 * and snapshots with a name to say.
 */
#ifndef FOREST_PAUSE_H
#define FOREST_PAUSE_H

#include "postgres.h"

#include "utils/snapshot.h"

/* As the snapshot sees it; NULL: the latest. */
extern bool forest_is_paused(int32 vault_id, Snapshot snapshot);

/* In this transaction; nothing happens if it is so already. */
extern void forest_pause(int32 vault_id);
extern void forest_resume(int32 vault_id);

#endif							/* FOREST_PAUSE_H */
