/*
 * forest_load.h
 *		Bulk load of one table: rows become runs, without touching the delta
 *		(ARCHITECTURE.md: "Life of a load").
 *
 * Runs are written while rows are added; forest_load_finish makes them part of
 * the forest, in this transaction: visible to its next command, to others after
 * COMMIT, and gone with a ROLLBACK, or a ROLLBACK TO behind it, like any row.
 * What was uploaded is an orphan then, for skyvault_gc.
 *
 * forest_load_finish takes the table lock in ShareRowExclusive (replace:
 * AccessExclusive), which waits for all who have written to the table, and who
 * write after that wait for the end of the transaction.  Under REPEATABLE READ
 * it raises 40001 where another transaction has written a loaded key since the
 * snapshot.
 *
 * The caller has checked privileges, and locked the relation as for an INSERT.
 */
#ifndef FOREST_LOAD_H
#define FOREST_LOAD_H

#include "postgres.h"

#include "forest/forest_table.h"
#include "forest/load_build.h"

/*
 * Whether rows of the table can be loaded at all: not if the vault's identity is
 * of this transaction, if that is SERIALIZABLE, if no scheduler runs in this database,
 * or if the vault's runs would not reach standbys and backups (then there is no flush
 * either).  Who gets false writes to the delta.  The table has an identity
 * (forest_table_for_write).
 */
extern bool forest_load_possible(const ForestTable *table);

typedef struct ForestLoadOptions
{
	bool		replace;		/* the table's former content goes */
	bool		strict;			/* no key is given twice, or exists already (with replace: the former) */
	LoadDuplicate duplicate;	/* if strict: raises 23505, naming the key */
	void	   *duplicate_state;
	Size		memory_bytes;	/* 0: maintenance_work_mem */
	LoadLine	progress;		/* of the caller, who reads; {-1}: none */
} ForestLoadOptions;

typedef struct ForestLoadResult
{
	uint64		given;			/* rows added */
	uint64		loaded;			/* keys of them */
	uint64		raw_bytes;		/* keys and values */
	uint64		file_bytes;		/* in the store */
	int			runs;
	uint64		delta_rows;		/* that were deleted, because loaded rows replace them */
} ForestLoadResult;

typedef struct ForestLoad ForestLoad;

/*
 * Asks the scheduler whether the vault is ours, which it finds out in the store: 55000
 * with a hint if it is not.  Lives in a child of CurrentMemoryContext; if that is
 * reset or deleted, as after an error, nothing has happened.
 */
extern ForestLoad *forest_load_begin(const ForestTable *table, const ForestLoadOptions *options);

/* key and value are copied; 54000 if one is too long. */
extern void forest_load_add(ForestLoad *load, SvSlice key, SvSlice value, TimestampTz expires_at);

/*
 * All rows are there: sends the rest of them to the store, and takes no lock yet.
 * For who finishes several loads, and must not hold the locks of the first ones
 * meanwhile; without it forest_load_finish does it.
 */
extern void forest_load_build(ForestLoad *load);

/* Publishes, and frees the load.  Without rows nothing happens, but for replace. */
extern void forest_load_finish(ForestLoad *load, ForestLoadResult *result);

/* Instead of forest_load_finish: the objects are orphans. */
extern void forest_load_cancel(ForestLoad *load);

/*
 * What builds the runs in place of load_build.h's own functions, such as workers.
 * Its errors are raised.
 */
typedef struct LoadBuilder
{
	void		(*add) (void *state, SvSlice key, SvSlice value, TimestampTz expires_at);
	void		(*finish) (void *state, LoadBuilt *built);	/* what it answers lives as long as the builder's context */
	void	   *state;
} LoadBuilder;

/* What the layer above does for loads; set once, when the library is loaded. */
typedef struct ForestLoadHooks
{
	/* Whether a scheduler runs here, and the vault's runs reach standbys and backups; must not fail for them. */
	bool		(*is_possible) (const ForestVault *vault);

	/* Raises what a flush would: runs would not reach standbys and backups. */
	void		(*check_safe) (const ForestVault *vault);

	/* Makes sure that the vault is ours, and sets its epoch and uuid, or raises an error. */
	void		(*take_vault) (ForestVault *vault);

	/* False: build in this process.  Memory in CurrentMemoryContext, which lives as long as the load.  May be NULL. */
	bool		(*begin_builder) (const LoadBuildSpec *spec, LoadBuilder *builder);
} ForestLoadHooks;

extern void forest_load_install(const ForestLoadHooks *hooks);

#endif							/* FOREST_LOAD_H */
