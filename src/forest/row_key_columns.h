/*
 * row_key_columns.h
 *		Which columns of a foreign table are its key: the table option `key`.
 */
#ifndef ROW_KEY_COLUMNS_H
#define ROW_KEY_COLUMNS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/relcache.h"

/*
 * The attribute numbers of the key columns in the order of the key, as an
 * integer list.  Without the option it is the column called key.  Errors:
 * HV00J neither exists, 22023 not a list of names, 42703 no such column,
 * 42701 named twice, 0A000 a system or generated column.
 */
extern List *row_key_columns(Relation rel);

/* The table option `key`, or NULL. */
extern const char *row_key_option(Oid relid);

/*
 * The option (NULL: as if it named the column "key") with another name for a
 * column; NULL if it does not name it.
 */
extern const char *row_key_option_rename(const char *option, const char *old_name, const char *new_name);

#endif							/* ROW_KEY_COLUMNS_H */
