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

/* Chains object_access_hook, so that what Postgres drops is dropped here in the same transaction. */
extern void forest_truncate_install_hook(void);

#endif							/* FOREST_TRUNCATE_H */
