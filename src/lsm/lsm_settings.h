/*
 * lsm_settings.h
 *		When a forest is compacted, and in what pieces: every threshold.
 *
 * One struct serves the vault (what concerns WAL runs and jobs) and each table
 * (the rest), so that settings fill it and table options override it.  Bytes
 * are those of files, as stored.
 */
#ifndef LSM_SETTINGS_H
#define LSM_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

/* No setting goes beyond them. */
#define LSM_MAX_LEVEL 15
#define LSM_MAX_SUBCOMPACTIONS 16

typedef struct LsmSettings
{
	/* Of the vault: WAL runs become buffer runs when there are so many, or of so many bytes. */
	int			wal_runs;
	uint64_t	wal_bytes;

	/* Of a table: level 0 goes down when its buffer runs are so many, or of so many bytes. */
	int			buffer_runs;	/* the files of one load count as one */
	uint64_t	buffer_bytes;

	/* Of a table: level 1 may have level1_bytes, level n + 1 ratio times as many as level n. */
	uint64_t	level1_bytes;
	int			ratio;
	int			bottom_level;	/* 1 to LSM_MAX_LEVEL: nothing goes below it */

	uint64_t	run_bytes;		/* of a table: at this size a new output is begun */

	/*
	 * Of a table: a run is rewritten when so large a share of its entries is
	 * expired, or tombstones that hide nothing; above 1 never.
	 */
	double		garbage_share;
	bool		trivial_moves;	/* of a table: runs that overlap nothing are moved, not rewritten */

	/* Of a table: a merge is cut into at most so many parts, of at least so many bytes each. */
	int			subcompactions;
	uint64_t	subcompaction_bytes;

	/* Of the vault: bounds of one job, passed only where one run less would be no job. */
	int			max_inputs;
	uint64_t	max_bytes;
} LsmSettings;

#define LSM_SETTINGS_DEFAULTS \
	{.wal_runs = 8,.wal_bytes = UINT64_C(128) << 20, \
		.buffer_runs = 8,.buffer_bytes = UINT64_C(256) << 20, \
		.level1_bytes = UINT64_C(512) << 20,.ratio = 10,.bottom_level = 6, \
		.run_bytes = UINT64_C(64) << 20,.garbage_share = 0.5,.trivial_moves = true, \
		.subcompactions = 4,.subcompaction_bytes = UINT64_C(64) << 20, \
		.max_inputs = 40,.max_bytes = UINT64_C(2) << 30}

/* What the level may have before it is due, saturating; level 1 and up. */
extern uint64_t lsm_level_target(const LsmSettings *settings, int level);

#endif							/* LSM_SETTINGS_H */
