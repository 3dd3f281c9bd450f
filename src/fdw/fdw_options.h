/*
 * fdw_options.h
 *		The options of servers, user mappings, foreign tables and their columns.
 *
 * server	url		's3://bucket/prefix', 'file:/absolute/directory', or 'file:directory', below the
 *					data directory
 *			shared	whether standbys and base backups reach the store too
 *			async_capable, batch_size	as of its tables
 *			more that is about S3: fdw_server_options.h
 * mapping	access_key_id, secret_access_key, session_token
 * table	key		the key columns, in order
 *			ttl		how long a written row lives
 *			insert	what INSERT does with a key that exists: 'replace' it, or fail ('strict')
 *			async_capable	whether scans of it wait together with others (fdw_async.h)
 *			batch_size	rows of an INSERT that are written at once
 *			and those of forest_storage.h and pg_thresholds.h
 * column	missing	what it has in rows that are older (row_missing.h)
 *
 * Wrappers have none.
 */
#ifndef FDW_OPTIONS_H
#define FDW_OPTIONS_H

#include "postgres.h"

/* 22023, with a hint of what values there are. */
extern void fdw_options_bad_value(const char *name, const char *value, const char *hint);

/*
 * Checks the options (a text[] as catalogues store them) of an object in the
 * catalogue: HV00D for an unknown name, 22023 for a value that does not fit,
 * 42501 for one that the current user may not give.
 */
extern void fdw_options_validate(Datum options, Oid catalog);

#endif							/* FDW_OPTIONS_H */
