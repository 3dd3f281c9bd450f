/*
 * forest_batch_table.h
 *		One table's keys of a batch on their way through delta and runs: for
 *		forest_batch.c.
 *
 * A key goes from group to group until it is found.  One that meets a tail or
 * block which is not cached waits there, while the others go on; what all keys
 * of all tables wait for is then asked for at once.
 */
#ifndef FOREST_BATCH_TABLE_H
#define FOREST_BATCH_TABLE_H

#include "postgres.h"

#include "base/sv_scratch.h"
#include "cache/run_reader.h"
#include "forest/forest_lookup.h"

typedef struct BatchTable
{
	ForestView *view;
	int32		table_id;
	SvScratch  *scratch;
	SvBuffer   *values;
	const LsmGroup *groups;
	int			ngroups;

	int			n;
	SvSlice    *keys;			/* ascending, without repeats */
	SvSlice    *walkeys;		/* the same with the table id in front; NULL until needed */
	RunAnswer  *answers;		/* RUN_ABSENT until found, RUN_UNCACHED while waiting */
	int		   *next_group;		/* which group is to be asked next, if not found */
	int			nwaiting;

	/* Indexes of keys that were found nowhere yet, and of those of them that one group is asked for. */
	int		   *missing;
	int			nmissing;
	int		   *active;
	int			nactive;

	/* For one group: what is asked of which run, for which of the keys, and the answers. */
	const LsmRun **asked_of;
	SvSlice    *asked;
	int		   *asked_at;
	RunAnswer  *heard;
} BatchTable;

/* For at most n keys, which the caller puts into table->keys; then sets table->n. */
extern void batch_table_init(BatchTable *table, ForestView *view, int32 table_id, int n, SvScratch *scratch,
							 SvBuffer *values);

/* Looks for all keys in the delta, and in runs of this transaction's own. */
extern void batch_table_ask_delta(BatchTable *table);

/* Takes all keys that do not wait through the groups, as far as what is cached answers. */
extern void batch_table_ask_runs(BatchTable *table);

/* Answers what the tables' keys wait for, until none does: of all vaults at once. */
extern void batch_tables_fetch(BatchTable *tables, int n);

/* Memory, or 53200. */
extern void *batch_take_room(SvScratch *scratch, Size n, Size bytes);

#endif							/* FOREST_BATCH_TABLE_H */
