/*
 * load_worker.c
 *		See load_worker.h.
 */
#include "postgres.h"

#include "server/pg_compat.h"

#include "worker/load_worker.h"

#include "access/xact.h"
#include "forest/load_build.h"
#include "worker/load_wire.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "server/pg_status.h"
#include "server/pg_worker.h"
#include "server/stop_point.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

typedef struct LoadWorker
{
	LoadShared *shared;
	shm_mq_handle *entries;
	shm_mq_handle *answers;
	MemoryContext context;
	ResourceOwner owner;		/* of temporary files */
} LoadWorker;

/* The leader may have gone: then nobody wants to hear it. */
static void
say(LoadWorker *worker, LoadAnswer answer, SvSlice rest)
{
	char		kind = (char) answer;
	shm_mq_iovec parts[2] = {{&kind, 1}, {(const char *) rest.data, rest.len}};

	(void) shm_mq_sendv(worker->answers, parts, rest.len > 0 ? 2 : 1, false, true);
}

static bool
attach(LoadWorker *worker, dsm_handle handle, int index)
{
	dsm_segment *segment = dsm_attach(handle);
	shm_mq	   *entries;
	shm_mq	   *answers;

	if (segment == NULL)
		return false;
	worker->shared = dsm_segment_address(segment);
	entries = load_shared_entries(worker->shared, index);
	answers = load_shared_answers(worker->shared, index);
	shm_mq_set_receiver(entries, MyProc);
	shm_mq_set_sender(answers, MyProc);
	worker->entries = shm_mq_attach(entries, segment, NULL);
	worker->answers = shm_mq_attach(answers, segment, NULL);
	return true;
}

/* False: it has gone, or wants no more. */
static bool
receive(LoadWorker *worker, SvSlice *message)
{
	Size		len;
	void	   *data;

	if (shm_mq_receive(worker->entries, &len, &data, false) != SHM_MQ_SUCCESS)
		return false;
	*message = sv_slice(data, len);
	return true;
}

/* Temporary files as the leader's: the settings of a process end with its transaction. */
static void
keep_to_limits(const LoadShared *shared)
{
	if (shared->ntablespaces >= 0)
	{
		Oid		   *tablespaces = MemoryContextAlloc(TopMemoryContext, LOAD_MAX_TABLESPACES * sizeof(Oid));

		memcpy(tablespaces, shared->tablespaces, sizeof(shared->tablespaces));
		SetTempTablespaces(tablespaces, shared->ntablespaces);
	}
	SetConfigOption("temp_file_limit", shared->temp_file_limit, PGC_SUSET, PGC_S_OVERRIDE);
}

/* For LoadBuildSpec.duplicate: the leader knows what to say of it. */
static void
say_duplicate(void *state, SvSlice key)
{
	LoadWorker *worker = state;

	shm_mq_detach(worker->entries);
	say(worker, LOAD_DUPLICATE, key);
	proc_exit(0);
}

static void
add_entries(LoadBuild *build, SvSlice message)
{
	const char *at = (const char *) message.data;
	const char *end = at + message.len;

	while (at < end)
	{
		LoadEntry	entry;

		at = load_entry_get(at, &entry);
		load_build_add(build, entry.key, entry.value, entry.expires_at);
	}
}

/*
 * In a transaction, as the store is opened, which looks into the catalogue; but
 * what the build takes meanwhile, as for its files, outlives it.
 */
static LoadBuild *
begin_build(LoadWorker *worker, const LoadBuildSpec *spec)
{
	ResourceOwner owner;
	LoadBuild  *build;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	owner = CurrentResourceOwner;
	CurrentResourceOwner = worker->owner;
	MemoryContextSwitchTo(worker->context);
	build = load_build_begin(spec);
	CurrentResourceOwner = owner;
	CommitTransactionCommand();
	CurrentResourceOwner = worker->owner;
	MemoryContextSwitchTo(worker->context);
	keep_to_limits(worker->shared);
	return build;
}

/* The message is the first one. */
static void
build_part(LoadWorker *worker, SvSlice message)
{
	LoadBuildSpec spec = worker->shared->spec;
	SvAlloc		alloc = pg_status_alloc(worker->context);
	LoadBuild  *build;
	LoadBuilt	built;
	SvBuffer	bytes;

	if (worker->shared->reports_duplicates)
	{
		spec.duplicate = say_duplicate;
		spec.duplicate_state = worker;
	}
	build = begin_build(worker, &spec);
	while (message.len > LOAD_END_BYTES)
	{
		add_entries(build, message);
		CHECK_FOR_INTERRUPTS();
		STOP_POINT("load-worker-added");
		if (!receive(worker, &message))
			return;
	}
	STOP_POINT("load-worker-before-finish");
	load_build_finish(build, &built);
	STOP_POINT("load-worker-built");
	sv_buffer_init(&bytes, &alloc);
	load_wire_put_built(&bytes, &built);
	say(worker, LOAD_DONE, sv_buffer_slice(&bytes));
}

static void
put_text(StringInfo to, const char *text)
{
	appendStringInfoString(to, text != NULL ? text : "");
	appendStringInfoChar(to, '\0');
}

/* To the leader, and no line in the log: its own error will be one. */
static void
say_error(LoadWorker *worker)
{
	ErrorData  *error;
	StringInfoData bytes;

	MemoryContextSwitchTo(worker->context);
	error = CopyErrorData();
	FlushErrorState();
	LWLockReleaseAll();
	ConditionVariableCancelSleep();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(worker->context);

	/* It may wait for room for entries, and has to listen. */
	shm_mq_detach(worker->entries);
	initStringInfo(&bytes);
	pq_sendint32(&bytes, error->sqlerrcode);
	put_text(&bytes, error->message);
	put_text(&bytes, error->detail);
	put_text(&bytes, error->hint);
	put_text(&bytes, error->context);
	say(worker, LOAD_FAILED, sv_slice(bytes.data, bytes.len));
}

/* However the process ends, also amid an upload: what is under way is given up, and leaves nothing in the store. */
static void
give_up(int code, Datum arg)
{
	MemoryContextSwitchTo(TopMemoryContext);
	MemoryContextDelete(((LoadWorker *) DatumGetPointer(arg))->context);
}

static void
work(LoadWorker *worker)
{
	char		activity[64];
	SvSlice		message;

	snprintf(activity, sizeof(activity), "skyvault load for process %d", worker->shared->leader_pid);
	pgstat_report_activity(STATE_RUNNING, activity);
	worker->owner = ResourceOwnerCreate(NULL, "skyvault load worker");
	say(worker, LOAD_READY, sv_slice(NULL, 0));
	STOP_POINT("load-worker-ready");
	if (receive(worker, &message))
		build_part(worker, message);
}

void
skyvault_load_worker_main(Datum arg)
{
	uint64		argument = DatumGetUInt64(arg);
	LoadWorker *worker;

	pg_worker_signals();
	worker = MemoryContextAllocZero(TopMemoryContext, sizeof(LoadWorker));
	worker->context = AllocSetContextCreate(TopMemoryContext, "skyvault load worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(worker->context);
	if (!attach(worker, (dsm_handle) argument, (int) (argument >> 32)))
		proc_exit(0);
	pg_worker_connect(worker->shared->dboid);
	before_shmem_exit(give_up, PointerGetDatum(worker));
	MemoryContextSwitchTo(worker->context);
	PG_TRY();
	{
		work(worker);
	}
	PG_CATCH();
	{
		say_error(worker);
	}
	PG_END_TRY();
	proc_exit(0);
}
