/*
 * load_crew.c
 *		The backend's side of load workers.
 */
#include "postgres.h"

#include "worker/load_crew.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/tablespace.h"
#include "worker/load_wire.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "server/pg_status.h"
#include "server/pg_worker.h"
#include "server/stop_point.h"
#include "storage/dsm.h"
#include "storage/fd.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

typedef struct CrewWorker
{
	BackgroundWorkerHandle *handle;
	shm_mq_handle *entries;
	shm_mq_handle *answers;
	char	   *message;		/* entries to be sent */
	size_t		message_bytes;
	size_t		message_room;
} CrewWorker;

struct LoadCrew
{
	MemoryContext context;
	MemoryContextCallback callback;
	dsm_segment *segment;		/* NULL: the crew has ended */
	LoadShared *shared;
	LoadDuplicate duplicate;
	void	   *duplicate_state;
	int			nworkers;
	CrewWorker	workers[LOAD_MAX_WORKERS];
};

/*
 * Starting
 */

/* However the segment goes: at the end, or after an error, by its resource owner or the crew's context. */
static void
dismiss(dsm_segment *segment, Datum arg)
{
	LoadCrew   *crew = (LoadCrew *) DatumGetPointer(arg);

	crew->segment = NULL;
	for (int i = 0; i < crew->nworkers; i++)
		if (crew->workers[i].handle != NULL)
			TerminateBackgroundWorker(crew->workers[i].handle);
}

static void
leave_segment(void *arg)
{
	LoadCrew   *crew = arg;

	if (crew->segment != NULL)
		dsm_detach(crew->segment);
}

/* Whether what workers would read of it is not committed yet. */
static bool
is_of_this_transaction(HeapTuple tuple)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

static bool
mapping_is_own(Oid user, Oid server_oid, bool *found)
{
	HeapTuple	tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(user), ObjectIdGetDatum(server_oid));
	bool		own;

	*found = HeapTupleIsValid(tuple);
	if (!*found)
		return false;
	own = is_of_this_transaction(tuple);
	ReleaseSysCache(tuple);
	return own;
}

/*
 * Workers see the server as it was committed: not if this transaction has made or
 * changed it, or the mapping that it takes keys from.
 */
static bool
server_is_committed(Oid server_oid)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server_oid));
	bool		own;
	bool		found;
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return false;
	own = is_of_this_transaction(tuple);
	owner = ((Form_pg_foreign_server) GETSTRUCT(tuple))->srvowner;
	ReleaseSysCache(tuple);
	if (!own)
		own = mapping_is_own(owner, server_oid, &found) || (!found && mapping_is_own(InvalidOid, server_oid, &found));
	return !own;
}

/* What the files of the workers' sorts have to keep to, as those of this process. */
static void
note_temporary_files(LoadShared *shared)
{
	const char *limit = GetConfigOption("temp_file_limit", true, false);

	PrepareTempTablespaces();
	shared->ntablespaces = GetTempTablespaces(shared->tablespaces, LOAD_MAX_TABLESPACES);
	strlcpy(shared->temp_file_limit, limit != NULL ? limit : "-1", sizeof(shared->temp_file_limit));
}

static void
make_queues(LoadCrew *crew, int index)
{
	CrewWorker *worker = &crew->workers[index];
	shm_mq	   *entries = shm_mq_create(load_shared_entries(crew->shared, index), LOAD_ENTRIES_BYTES);
	shm_mq	   *answers = shm_mq_create(load_shared_answers(crew->shared, index), LOAD_ANSWERS_BYTES);

	shm_mq_set_sender(entries, MyProc);
	shm_mq_set_receiver(answers, MyProc);
	worker->entries = shm_mq_attach(entries, crew->segment, NULL);
	worker->answers = shm_mq_attach(answers, crew->segment, NULL);
}

/* Its place in the segment and the segment: what a worker is started with. */
static bool
start_worker(LoadCrew *crew, int index)
{
	CrewWorker *worker = &crew->workers[index];
	uint64		argument = ((uint64) index << 32) | dsm_segment_handle(crew->segment);

	if (!pg_worker_start("skyvault_load_worker_main", "skyvault load worker", MyDatabaseId,
						 UInt64GetDatum(argument), &worker->handle))
		return false;
	shm_mq_set_handle(worker->entries, worker->handle);
	shm_mq_set_handle(worker->answers, worker->handle);
	return true;
}

