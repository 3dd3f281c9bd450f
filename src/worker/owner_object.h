/*
 * owner_object.h
 *		The object OWNER of a vault: which database writes to it.
 *
 * It is replaced only by a conditional put, so of several who want to take the
 * vault one succeeds; its format is in LOGFORMAT.md.
 */
#ifndef OWNER_OBJECT_H
#define OWNER_OBJECT_H

#include "postgres.h"

#include "forest/forest_vault.h"
#include "store/object_store.h"

typedef struct OwnerObject
{
	int64		epoch;			/* grows with each takeover */
	const char *incarnation;	/* a random uuid of the takeover */
	const char *system_identifier;
	const char *database;		/* an oid */
	const char *taken;			/* when, for people */
	const char *history;		/* JSON, ascending: the line that leads here */
} OwnerObject;

/* "UUID/OWNER" */
extern char *owner_object_name(const ForestVault *vault);

/*
 * Reads it, in a transaction or outside.  False: there is none; etag is then "".
 * XX001 if it is damaged.
 */
extern bool owner_object_read(ObjectStore *store, const ForestVault *vault, OwnerObject *owner,
							  char etag[STORE_ETAG_BYTES]);

/*
 * Whether the store has no conditional puts, so that a replacement removes the
 * object first, and a death may leave none.
 */
extern bool owner_object_may_be_between(ObjectStore *store);

/* False if somebody else was faster. */
extern bool owner_object_replace(ObjectStore *store, const ForestVault *vault, const OwnerObject *owner,
								 const char etag[STORE_ETAG_BYTES]);

#endif							/* OWNER_OBJECT_H */
