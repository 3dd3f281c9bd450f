/*
 * restore_tables.h
 *		Foreign tables made from what a restore has read.
 */
#ifndef RESTORE_TABLES_H
#define RESTORE_TABLES_H

#include "worker/restore_state.h"

/* Makes the foreign tables, as the current user; returns how many. */
extern int	restore_make_tables(RestoreState *state);

/* Keeps them in the catalogue for IMPORT FOREIGN SCHEMA instead; returns how many. */
extern int	restore_keep_definitions(RestoreState *state);

/*
 * CREATE FOREIGN TABLE for a definition, under a name that is quoted where it needs to be.
 * Where columns were dropped it has others, so that those behind them have their numbers; they
 * are to be dropped by restore_finish_table, which also gives the table, whose identity is new,
 * that which the runs know it by.
 */
extern char *restore_table_command(const char *definition, const char *name, const char *server);
extern void restore_finish_table(const RestoreTable *table, Oid relid);

#endif							/* RESTORE_TABLES_H */
