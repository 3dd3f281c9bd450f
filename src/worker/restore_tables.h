/*
 * restore_tables.h
 *		Foreign tables made from what a restore has read.
 */
#ifndef RESTORE_TABLES_H
#define RESTORE_TABLES_H

#include "worker/restore_state.h"

/* Makes the foreign tables, as the current user; returns how many. */
extern int	restore_make_tables(RestoreState *state);

#endif							/* RESTORE_TABLES_H */
