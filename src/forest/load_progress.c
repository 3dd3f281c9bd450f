/*
 * load_progress.c
 *		See load_progress.h.
 *
 * A line is taken and given back by compare-and-swap of its version, which is
 * odd while the line is in use: whoever adds to a counter by a version that has
 * passed does nothing, or, if it passes just then, adds a little to the next
 * load's, which is for people to look at.
 */
#include "postgres.h"

#include "forest/load_progress.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

typedef enum LoadCounter
{
	ROWS_READ,
	BYTES_READ,
	ROWS_WRITTEN,
	BYTES_WRITTEN,
	ROWS_TOTAL,
	BYTES_TOTAL,
	LOAD_COUNTERS
} LoadCounter;

typedef struct ProgressLine
{
	pg_atomic_uint32 version;	/* odd: in use */
	pg_atomic_uint32 shown;		/* the version once the rest is written; else another */
	pg_atomic_uint32 phase;
	pg_atomic_uint32 workers;
	pg_atomic_uint64 counters[LOAD_COUNTERS];

	/* Of the one who has taken it: */
	int			pid;
	Oid			dboid;
	Oid			relid;
	Oid			userid;
	char		command[32];
} ProgressLine;

/* What is left to do when the load ends without saying so. */
typedef struct LineGuard
{
	MemoryContextCallback callback;
	LoadLine	line;
} LineGuard;

static ProgressLine *lines = NULL;
static bool exit_is_watched = false;

void
load_progress_shmem_request(void)
{
	RequestAddinShmemSpace(mul_size(LOAD_PROGRESS_LINES, sizeof(ProgressLine)));
}