static LoadCrew *
make_crew(MemoryContext context, dsm_segment *segment, const LoadBuildSpec *spec)
{
	LoadCrew   *crew = MemoryContextAllocZero(context, sizeof(LoadCrew));

	crew->context = context;
	crew->segment = segment;
	crew->shared = dsm_segment_address(segment);
	memset(crew->shared, 0, sizeof(LoadShared));
	crew->shared->dboid = MyDatabaseId;
	crew->shared->leader_pid = MyProcPid;
	crew->shared->spec = *spec;
	crew->shared->spec.duplicate = NULL;
	crew->shared->spec.duplicate_state = NULL;
	crew->shared->reports_duplicates = spec->duplicate != NULL;
	crew->duplicate = spec->duplicate;
	crew->duplicate_state = spec->duplicate_state;
	note_temporary_files(crew->shared);

	/*
	 * An abort frees the memory of portals before it releases resource owners, and
	 * that of a transaction after it.
	 */
	on_dsm_detach(segment, dismiss, PointerGetDatum(crew));
	crew->callback.func = leave_segment;
	crew->callback.arg = crew;
	MemoryContextRegisterResetCallback(context, &crew->callback);
	return crew;
}

/* Errors that say no more than that there is no room. */
static bool
is_shortage(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_OUT_OF_MEMORY || sqlerrcode == ERRCODE_DISK_FULL;
}

/*
 * NULL: there is no room, in the server's table of segments, or in memory: where /dev/shm is
 * small, other loads and parallel queries may have it.  What a failed try leaves behind has an
 * owner of its own, and goes with it.
 */
