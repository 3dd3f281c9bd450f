/*
 * forest_changelog.h
 *		Rows of the changelog: one per change of the forest, numbered in commit
 *		order without gaps.
 */
#ifndef FOREST_CHANGELOG_H
#define FOREST_CHANGELOG_H

#include "postgres.h"

#include "utils/snapshot.h"

/* Kinds of changelog rows. */
#define CHANGE_FLUSH	"flush"
#define CHANGE_LOAD		"load"
#define CHANGE_TRUNCATE "truncate"
#define CHANGE_DROP		"drop"
#define CHANGE_COMPACT	"compact"
#define CHANGE_SWAP		"swap"	/* the two tables' contents have changed places; nothing in the forest has */

/* What the snapshot sees at the newest end of a vault's changelog. */
typedef struct ChangelogTip
{
	bool		has_unnumbered;
	int64		newest_id;		/* 0: none; only set if has_unnumbered is false */
} ChangelogTip;

/* One backward index probe. */
extern ChangelogTip changelog_tip(int32 vault_id, Snapshot snapshot);

typedef struct ChangelogRow
{
	const char *kind;			/* CHANGE_... */
	int			ntables;
	const int32 *table_ids;
	int			nadded;			/* ids of runs whose rows the change inserted or updated; they are there already */
	const int64 *added;
	int			nremoved;		/* ids of runs whose rows it deleted */
	const int64 *removed;
	int64		floor_seq;		/* 0: none set */
} ChangelogRow;

/* For users' transactions: inserts the row without a number.  The caller has the table lock. */
extern void changelog_insert_unnumbered(int32 vault_id, const ChangelogRow *row);

/*
 * For short transactions of workers, as the last thing before commit: takes
 * the numbering lock, gives the next ids to all visible unnumbered rows in
 * serial order, and then to the given one (NULL: none).  Returns how many ids
 * it gave.
 */
extern int	changelog_number_and_insert(int32 vault_id, const ChangelogRow *row);

/*
 * Which loads and floors a reader of the delta knew of: what a flush compares
 * at its publish.  All memory in CurrentMemoryContext.
 */
typedef struct ChangelogMark
{
	int64		newest_id;
	int			nserials;		/* unnumbered rows in sight */
	int64	   *serials;
} ChangelogMark;

extern ChangelogMark changelog_mark(int32 vault_id, Snapshot snapshot);

/*
 * Whether the snapshot sees a load, TRUNCATE or DROP of the table that the
 * mark does not know.
 */
extern bool changelog_has_newer_for_table(int32 vault_id, const ChangelogMark *mark, int32 table_id,
										  Snapshot snapshot);

#endif							/* FOREST_CHANGELOG_H */
