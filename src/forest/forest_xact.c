/*
 * forest_xact.c
 *		What the current transaction has done to the vaults.
 */
#include "postgres.h"

#include "forest/forest_xact.h"

#include "access/xact.h"
#include "forest/forest_pending.h"
#include "forest/forest_shmem.h"
#include "server/stop_point.h"

/* How far a transaction that has changed the forest is with telling so. */
typedef enum ChangeState
{
	CHANGE_NONE,
	CHANGE_NOTED,				/* changed, to be begun before the commit */
	CHANGE_BEGUN				/* to be ended after commit or abort */
} ChangeState;

static ForestCommitCallback commit_callback = NULL;
static uint64 delta_bytes = 0;

static uint64 assigned_bytes = 0;	/* of delta_bytes, to a vault */
static bool left_unnumbered = false;
static bool wants_scheduler = false;
static ChangeState change_state = CHANGE_NONE;
static bool is_ending = false;	/* PRE_COMMIT or PRE_PREPARE has come */
static bool is_preparing = false;
static uint64 own_changes = 0;

static void
begin_change(void)
{
	change_state = CHANGE_BEGUN;
	forest_changes_begin();
}

/*
 * After commit, PREPARE or abort, which others see by now.  A PREPARE that
 * fails may have left a prepared transaction all the same.
 */
static void
end_change(void)
{
	if (change_state == CHANGE_BEGUN)
	{
		if (is_preparing)
			forest_changes_note_prepared();
		forest_changes_end();
	}
	change_state = CHANGE_NONE;
	is_ending = false;
	is_preparing = false;
}

/*
 * COMMIT PREPARED runs in a backend without our state: of a prepared
 * transaction's bytes it knows by forest_pending.h, and of the rest nothing,
 * so it wakes the scheduler in any case.
 *
 * A process that exits within a transaction aborts it first, and one that
 * cannot takes the server's shared memory with it: so whatever is begun here is
 * ended here.
 */
static void
forest_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			is_ending = true;
			is_preparing = (event == XACT_EVENT_PRE_PREPARE);
			if (change_state == CHANGE_NOTED)
			{
				begin_change();
				STOP_POINT("forest-change-begun");
			}
			return;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			end_change();
			if (event == XACT_EVENT_COMMIT)
				forest_pending_commit();
			else if (forest_pending_prepare())
				delta_bytes = 0;
			if (delta_bytes > 0 || left_unnumbered || wants_scheduler)
				commit_callback(delta_bytes, left_unnumbered || wants_scheduler);
			break;
		case XACT_EVENT_ABORT:
			end_change();
			forest_pending_abort();
			break;
		default:
			return;
	}
	delta_bytes = 0;
	assigned_bytes = 0;
	left_unnumbered = false;
	wants_scheduler = false;
}

/* What was noted and belongs to no vault yet is of what is rolled back. */
static void
forest_subxact_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		assigned_bytes = delta_bytes;
}

void
forest_xact_install(ForestCommitCallback callback)
{
	commit_callback = callback;
	RegisterXactCallback(forest_xact_callback, NULL);
	RegisterSubXactCallback(forest_subxact_callback, NULL);
	forest_pending_install();
}

void
forest_xact_note_delta_bytes(uint64 bytes)
{
	delta_bytes += bytes;
}

void
forest_xact_note_vault(int32 vault_id)
{
	forest_pending_add(vault_id, delta_bytes - assigned_bytes);
	assigned_bytes = delta_bytes;
}

void
forest_xact_note_unnumbered(void)
{
	left_unnumbered = true;
}

void
forest_xact_note_wake(void)
{
	wants_scheduler = true;
}

void
forest_xact_note_forest_change(void)
{
	if (change_state != CHANGE_NONE)
		return;
	own_changes++;
	change_state = CHANGE_NOTED;

	/* What others do at the end of the transaction, as ON COMMIT DROP, may come after our turn. */
	if (is_ending)
		begin_change();
}

bool
forest_xact_has_changed(void)
{
	return delta_bytes > 0 || left_unnumbered;
}

bool
forest_xact_has_changed_forest(void)
{
	return change_state != CHANGE_NONE;
}

uint64
forest_xact_own_changes(void)
{
	return own_changes;
}