static dsm_segment *
create_segment(Size bytes)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner outer = CurrentResourceOwner;
	ResourceOwner owner = ResourceOwnerCreate(outer, "skyvault load segment");
	dsm_segment *volatile segment = NULL;

	PG_TRY();
	{
		CurrentResourceOwner = owner;
		segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment != NULL)
			dsm_pin_mapping(segment);
	}
	PG_CATCH();
	{
		CurrentResourceOwner = outer;
		if (!is_shortage(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	CurrentResourceOwner = outer;
	ResourceOwnerRelease(owner, RESOURCE_RELEASE_BEFORE_LOCKS, false, false);
	ResourceOwnerDelete(owner);
	if (segment != NULL)
		dsm_unpin_mapping(segment);
	return segment;
}

LoadCrew *
load_crew_start(MemoryContext context, const LoadBuildSpec *spec, int workers)
{
	MemoryContext old;
	dsm_segment *segment;
	LoadCrew   *crew;

	workers = Min(workers, LOAD_MAX_WORKERS);
	if (workers <= 0 || !server_is_committed(spec->server_oid))
		return NULL;
	segment = create_segment(load_shared_bytes(workers));
	if (segment == NULL)
		return NULL;
	old = MemoryContextSwitchTo(context);
	crew = make_crew(context, segment, spec);
	for (int i = 0; i < workers; i++)
	{
		make_queues(crew, i);
		if (!start_worker(crew, i))
			break;
		crew->nworkers++;
	}
	MemoryContextSwitchTo(old);
	if (crew->nworkers > 0)
		return crew;
	load_crew_end(crew);
	return NULL;
}

/*
 * What workers say
 */

static void
raise_error_of(const char *message, Size len)
{
	StringInfoData from;
	int			code;
	const char *texts[4];

	initStringInfo(&from);
	appendBinaryStringInfo(&from, message + 1, len - 1);
	code = (int) pq_getmsgint(&from, 4);
	for (int i = 0; i < lengthof(texts); i++)
		texts[i] = pq_getmsgrawstring(&from);
	ereport(ERROR,
			(errcode(code), errmsg_internal("%s", texts[0]),
			 texts[1][0] != '\0' ? errdetail_internal("%s", texts[1]) : 0,
			 texts[2][0] != '\0' ? errhint("%s", texts[2]) : 0,
			 errcontext("skyvault load worker%s%s", texts[3][0] != '\0' ? "\n" : "", texts[3])));
}

/* The next thing the worker says; an error is raised, and if it ends without a word too. */
static char
hear(LoadCrew *crew, int worker, SvSlice *rest)
{
	Size		len;
	void	   *data;

	if (shm_mq_receive(crew->workers[worker].answers, &len, &data, false) != SHM_MQ_SUCCESS || len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lost connection to skyvault load worker"),
				 errhint("The server's log may say why it ended. Load again, or with skyvault.load_workers = 0.")));
	if (*(char *) data == LOAD_FAILED)
		raise_error_of(data, len);
	*rest = sv_slice((char *) data + 1, len - 1);
	if (*(char *) data == LOAD_DUPLICATE)
		crew->duplicate(crew->duplicate_state, *rest);
	return *(char *) data;
}

/* One that has ended is known by its answers' queue, one that could not be started too. */
static bool
is_ready(CrewWorker *worker)
{
	Size		len;
	void	   *data;

	return shm_mq_receive(worker->answers, &len, &data, false) == SHM_MQ_SUCCESS &&
		len == 1 && *(char *) data == LOAD_READY;
}

/* It sees that nobody is there, whenever it looks, and goes. */
static void
dismiss_worker(CrewWorker *worker)
{
	shm_mq_detach(worker->entries);
	shm_mq_detach(worker->answers);
	worker->handle = NULL;
}

int
load_crew_assemble(LoadCrew *crew, int wanted)
{
	int			ready = 0;

	for (int i = 0; i < crew->nworkers; i++)
	{
		CrewWorker	worker = crew->workers[i];

		if (ready == wanted || !is_ready(&worker))
			dismiss_worker(&crew->workers[i]);
		else
		{
			/* None is forgotten on the way: an error in between ends them all. */
			crew->workers[i].handle = NULL;
			crew->workers[ready++] = worker;
		}
	}
	crew->nworkers = ready;
	crew->shared->spec.memory_bytes = Max(crew->shared->spec.memory_bytes / Max(ready, 1), LOAD_MIN_MEMORY_BYTES);
	return ready;
}

/*
 * What workers get
 */

static void
send_message(LoadCrew *crew, int index, const void *data, size_t len)
{
	CrewWorker *worker = &crew->workers[index];
	SvSlice		rest;

	/* It takes entries until it has said something else. */
	if (shm_mq_send(worker->entries, len, data, false, len == LOAD_END_BYTES) != SHM_MQ_SUCCESS)
	{
		(void) hear(crew, index, &rest);
		elog(ERROR, "a skyvault load worker has ended before its entries");
	}
}

static void
send_entries(LoadCrew *crew, int index)
{
	CrewWorker *worker = &crew->workers[index];

	if (worker->message_bytes > 0)
		send_message(crew, index, worker->message, worker->message_bytes);
	worker->message_bytes = 0;
}

void
load_crew_put(LoadCrew *crew, int index, SvSlice key, SvSlice value, TimestampTz expires_at)
{
	LoadEntry	entry = {.key = key,.value = value,.expires_at = expires_at};
	CrewWorker *worker = &crew->workers[index];
	size_t		bytes = load_entry_bytes(&entry);

	if (worker->message_bytes + bytes > Max(LOAD_MESSAGE_BYTES, bytes))
		send_entries(crew, index);
	if (bytes > worker->message_room)
	{
		if (worker->message != NULL)
			pfree(worker->message);
		worker->message_room = Max(LOAD_MESSAGE_BYTES, bytes);
		worker->message = MemoryContextAllocHuge(crew->context, worker->message_room);
	}
	load_entry_put(worker->message + worker->message_bytes, &entry);
	worker->message_bytes += bytes;
}

void
load_crew_close(LoadCrew *crew)
{
	for (int i = 0; i < crew->nworkers; i++)
	{
		send_entries(crew, i);
		send_message(crew, i, "", LOAD_END_BYTES);
	}
}

void
load_crew_result(LoadCrew *crew, int index, LoadBuilt *built)
{
	SvSlice		rest;

	if (hear(crew, index, &rest) != LOAD_DONE)
		elog(ERROR, "a skyvault load worker has said something else than it was asked");
	load_wire_get_built(rest, built);
}

void
load_crew_end(LoadCrew *crew)
{
	if (crew == NULL || crew->segment == NULL)
		return;

	/* So that none is seen any more when the statement has ended. */
	for (int i = 0; i < crew->nworkers; i++)
		if (crew->workers[i].handle != NULL)
			(void) WaitForBackgroundWorkerShutdown(crew->workers[i].handle);
	dsm_detach(crew->segment);
}
