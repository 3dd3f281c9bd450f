/*
 * forest_alter.h
 *		What ALTER TABLE may do to a foreign table whose rows are stored.
 *
 * Postgres changes the columns and options of a foreign table in its own
 * catalogue and leaves the rows to the wrapper.  Rows are never rewritten
 * here, so a change under which stored bytes would mean something else is
 * refused while there are rows: another type, unless old values are values of
 * the new one as they are; another key; another option `missing`.  A column that is
 * added gets that option, which gives old rows its default (row_missing.h); without
 * one that can be kept it may not be NOT NULL.  A renamed key column is renamed in
 * the option `key` as well, and may not be dropped.
 *
 * While the statement runs, a hook notes what it changes; what came of it is
 * looked at when it is done, so that one ALTER TABLE can do several things
 * which are right together; a default is kept as it is then.
 */
#ifndef FOREST_ALTER_H
#define FOREST_ALTER_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Called once, from _PG_init. */
extern void forest_alter_install_hook(void);

/*
 * Around each utility statement: begin gives what end, or abort after an error,
 * takes back.  forest_alter_end raises the error if the statement went too far:
 * 0A000, 23502, or what row_shape says of a bad key, or a type's input function of a
 * bad option `missing`.
 */
extern List *forest_alter_begin(void);
extern void forest_alter_end(List *outer);
extern void forest_alter_abort(List *outer);

#endif							/* FOREST_ALTER_H */
