/*
 * restore_state.h
 *		What a restore knows while it reads snapshot and log: the registry is
 *		built in place, the tables in memory.  Private to the restore.
 */
#ifndef RESTORE_STATE_H
#define RESTORE_STATE_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "forest/forest_sql.h"
#include "nodes/pg_list.h"

typedef struct RestoreTable
{
	int32		id;
	char	   *definition;		/* JSON; NULL: the log never told */
	int64		floor_seq;
	bool		dropped;
	char	   *name;			/* with the schema, as JSON */
	int			told;			/* RestoreState's round when it was defined last */
} RestoreTable;

typedef struct RestoreState
{
	int32		vault_id;		/* in this catalogue */
	Oid			server_oid;

	/* The position: what is applied. */
	int64		epoch;
	int64		number;			/* of the log in this epoch */
	int64		id;

	List	   *tables;			/* of RestoreTable */
	int64		write_seq;		/* highest that the sequences are known to have reached */
	int64		run_id;
	int64		table_id;
	int			round;			/* counts objects that were applied */
} RestoreState;

/* Applies a snapshot's lines, header excluded. */
extern void restore_apply_snapshot(RestoreState *state, SvSlice lines, const char *name);

/*
 * Applies the lines of an object of the log: changes from the position on up to
 * last_id.  False, with the position where it has come to, if one is missing.
 */
extern bool restore_apply_log(RestoreState *state, SvSlice lines, int64 last_id, const char *name);

/* A cell of what was read from the store, where nothing can be relied on to be there: XX001 if it is NULL. */
extern const char *restore_cell(const ForestRows *rows, int row, int column);

/* Lines as a JSON array. */
extern char *restore_as_array(SvSlice lines);

#endif							/* RESTORE_STATE_H */
