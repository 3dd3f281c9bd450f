/*
 * compact_chore.h
 *		What a scheduler does for compaction: starts workers while there is work.
 */
#ifndef COMPACT_CHORE_H
#define COMPACT_CHORE_H

#include "postgres.h"

#include "datatype/timestamp.h"

/* A chore (worker_chore.h): CHORE_COMPACT. */
extern TimestampTz compact_chore(void);

#endif							/* COMPACT_CHORE_H */
