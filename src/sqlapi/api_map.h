/*
 * api_map.h
 *		Opening the maps that the SQL functions work on, with the privilege check.
 *
 * A map has one text or bytea key column and one text or bytea value column
 * (row_shape_is_map).  The variant of a function for text serves text and
 * varchar columns, the one for bytea bytea columns.
 */
#ifndef API_MAP_H
#define API_MAP_H

#include "postgres.h"

#include "fmgr.h"
#include "forest/forest_table.h"
#include "forest/row_shape.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

typedef struct ApiMap
{
	Relation	rel;			/* NULL: opened by api_map_open_for_read */
	const ForestTable *table;
	const RowShape *shape;
	AttrNumber	value_attno;
} ApiMap;

/*
 * Opens and locks a relation (42P01 if there is none); api_relation_open checks
 * the caller's privilege on it and on its schema (42501), too.
 */
extern Relation api_relation_lock(Oid relid, LOCKMODE lockmode);
extern Relation api_relation_open(Oid relid, AclMode privilege);

/*
 * 42501 if the caller does not own the relation, 42809 if it is none of ours.  Before a lock that others
 * would wait for, and again behind it.
 */
extern void api_relation_check_owner(Oid relid);

/*
 * Opens a map, checks the caller's privilege (42501), that it is one (42809),
 * and that its columns are of the given type, TEXTOID or BYTEAOID (42804).
 * For ACL_SELECT it is opened for reading, else for writing: then tables whose
 * triggers, CHECK constraints or partition bound a put would pass by are 42809.
 */
extern void api_map_open(ApiMap *map, Oid relid, AclMode privilege, Oid type);

/*
 * api_map_open for ACL_SELECT, without opening the relation: what it has found
 * out of a map before is kept for the session, as long as it holds.  Lock and
 * privileges are not kept: each call locks and checks.  The type is that of
 * argument n of the function called.  There is nothing to close; the map is
 * valid to the end of the statement.
 */
extern void api_map_open_for_read(ApiMap *map, Oid relid, FunctionCallInfo fcinfo, int n);

/*
 * The table that api_map_open_for_read will most likely find, or NULL: at no
 * check whatsoever, for guesses.
 */
extern const ForestTable *api_map_expected(Oid relid, FunctionCallInfo fcinfo);

/* Closes the relation and keeps its lock to the end of the transaction. */
extern void api_map_close(ApiMap *map);

#endif							/* API_MAP_H */
