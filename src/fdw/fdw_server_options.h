/*
 * fdw_server_options.h
 *		Checks of the options of servers and user mappings.
 *
 * Who may give what: a server's owner decides what the server process connects
 * to, with keys of a user mapping.  Options that make that process use what is
 * its own, that is files of its machine (an absolute directory, tls_ca_file,
 * profile) or its own identity (credentials other than 'mapping'), are for
 * superusers and members of pg_read_server_files (for directories, which are
 * written too, also of pg_write_server_files).  Postgres shows the validator
 * all options of the server at each change, not only those that are changed: so
 * nobody else can point a server that has such an option elsewhere, only take
 * the option away.
 */
#ifndef FDW_SERVER_OPTIONS_H
#define FDW_SERVER_OPTIONS_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Checks of one value, for FdwOption. */
extern void fdw_check_url(const char *name, const char *value);
extern void fdw_check_endpoint(const char *name, const char *value);
extern void fdw_check_region(const char *name, const char *value);
extern void fdw_check_signature(const char *name, const char *value);
extern void fdw_check_conditional_puts(const char *name, const char *value);
extern void fdw_check_ca_file(const char *name, const char *value);
extern void fdw_check_credentials(const char *name, const char *value);
extern void fdw_check_profile(const char *name, const char *value);
extern void fdw_check_io_concurrency(const char *name, const char *value);
extern void fdw_check_secret(const char *name, const char *value);

/* Checks of a server's options, or a user mapping's, together: a list of DefElem. */
extern void fdw_server_options_check(List *options);
extern void fdw_mapping_options_check(List *options);

#endif							/* FDW_SERVER_OPTIONS_H */
