/*
 * worker_pressure.h
 *		Back-pressure: writes are slowed down, and in the end held, while
 *		flushes and compactions are behind.
 *
 * A vault's debt is what is to be done for it, measured against what starts the
 * work: bytes committed that a flush could take now against skyvault.flush_size,
 * WAL runs and the worst table's level 0 against their thresholds
 * (lsm_choose.h); the largest of them counts.  From skyvault.slowdown_debt on a
 * write waits, the longer the nearer to skyvault.stop_debt; from there on it is
 * held until the debt is less, but no longer than skyvault.stop_wait.
 *
 * Waiting happens where it can help, and harms nobody: before the statement
 * has locked a key, in a transaction that has changed nothing yet, and for a
 * debt that somebody works off.  So a dead store holds up no writes, neither
 * its own nor those of other vaults.
 */
#ifndef WORKER_PRESSURE_H
#define WORKER_PRESSURE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "forest/forest_traffic.h"
#include "forest/forest_vault.h"

/*
 * A statement is about to write to the vault: waits, if it has to.  Raises an
 * error only if it is interrupted.
 */
extern void worker_pressure_admit(int32 vault_id, Oid server_oid);

/* ---- For the scheduler ---- */

/* Around a flush: what it will have taken if it goes well. */
extern uint64 worker_pressure_before_flush(int32 vault_id);
extern void worker_pressure_after_flush(int32 vault_id, uint64 before, bool done);

/* A chore (worker_chore.h), CHORE_PRESSURE: the debts of runs, after a flush or a compaction. */
extern TimestampTz worker_pressure_chore(void);

/* ---- For the view ---- */

typedef enum PressureState
{
	PRESSURE_NONE,
	PRESSURE_SLOWED,
	PRESSURE_STOPPED,
	PRESSURE_HELPLESS			/* there is debt, but waiting would not help */
} PressureState;

typedef struct PressureReport
{
	PressureState state;
	const char *reason;			/* of PRESSURE_HELPLESS, or NULL */
	uint64		delta_bytes;	/* committed, and not in the store */
	double		delta_debt;
	double		wal_debt;
	double		level0_debt;
	int			delay_ms;		/* what a write waits now; of PRESSURE_STOPPED at most */
} PressureReport;

extern void worker_pressure_report(VaultTraffic *traffic, PressureReport *report);

#endif							/* WORKER_PRESSURE_H */
