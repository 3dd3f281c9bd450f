/*
 * forest_store_local.h
 *		What of a remote store is kept on local disk.
 */
#ifndef FOREST_STORE_LOCAL_H
#define FOREST_STORE_LOCAL_H

#include "postgres.h"

#include "foreign/foreign.h"
#include "store/object_store.h"

/*
 * The same store with the server's disk tier before it, if there is one.  Takes
 * over remote, also on an error.
 */
extern ObjectStore *forest_store_local(ForeignServer *server, ObjectStore *remote);

#endif							/* FOREST_STORE_LOCAL_H */
