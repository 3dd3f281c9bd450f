/*
 * store_conformance.h
 *		What every object store must do, as tests.
 */
#ifndef STORE_CONFORMANCE_H
#define STORE_CONFORMANCE_H

#include "store/object_store.h"

/* Runs the tests against an empty store, and leaves it empty.  The number of failures. */
extern int	store_conformance(ObjectStore *store, const char *driver);

#endif							/* STORE_CONFORMANCE_H */
