/*
 * worker_launcher.c
 *		Finds databases, starts schedulers, and starts them again.
 *
 * Everything that another launcher has to know is in the slots; this process
 * only remembers the handles of workers that may not have reached their slot.
 */
#include "postgres.h"

#include "worker/worker_launcher.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "server/pg_worker.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "worker/worker_slot.h"

#define LAUNCHER_RESTART_S 5

/* Longest sleep: how late a database is found if no one tells the launcher. */
#define LAUNCHER_CYCLE_MS 60000

/* datconnlimit of a database whose DROP was interrupted. */
#define INVALID_DATABASE_CONNLIMIT (-2)

/* The worker that this process registered last for each slot. */
typedef struct Start
{
	Oid			dboid;
	BackgroundWorkerHandle *handle; /* NULL: none, or its end is known */
} Start;

static Start starts[WORKER_MAX_DATABASES];

/* A condition is reported when it begins, not in every cycle. */
static bool no_room_reported = false;
static bool skipped_reported = false;

void
worker_launcher_register(void)
{
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		pg_worker_register("skyvault_launcher_main", "skyvault launcher", LAUNCHER_RESTART_S);
}

static bool
may_have_scheduler(Form_pg_database database)
{
	return database->datallowconn && !database->datistemplate &&
		database->datconnlimit != INVALID_DATABASE_CONNLIMIT;
}

/* Returns the oids in an array in the current memory context. */
static Oid *
list_databases(int *count)
{
	MemoryContext context = CurrentMemoryContext;
	int			room = 64;
	Oid		   *dboids = palloc(room * sizeof(Oid));
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	*count = 0;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());

	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (!may_have_scheduler(database))
			continue;
		if (*count == room)
		{
			room *= 2;
			dboids = repalloc(dboids, room * sizeof(Oid));
		}
		dboids[(*count)++] = database->oid;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);

	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return dboids;
}

static void
sync_slots(void)
{
	uint64		mark = worker_slot_mark();
	Oid		   *dboids;
	int			count;
	int			skipped;

	dboids = list_databases(&count);
	skipped = worker_slot_sync(dboids, count, mark);
	if (skipped > 0 && !skipped_reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg_plural("skyvault does not run in %d database",
							   "skyvault does not run in %d databases", skipped, skipped),
				 errdetail("It can run in at most %d databases.", WORKER_MAX_DATABASES)));
	skipped_reported = skipped > 0;
}

/* Returns false if the server has no room for another background worker. */
static bool
start_scheduler(Start *start, Oid dboid)
{
	start->dboid = dboid;
	return pg_worker_start("skyvault_scheduler_main", "skyvault scheduler", dboid, ObjectIdGetDatum(dboid),
								&start->handle);
}

/*
 * Notices workers that ended.  Most have left word in their slot; this is for
 * those that could not be forked or failed before they reached it.
 */
static void
collect_ended_starts(void)
{
	for (int i = 0; i < WORKER_MAX_DATABASES; i++)
	{
		Start	   *start = &starts[i];
		pid_t		pid;

		if (start->handle == NULL ||
			GetBackgroundWorkerPid(start->handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(start->handle);
		start->handle = NULL;
		(void) worker_slot_start_failed(i, start->dboid, false);
	}
}

/* Starts what is due; returns the time of the next start. */
static TimestampTz
start_due_schedulers(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake_at = TimestampTzPlusMilliseconds(now, LAUNCHER_CYCLE_MS);
	bool		no_room = false;
	bool		started = false;

	for (int i = 0; i < WORKER_MAX_DATABASES; i++)
	{
		Oid			dboid = worker_slot_take_due(i, now, &wake_at);
		TimestampTz retry_at;

		if (!OidIsValid(dboid))
			continue;
		if (!no_room && start_scheduler(&starts[i], dboid))
			started = true;
		else
		{
			no_room = true;
			retry_at = worker_slot_start_failed(i, dboid, true);
			wake_at = Min(wake_at, retry_at);
		}
	}

	if (no_room && !no_room_reported)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a skyvault scheduler: no free background worker slot"),
				 errdetail("It will be tried again."),
				 errhint("You might need to increase max_worker_processes.")));
	if (no_room)
		no_room_reported = true;
	else if (started)
		no_room_reported = false;
	return wake_at;
}

void
skyvault_launcher_main(Datum arg)
{
	MemoryContext cycle_context;

	pg_worker_signals();
	worker_slot_attach_launcher();
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	cycle_context = AllocSetContextCreate(TopMemoryContext, "skyvault launcher cycle",
										  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz wake_at;

		ResetLatch(MyLatch);
		(void) pg_worker_interrupts();

		MemoryContextSwitchTo(cycle_context);
		MemoryContextReset(cycle_context);
		sync_slots();
		collect_ended_starts();
		wake_at = start_due_schedulers();
		pgstat_report_stat(true);

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), wake_at),
						 PG_WAIT_EXTENSION);
	}
}
