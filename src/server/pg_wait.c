/*
 * pg_wait.c
 *		See pg_wait.h.
 *
 * A WaitEventSet cannot forget a socket, and a store's sockets come and go.  So
 * they are in an epoll descriptor of our own, which is one socket more in a
 * WaitEventSet that lives as long as the process.  The kernel takes a closed
 * descriptor out of it by itself, and another may get its number: so each wait
 * says anew what it wants of each.
 */
#include "postgres.h"

#include "server/pg_wait.h"

#ifdef HAVE_SYS_EPOLL_H
#include <sys/epoll.h>
#endif
#include <unistd.h>

#include "miscadmin.h"
#include "port/atomics.h"
#include "server/pg_compat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How long a wait takes that cannot see its sockets: for want of memory, or of epoll. */
#define BLIND_WAIT_MS 5

/* Of one process.  The version is odd while it is written; readers try again. */
typedef struct WaitLine
{
	pg_atomic_uint32 version;
	bool		waits;
	PgWaiter	waiter;
} WaitLine;

typedef union WaitLinePadded
{
	WaitLine	line;
	char		pad[PG_CACHE_LINE_SIZE];
} WaitLinePadded;

static WaitLinePadded *lines = NULL;

static WaitEventSet *wait_set = NULL;
static int	sockets = -1;		/* the epoll descriptor */
static int *watched = NULL;		/* descriptors in it, as far as we know; malloc'd */
static int	nwatched = 0;
static int	watched_capacity = 0;

static uint32
process_count(void)
{
	return MaxBackends + NUM_AUXILIARY_PROCS;
}

void
pg_wait_shmem_request(void)
{
	RequestAddinShmemSpace(mul_size(process_count(), sizeof(WaitLinePadded)) + PG_CACHE_LINE_SIZE);
}

void
pg_wait_shmem_startup(void)
{
	bool		found;
	Size		bytes = mul_size(process_count(), sizeof(WaitLinePadded)) + PG_CACHE_LINE_SIZE;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	lines = (WaitLinePadded *) CACHELINEALIGN(ShmemInitStruct("skyvault store waits", bytes, &found));
	if (!found)
	{
		memset(lines, 0, process_count() * sizeof(WaitLinePadded));
		for (uint32 i = 0; i < process_count(); i++)
			pg_atomic_init_u32(&lines[i].line.version, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

const char *
pg_wait_operation_name(StoreOperation operation)
{
	static const char *const names[STORE_OPERATIONS] = {
		[STORE_GET] = "get",[STORE_PUT] = "put",[STORE_HEAD] = "head",[STORE_REMOVE] = "remove",
		[STORE_LIST] = "list"
	};

	return names[operation];
}

const char *
pg_wait_caller_name(StoreCaller caller)
{
	static const char *const names[STORE_CALLERS] = {
		[STORE_FOREGROUND] = "foreground",[STORE_FLUSH] = "flush",[STORE_LOAD] = "load",
		[STORE_COMPACTION] = "compaction",[STORE_GC] = "gc",[STORE_SNAPSHOT] = "snapshot"
	};

	return names[caller];
}

static void
tell_wait(const PgWait *wait)
{
	WaitLine   *line = &lines[compat_proc_number()].line;
	uint32		version = pg_atomic_read_u32(&line->version);

	pg_atomic_write_u32(&line->version, version + 1);
	pg_write_barrier();
	line->waits = wait != NULL;
	if (wait != NULL)
	{
		line->waiter.pid = MyProcPid;
		line->waiter.dboid = MyDatabaseId;
		line->waiter.wait = *wait;
	}
	pg_write_barrier();
	pg_atomic_write_u32(&line->version, version + 2);
}

/* False if the process does not wait, or not long enough to be caught at it. */
static bool
read_line(const WaitLine *line, PgWaiter *waiter)
{
	for (int tries = 0; tries < 100; tries++)
	{
		uint32		version = pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &line->version));
		bool		waits;

		pg_read_barrier();
		waits = line->waits;
		*waiter = line->waiter;
		pg_read_barrier();
		if (version % 2 == 0 &&
			version == pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &line->version)))
			return waits;
	}
	return false;
}

int
pg_wait_list(PgWaiter **waiters)
{
	int			n = 0;

	*waiters = palloc(process_count() * sizeof(PgWaiter));
	for (uint32 i = 0; i < process_count(); i++)
		if (read_line(&lines[i].line, &(*waiters)[n]))
			n++;
	return n;
}

