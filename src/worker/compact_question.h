/*
 * compact_question.h
 *		A vault's forest, tables and settings, as one snapshot sees them: what
 *		compactions are chosen from, and what views count.
 */
#ifndef COMPACT_QUESTION_H
#define COMPACT_QUESTION_H

#include "postgres.h"

#include "lsm/lsm_choose.h"
#include "utils/snapshot.h"

/* Least that an input of a compaction is read ahead. */
#define COMPACT_LEAST_READ_AHEAD (64 * 1024)

typedef struct CompactQuestion
{
	SvAlloc		alloc;
	LsmSettings settings;		/* of the vault */
	LsmForest  *forest;
	LsmTable   *tables;
	int			ntables;
	LsmQuestion question;		/* of the above, without claims */
} CompactQuestion;

/* In CurrentMemoryContext; *ask is not to be moved afterwards. */
extern void compact_question_make(CompactQuestion *ask, int32 vault_id, Snapshot snapshot);

#endif							/* COMPACT_QUESTION_H */
