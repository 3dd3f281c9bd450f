/*
 * fdw_touched.h
 *		The keys that one ModifyTable node has changed in one table.
 *
 * The statement's snapshot does not see the statement's own changes.  So a
 * row that a join brings up twice, and a row whose key another row has moved
 * to, are known by this set alone.  It holds the keys themselves and grows
 * with the rows changed; callers keep one only where either can happen.
 */
#ifndef FDW_TOUCHED_H
#define FDW_TOUCHED_H

#include "postgres.h"

#include "base/sv_slice.h"

typedef enum FdwTouch
{
	FDW_TOUCHED_ROW = 1,		/* the row that the snapshot sees under the key was updated or deleted */
	FDW_TOUCHED_BY_MOVE = 2		/* a row got this key from the statement */
} FdwTouch;

typedef struct FdwTouched FdwTouched;

/* An empty set, in the given context. */
extern FdwTouched *fdw_touched_create(MemoryContext context);

extern void fdw_touched_add(FdwTouched *touched, SvSlice key, FdwTouch touch);

/* False for a set that is NULL. */
extern bool fdw_touched_has(FdwTouched *touched, SvSlice key, FdwTouch touch);

#endif							/* FDW_TOUCHED_H */
