/*
 * api_kv.h
 *		Argument helpers that the SQL functions on one key and on many share.
 */
#ifndef API_KV_H
#define API_KV_H

#include "postgres.h"

#include "fmgr.h"

/* Argument n as a table; 22004 if null. */
extern Oid	api_relation_arg(FunctionCallInfo fcinfo, int n);

/* Argument n as a one-dimensional array of text, bytea or regclass; returns its length. */
extern int	api_array_arg(FunctionCallInfo fcinfo, int n, const char *what, Datum **elements, bool **nulls);

#endif							/* API_KV_H */