/* By operation from 17 on; before, extensions have one name for all. */
static uint32
wait_event(StoreOperation operation)
{
	static uint32 events[STORE_OPERATIONS] = {0};

	if (events[operation] != 0)
		return events[operation];
	switch (operation)
	{
		case STORE_GET:
			return events[operation] = compat_new_wait_event("SkyvaultStoreGet");
		case STORE_PUT:
			return events[operation] = compat_new_wait_event("SkyvaultStorePut");
		case STORE_HEAD:
			return events[operation] = compat_new_wait_event("SkyvaultStoreHead");
		case STORE_REMOVE:
			return events[operation] = compat_new_wait_event("SkyvaultStoreRemove");
		case STORE_LIST:
			return events[operation] = compat_new_wait_event("SkyvaultStoreList");
	}
	return PG_WAIT_EXTENSION;
}

static uint32 load_event = PG_WAIT_EXTENSION;

uint32
pg_wait_load_event(void)
{
	return load_event;
}

void
pg_wait_prepare(void)
{
	WaitEventSet *set;

	if (wait_set != NULL)
		return;
#ifdef HAVE_SYS_EPOLL_H
	if (sockets < 0)
	{
		ReserveExternalFD();
		sockets = epoll_create1(EPOLL_CLOEXEC);
		if (sockets < 0)
		{
			int			save_errno = errno;

			ReleaseExternalFD();
			errno = save_errno;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not create a descriptor to wait for the store: %m")));
		}
	}
#endif
	set = compat_create_wait_event_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	if (IsUnderPostmaster)
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	if (sockets >= 0)
		AddWaitEventToSet(set, WL_SOCKET_READABLE, sockets, NULL, NULL);
	for (int operation = 0; operation < STORE_OPERATIONS; operation++)
		(void) wait_event(operation);	/* which may raise errors the first time */
	load_event = compat_new_wait_event("SkyvaultLoad");
	wait_set = set;
}

#ifdef HAVE_SYS_EPOLL_H

static bool
is_wanted(int fd, const StoreWaitFd *fds, int nfds)
{
	for (int i = 0; i < nfds; i++)
		if (fds[i].fd == fd)
			return true;
	return false;
}

static bool
watch(const StoreWaitFd *fd)
{
	struct epoll_event event = {.events = 0};

	event.events = (fd->read ? EPOLLIN : 0) | (fd->write ? EPOLLOUT : 0);
	event.data.fd = fd->fd;
	if (epoll_ctl(sockets, EPOLL_CTL_MOD, fd->fd, &event) == 0)
		return true;
	return errno == ENOENT && epoll_ctl(sockets, EPOLL_CTL_ADD, fd->fd, &event) == 0;
}

/* Whether the set wakes for all of them. */
static bool
watch_all(const StoreWaitFd *fds, int nfds)
{
	bool		all = true;

	for (int i = 0; i < nwatched; i++)
		if (!is_wanted(watched[i], fds, nfds))
			(void) epoll_ctl(sockets, EPOLL_CTL_DEL, watched[i], NULL);
	nwatched = 0;

	if (nfds > watched_capacity)
	{
		int		   *larger = realloc(watched, nfds * sizeof(int));

		if (larger == NULL)
			return false;
		watched = larger;
		watched_capacity = nfds;
	}
	for (int i = 0; i < nfds; i++)
	{
		if (watch(&fds[i]))
			watched[nwatched++] = fds[i].fd;
		else
			all = false;
	}
	return all;
}

#else

static bool
watch_all(const StoreWaitFd *fds, int nfds)
{
	return nfds == 0;
}

#endif

void
pg_wait_absorb_barrier(void)
{
	MemoryContext context = CurrentMemoryContext;

	if (!ProcSignalBarrierPending || InterruptHoldoffCount > 0 || CritSectionCount > 0)
		return;
	PG_TRY();
	{
		ProcessProcSignalBarrier();
	}
	PG_CATCH();
	{
		/* It stays pending, and CHECK_FOR_INTERRUPTS will meet the error again. */
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
}

void
pg_wait_for_store(PgWait *wait, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	WaitEvent	event;

	Assert(wait_set != NULL);
	if (!watch_all(fds, nfds))
		timeout_ms = Min(timeout_ms, BLIND_WAIT_MS);
	if (wait->since == 0)
		wait->since = GetCurrentTimestamp();

	HOLD_INTERRUPTS();
	tell_wait(wait);
	if (WaitEventSetWait(wait_set, timeout_ms, &event, 1, wait_event(wait->operation)) == 1 &&
		(event.events & WL_LATCH_SET) != 0)
		ResetLatch(MyLatch);
	tell_wait(NULL);
	RESUME_INTERRUPTS();
	pg_wait_absorb_barrier();
}
