/*
 * worker_ddl.h
 *		What the workers, and others, need to know of utility statements.
 *
 * A scheduler is a session of its database, and so is in the way of DROP
 * DATABASE, of ALTER DATABASE ... RENAME and SET TABLESPACE, and of CREATE
 * DATABASE for its template: these wait for sessions a few seconds, and only
 * autovacuum makes room by itself.  So we end the scheduler first, and let the
 * launcher look again when the transaction is over.
 */
#ifndef WORKER_DDL_H
#define WORKER_DDL_H

#include "postgres.h"

/* Installs the hooks, for _PG_init.  Whatever had them before is called too. */
extern void worker_ddl_install(void);

/*
 * callback is called after each CREATE FOREIGN TABLE that made a table, in its
 * transaction, with the table visible; it may raise an error.
 */
extern void worker_ddl_set_after_create_foreign_table(void (*callback) (Oid relid));

#endif							/* WORKER_DDL_H */
