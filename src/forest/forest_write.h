/*
 * forest_write.h
 *		Writing keys: puts and deletes go to the delta (ARCHITECTURE.md: "Life of a put").
 *
 * Every call takes the table lock in RowExclusive, held to the end of the
 * transaction, waits for other writers of the same keys, and is seen by this
 * transaction from its next command on.  Under REPEATABLE READ and above it
 * raises 40001 where another transaction has written a key since the snapshot.
 * Keys over FOREST_MAX_KEY_BYTES are 54000, values over FOREST_MAX_VALUE_BYTES
 * too.  The caller has checked privileges.
 */
#ifndef FOREST_WRITE_H
#define FOREST_WRITE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_read.h"
#include "forest/forest_table.h"

#define FOREST_MAX_KEY_BYTES	2000
#define FOREST_MAX_VALUE_BYTES	(64 * 1024 * 1024)

/* What a row's encoding may add. */
#define FOREST_ENCODING_BYTES	4096

typedef struct ForestWrite
{
	SvSlice		key;
	SvSlice		value;			/* ignored for a delete */
	bool		is_delete;
	TimestampTz expires_at;		/* DT_NOEND: never; ignored for a delete */
} ForestWrite;

/*
 * Writes n entries as one operation, in key order; of equal keys the last one
 * wins.  The array is reordered.
 */
extern void forest_write(const ForestTable *table, ForestWrite *writes, int n);

/* Raise 54000 if the key, or a value before its encoding, is too long to store. */
extern void forest_check_key(SvSlice key);
extern void forest_check_value(SvSlice value);

/* The same of an encoded one. */
extern void forest_check_encoded_value(SvSlice value);

/*
 * Locking a key (ARCHITECTURE.md: "Locking a key"): owns the key's slot until the end
 * of the transaction, then reads the newest committed content, and compares it
 * with what `snapshot` sees.
 *
 * Result: *newest is the content now (own writes included), which nobody else
 * can change any more; and how it compares with what the snapshot sees.
 */
typedef enum ForestLockResult
{
	FOREST_UNCHANGED,			/* the content is what the snapshot sees */
	FOREST_CHANGED,				/* another transaction changed it: READ COMMITTED only, else 40001 was raised */
	FOREST_CHANGED_BY_SELF		/* this transaction wrote the key after the snapshot's command began */
} ForestLockResult;

extern ForestLockResult forest_lock_key(const ForestTable *table, SvSlice key, Snapshot snapshot,
										ForestValue *newest);

/* TRUNCATE: empties the table, in this transaction. */
extern void forest_truncate(const ForestTable *table);

#endif							/* FOREST_WRITE_H */
