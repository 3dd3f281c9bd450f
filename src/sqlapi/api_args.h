/*
 * api_args.h
 *		From the arguments of the SQL functions to tables, keys and values, and
 *		from values to datums.
 */
#ifndef API_ARGS_H
#define API_ARGS_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "fmgr.h"
#include "sqlapi/api_map.h"
#include "utils/array.h"

/* BYTEAOID if argument n is bytea or bytea[], else TEXTOID. */
extern Oid	api_map_type(FunctionCallInfo fcinfo, int n);

/* Argument n as a table, by oid or by name; 22004 if null. */
extern Oid	api_relation_arg(FunctionCallInfo fcinfo, int n);
extern Oid	api_relation_name_arg(FunctionCallInfo fcinfo, int n);

/* Argument n as an array; 22004 if null, 2202E if it has more than one dimension. */
extern ArrayType *api_array_arg(FunctionCallInfo fcinfo, int n, const char *what);

/* The elements of an array of text, bytea or regclass; returns their number. */
extern int	api_array_elements(ArrayType *array, Datum **elements, bool **nulls);

/*
 * Argument n, an array of regclass, as maps to read: the i-th is for element i
 * of argument n + 1, the keys, and *relids gets its oid.  2202E if the arrays differ in
 * length, 22004 if a table is null.
 */
extern const ApiMap *const *api_maps_arg(FunctionCallInfo fcinfo, int n, ArrayType *keys,
										 Oid **relids);

/* The bytes of a text or bytea datum, detoasted in CurrentMemoryContext; 22004 if isnull. */
extern SvSlice api_key(Datum datum, bool isnull);

/* The encoding of a value, palloc'd; 23502 if it is null and the column does not allow it. */
extern SvSlice api_value(const ApiMap *map, Datum datum, bool isnull);

/* The bytes of the value column in an encoded value, not copied, data never NULL; false: NULL. */
extern bool api_value_bytes(const ApiMap *map, SvSlice value, SvSlice *bytes);

/* The value column's datum, text or bytea; false: NULL. */
extern bool api_result(const ApiMap *map, SvSlice value, Datum *datum);

#endif							/* API_ARGS_H */