void
load_progress_shmem_startup(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	lines = ShmemInitStruct("skyvault loads", mul_size(LOAD_PROGRESS_LINES, sizeof(ProgressLine)), &found);
	if (!found)
	{
		memset(lines, 0, LOAD_PROGRESS_LINES * sizeof(ProgressLine));
		for (int i = 0; i < LOAD_PROGRESS_LINES; i++)
		{
			pg_atomic_init_u32(&lines[i].version, 0);
			pg_atomic_init_u32(&lines[i].shown, 0);
			pg_atomic_init_u32(&lines[i].phase, 0);
			pg_atomic_init_u32(&lines[i].workers, 0);
			for (int j = 0; j < LOAD_COUNTERS; j++)
				pg_atomic_init_u64(&lines[i].counters[j], 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

const char *
load_progress_phase_name(LoadPhase phase)
{
	static const char *const names[LOAD_PHASES] = {
		[LOAD_INITIALIZING] = "initializing",[LOAD_READING] = "reading",[LOAD_SORTING] = "sorting",
		[LOAD_WRITING] = "writing",[LOAD_PUBLISHING] = "publishing"
	};

	return names[phase];
}

/*
 * For the one who loads
 */

/* NULL: the load is not shown, or has ended. */
static ProgressLine *
line_of(LoadLine line)
{
	if (line.index < 0 || line.index >= LOAD_PROGRESS_LINES ||
		pg_atomic_read_u32(&lines[line.index].version) != line.version)
		return NULL;
	return &lines[line.index];
}

void
load_progress_end(LoadLine line)
{
	uint32		version = line.version;

	if (line_of(line) != NULL)
		(void) pg_atomic_compare_exchange_u32(&lines[line.index].version, &version, version + 1);
}

static void
end_guarded(void *arg)
{
	load_progress_end(((LineGuard *) arg)->line);
}

/* For an end that frees no memory. */
static void
end_all(int code, Datum arg)
{
	for (int i = 0; i < LOAD_PROGRESS_LINES; i++)
	{
		uint32		version = pg_atomic_read_u32(&lines[i].version);

		if (version % 2 == 1 && lines[i].pid == MyProcPid)
			load_progress_end((LoadLine) {.index = i,.version = version});
	}
}

static LoadLine
take_line(void)
{
	for (int i = 0; i < LOAD_PROGRESS_LINES; i++)
	{
		uint32		version = pg_atomic_read_u32(&lines[i].version);

		if (version % 2 == 0 && pg_atomic_compare_exchange_u32(&lines[i].version, &version, version + 1))
			return (LoadLine) {.index = i,.version = version + 1};
	}
	return (LoadLine) {.index = -1};
}

LoadLine
load_progress_begin(MemoryContext context, const char *command, Oid relid)
{
	LineGuard  *guard = MemoryContextAllocZero(context, sizeof(LineGuard));
	ProgressLine *line;

	if (!exit_is_watched)
		before_shmem_exit(end_all, (Datum) 0);
	exit_is_watched = true;
	guard->line = take_line();
	if (guard->line.index < 0)
		return guard->line;
	line = &lines[guard->line.index];
	line->pid = MyProcPid;
	line->dboid = MyDatabaseId;
	line->relid = relid;
	line->userid = GetSessionUserId();
	strlcpy(line->command, command, sizeof(line->command));
	pg_atomic_write_u32(&line->phase, LOAD_INITIALIZING);
	pg_atomic_write_u32(&line->workers, 0);
	for (int i = 0; i < LOAD_COUNTERS; i++)
		pg_atomic_write_u64(&line->counters[i], 0);
	pg_write_barrier();
	pg_atomic_write_u32(&line->shown, guard->line.version);
	guard->callback.func = end_guarded;
	guard->callback.arg = guard;
	MemoryContextRegisterResetCallback(context, &guard->callback);
	return guard->line;
}

void
load_progress_phase(LoadLine line, LoadPhase phase)
{
	ProgressLine *to = line_of(line);

	if (to != NULL)
		pg_atomic_write_u32(&to->phase, phase);
}

void
load_progress_read(LoadLine line, uint64 rows, uint64 bytes)
{
	ProgressLine *to = line_of(line);

	if (to == NULL)
		return;
	pg_atomic_write_u64(&to->counters[ROWS_READ], rows);
	pg_atomic_write_u64(&to->counters[BYTES_READ], bytes);
}

void
load_progress_total(LoadLine line, uint64 rows, uint64 bytes)
{
	ProgressLine *to = line_of(line);

	if (to == NULL)
		return;
	pg_atomic_write_u64(&to->counters[ROWS_TOTAL], rows);
	pg_atomic_write_u64(&to->counters[BYTES_TOTAL], bytes);
}

void
load_progress_workers(LoadLine line, int workers)
{
	ProgressLine *to = line_of(line);

	if (to != NULL)
		pg_atomic_write_u32(&to->workers, workers);
}

void
load_progress_written(LoadLine line, uint64 rows, uint64 bytes)
{
	ProgressLine *to = line_of(line);

	if (to == NULL)
		return;
	pg_atomic_fetch_add_u64(&to->counters[ROWS_WRITTEN], rows);
	pg_atomic_fetch_add_u64(&to->counters[BYTES_WRITTEN], bytes);
}

/*
 * For people
 */

/* False: it is free, or has changed hands meanwhile. */
static bool
read_line(ProgressLine *from, LoadProgress *to)
{
	uint32		version = pg_atomic_read_u32(&from->version);

	if (version % 2 == 0 || pg_atomic_read_u32(&from->shown) != version)
		return false;
	pg_read_barrier();
	*to = (LoadProgress)
	{
		.pid = from->pid,.dboid = from->dboid,.relid = from->relid,.userid = from->userid,
		.phase = pg_atomic_read_u32(&from->phase),.workers = pg_atomic_read_u32(&from->workers),
		.rows_read = pg_atomic_read_u64(&from->counters[ROWS_READ]),
		.bytes_read = pg_atomic_read_u64(&from->counters[BYTES_READ]),
		.rows_written = pg_atomic_read_u64(&from->counters[ROWS_WRITTEN]),
		.bytes_written = pg_atomic_read_u64(&from->counters[BYTES_WRITTEN]),
		.rows_total = pg_atomic_read_u64(&from->counters[ROWS_TOTAL]),
		.bytes_total = pg_atomic_read_u64(&from->counters[BYTES_TOTAL])
	};
	memcpy(to->command, from->command, sizeof(to->command));
	pg_read_barrier();
	return pg_atomic_read_u32(&from->version) == version;
}

int
load_progress_list(LoadProgress *loads)
{
	int			n = 0;

	for (int i = 0; i < LOAD_PROGRESS_LINES; i++)
		n += read_line(&lines[i], &loads[n]);
	return n;
}
