/*
 * worker_export.h
 *		The changelog goes to the store, and from the catalogue.
 */
#ifndef WORKER_EXPORT_H
#define WORKER_EXPORT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "forest/forest_vault.h"

/* The chore CHORE_EXPORT. */
extern TimestampTz worker_export_run(void);

/* Exports all that has a number now, and definitions that have changed.  How many changes. */
extern int64 worker_export_vault(ForestVault *vault);

#endif							/* WORKER_EXPORT_H */
