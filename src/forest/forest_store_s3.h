/*
 * forest_store_s3.h
 *		From the options of a foreign server and its user mapping to a store of
 *		the S3 drivers.
 */
#ifndef FOREST_STORE_S3_H
#define FOREST_STORE_S3_H

#include "postgres.h"

#include "foreign/foreign.h"
#include "forest/forest_store_url.h"
#include "store/object_store.h"

/*
 * Makes no request.  Needs a transaction; raises errors: 42704 if there are no
 * keys.  conditions_ignored: the store is known to ignore conditions of puts.
 */
extern ObjectStore *forest_store_s3_open(ForeignServer *server, const StoreUrl *url, bool conditions_ignored);

/*
 * What tells the store from others, for pg_store_fact; 0 if nobody has to find out what it does
 * with conditional puts: it knows none, or an option says so.
 */
extern uint64 forest_store_s3_identity(ForeignServer *server);

#endif							/* FOREST_STORE_S3_H */
