/*
 * forest_truncate.h
 *		Emptying and dropping tables, and dropping servers.
 *
 * Works on the latest state by table access method, whatever the
 * transaction's own snapshot is.  forest_truncate is declared in
 * forest_write.h.
 */
#ifndef FOREST_TRUNCATE_H
#define FOREST_TRUNCATE_H

#include "forest/forest_table.h"

/* Chains object_access_hook, so that what Postgres drops is dropped here in the same transaction. */
extern void forest_truncate_install_hook(void);

/* An empty table gets the key that it is declared with.  The caller has locked the relation against all others. */
extern void forest_table_store_key(const ForestTable *declared);

#endif							/* FOREST_TRUNCATE_H */
