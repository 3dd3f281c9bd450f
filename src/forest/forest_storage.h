/*
 * forest_storage.h
 *		How a table's entries are to be stored: its options compression_level,
 *		dictionary and filter_bits, and when its runs are merged.
 *
 * They say how new runs are written; every reader reads every run.
 */
#ifndef FOREST_STORAGE_H
#define FOREST_STORAGE_H

#include "postgres.h"

#include "lsm/lsm_settings.h"
#include "sst/sst_filter.h"
#include "sst/sst_writer.h"

typedef struct ForestStorage
{
	int			zstd_level;		/* 0: as they are */
	int			dictionary_bytes;	/* the most it may have, at least SST_MIN_DICTIONARY_BYTES; 0: none */
	int			filter_bits;	/* a key; 0: no filter */
} ForestStorage;

#define STORAGE_MAX_LEVEL 19
#define STORAGE_MAX_DICTIONARY_KB 256
#define STORAGE_MAX_FILTER_BITS SST_FILTER_MAX_BITS

/*
 * The value of an option, from its text; false if it is none.  For dictionary
 * a size in memory units, answered in bytes.
 */
extern bool forest_storage_parse(const char *option, const char *text, int *value);

/* The options of a foreign table; the defaults for those it does not set, and for a table that is gone. */
extern ForestStorage forest_storage(Oid relid);

/* When the table is to be compacted: *settings, as its options override it. */
extern void forest_thresholds(Oid relid, LsmSettings *settings);

#endif							/* FOREST_STORAGE_H */
