/*
 * fdw_analyze.h
 *		ANALYZE of a foreign table, by itself or as a part of its parent.
 *
 * Autovacuum never analyzes foreign tables.
 */
#ifndef FDW_ANALYZE_H
#define FDW_ANALYZE_H

#include "postgres.h"

#include "foreign/fdwapi.h"

extern bool fdw_analyze_table(Relation relation, AcquireSampleRowsFunc *acquire, BlockNumber *pages);

#endif							/* FDW_ANALYZE_H */
