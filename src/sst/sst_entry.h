/*
 * sst_entry.h
 *		What one key holds in a run: a value, or a tombstone.
 */
#ifndef SST_ENTRY_H
#define SST_ENTRY_H

#include "base/sv_slice.h"

/* Stored in files: never renumber. */
typedef enum SstKind
{
	SST_VALUE = 1,
	SST_TOMBSTONE = 2
} SstKind;

/* Microseconds since 2000-01-01 00:00 UTC, as Postgres counts. */
#define SST_NEVER_EXPIRES INT64_MAX

typedef struct SstEntry
{
	SvSlice		key;
	SvSlice		value;			/* empty for a tombstone */
	int64_t		expires_at;		/* SST_NEVER_EXPIRES if it does not */
	SstKind		kind;
} SstEntry;

/* Limits of the format.  Readers refuse what is over them. */
#define SST_MAX_KEY_BYTES	2048
#define SST_MAX_VALUE_BYTES (65 * 1024 * 1024)

#endif							/* SST_ENTRY_H */
