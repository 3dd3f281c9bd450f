/*
 * forest_xact.c
 *		What the current transaction has done to the vaults.
 */
#include "postgres.h"

#include "forest/forest_xact.h"

#include "access/xact.h"

static ForestCommitCallback commit_callback = NULL;
static uint64 delta_bytes = 0;
static bool left_unnumbered = false;

/*
 * COMMIT PREPARED runs in a backend without our state, so a prepared
 * transaction's bytes are reported when it is prepared.  A flush that this
 * starts leaves the uncommitted rows; COMMIT PREPARED wakes the scheduler
 * once more.
 */
static void
forest_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (delta_bytes > 0 || left_unnumbered)
				commit_callback(delta_bytes, left_unnumbered);
			break;
		case XACT_EVENT_ABORT:
			break;
		default:
			return;
	}
	delta_bytes = 0;
	left_unnumbered = false;
}

void
forest_xact_install(ForestCommitCallback callback)
{
	commit_callback = callback;
	RegisterXactCallback(forest_xact_callback, NULL);
}

void
forest_xact_note_delta_bytes(uint64 bytes)
{
	delta_bytes += bytes;
}

void
forest_xact_note_unnumbered(void)
{
	left_unnumbered = true;
}

bool
forest_xact_has_changed(void)
{
	return delta_bytes > 0 || left_unnumbered;
}
