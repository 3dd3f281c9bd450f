/*
 * pg_worker.c
 *		See pg_worker.h.
 */
#include "postgres.h"

#include "server/pg_worker.h"

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* That the postmaster loads for a worker. */
#define LIBRARY "skyvault"

static BackgroundWorker
describe(const char *function, const char *type, int restart_s)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = restart_s;
	strlcpy(worker.bgw_library_name, LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker.bgw_name, type, BGW_MAXLEN);
	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	return worker;
}

void
pg_worker_register(const char *function, const char *type, int restart_s)
{
	BackgroundWorker worker = describe(function, type, restart_s);

	RegisterBackgroundWorker(&worker);
}

bool
pg_worker_start(const char *function, const char *type, Oid dboid, Datum arg,
					 BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker = describe(function, type, BGW_NEVER_RESTART);
	MemoryContext old_context;
	bool		registered;

	snprintf(worker.bgw_name, BGW_MAXLEN, "%s for database %u", type, dboid);
	worker.bgw_main_arg = arg;
	worker.bgw_notify_pid = MyProcPid;

	if (*handle != NULL)
		pfree(*handle);
	*handle = NULL;
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, handle);
	MemoryContextSwitchTo(old_context);
	return registered;
}

void
pg_worker_signals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
}

/* What ALTER DATABASE or ALTER ROLE have set for people must not stop a flush. */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", "pg_catalog, pg_temp"},
		{"lock_timeout", "5s"},	/* who asked for a flush may hold a lock that DROP EXTENSION waits for */
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"transaction_timeout", "0"},	/* from 17 on */
	};

	for (int i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

void
pg_worker_connect(Oid dboid)
{
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);
	override_settings();
}

bool
pg_worker_interrupts(void)
{
	CHECK_FOR_INTERRUPTS();
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}
