/*
 * forest_table.h
 *		From a foreign table of the wrapper "skyvault" to its identity in the
 *		catalogue: table id, vault, options.
 *
 * Both identities are made at first use, in the user's transaction, so that
 * they go away with it if it aborts; CREATE FOREIGN TABLE is a use.  Ids are
 * the catalogue's own and never reused; which relation has which one changes by
 * forest_swap only.  Handles are cached per backend until the relation, its
 * server, a swap or an aborted registration invalidates them, so callers look up
 * again in each statement.
 */
#ifndef FOREST_TABLE_H
#define FOREST_TABLE_H

#include "postgres.h"

#include "access/transam.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

typedef struct ForestTable
{
	Oid			relid;
	Oid			server_oid;
	int32		table_id;		/* 0: nothing was ever written to it */
	int32		vault_id;		/* 0: likewise */
	TransactionId bound_by;		/* wrote the row that says so; not a normal one: seen by everybody */
	int32		stored_signature;	/* of the keys of its entries, if it has an identity */
	int32		key_signature;	/* of the key columns as they are declared now */
	bool		strict_insert;	/* option insert 'strict' */
	bool		async_capable;	/* option of the table, or else of the server */
	int			batch_size;		/* option batch_size of the table, or else of the server: rows of one INSERT batch */
	bool		has_ttl;
	Interval	ttl;			/* option ttl, if has_ttl */
} ForestTable;

/*
 * For reading.  The caller has locked the relation and checked privileges.
 * 42809 if it is not a foreign table of this wrapper.  Valid to the end of
 * the statement.
 */
extern const ForestTable *forest_table_for_read(Oid relid);

/*
 * Which content a relation has changes by forest_swap.  The handle that
 * forest_table_for_read answers is of now; a statement reads what its snapshot
 * sees there, by the handle that this answers: mostly the same one, else one with
 * the identity of then, good until it is asked for the same relation again.
 * 40001 if the content was another relation's then, and this one had none.
 */
static inline const ForestTable *forest_table_seen(const ForestTable *table, Snapshot snapshot);

/*
 * 40001 if the snapshot sees another content in the relation: for who changes rows
 * that it has read under it.  Under REPEATABLE READ forest_table_for_write asks
 * this by itself.
 */
extern void forest_table_check_seen(const ForestTable *table, Snapshot snapshot);

/* This transaction has changed which content relations have, which earlier snapshots of it do not see. */
extern void forest_table_note_swap(void);

/*
 * A number that changes before anything that forest_table_for_read has told of
 * a table with an identity becomes wrong, or row_shape of such a table: who
 * keeps the handle, and what was made of it, asks this after locking the
 * relation.
 */
extern uint64 forest_table_generation(void);

/* The same for writing: makes table and vault identities if need be. */
extern const ForestTable *forest_table_for_write(Oid relid);

/*
 * 42804 if the key columns were changed (other columns, other types) after
 * entries were stored: their keys and new ones do not compare.  Every lookup,
 * scan and write begins with this.  TRUNCATE makes the table usable again.
 */
extern void forest_table_check_key(const ForestTable *table);

/* The relation of a table id; InvalidOid if the snapshot sees no such table. */
extern Oid	forest_table_relid(int32 table_id, Snapshot snapshot);

/* Whether the relation is a foreign table of this wrapper. */
extern bool forest_is_skyvault_relation(Oid relid);

/* Whether the server is one of this wrapper, by whatever name the wrapper goes. */
extern bool forest_is_skyvault_server(Oid server_oid);

/* Sets *n if the value of option "batch_size" is a number from 1 to 100,000. */
extern bool forest_parse_batch_size(const char *value, int *n);

/* The option's value in a list of DefElems, or NULL. */
extern const char *forest_option(List *options, const char *name);

/* expires_at for a write of this table in the current statement: ttl overrides the table's (NULL: the table's). */
extern TimestampTz forest_table_expiry(const ForestTable *table, const Interval *ttl);

extern const ForestTable *forest_table_seen_before(const ForestTable *table, Snapshot snapshot);

static inline const ForestTable *
forest_table_seen(const ForestTable *table, Snapshot snapshot)
{
	if (likely(!TransactionIdIsNormal(table->bound_by) || (int32) (table->bound_by - snapshot->xmin) < 0))
		return table;
	return forest_table_seen_before(table, snapshot);
}

#endif							/* FOREST_TABLE_H */
