/*
 * pg_status.c
 *		The one place where a status of the server-free layers becomes an
 *		SQLSTATE.
 */
#include "postgres.h"

#include "server/pg_status.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "server/pg_compat.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

/* Of libpq/libpq.h, which needs the headers of GSSAPI. */
extern bool pq_check_connection(void);

typedef struct StatusText
{
	int			sqlstate;
	const char *hint;			/* NULL: none */
} StatusText;

static StatusText
status_text(SvStatus status)
{
	switch (status)
	{
		case SV_CORRUPT:
			return (StatusText) {ERRCODE_DATA_CORRUPTED,
				"Restore the object from a copy of the store; other objects are not affected."};
		case SV_UNSUPPORTED:
			return (StatusText) {ERRCODE_FEATURE_NOT_SUPPORTED,
				"The object was written by a newer version of skyvault."};
		case SV_DENIED:
			return (StatusText) {ERRCODE_INSUFFICIENT_PRIVILEGE,
				"Give the store's identity access to it: the operating system user of the server for a"
				" directory, the keys of the user mapping for a bucket."};
		case SV_NO_SPACE:
			return (StatusText) {ERRCODE_DISK_FULL,
				"Make room in the store; nothing is lost, and the work goes on by itself."};
		case SV_NO_MEMORY:
			return (StatusText) {ERRCODE_OUT_OF_MEMORY, NULL};
		case SV_CANCELLED:
			return (StatusText) {ERRCODE_QUERY_CANCELED, NULL};
		case SV_IO:
		case SV_NOT_FOUND:
		case SV_EXISTS:
			return (StatusText) {ERRCODE_IO_ERROR,
				"Check that the store of the foreign server is reachable."};
		case SV_OK:
		case SV_INVALID:
			break;
	}
	return (StatusText) {ERRCODE_INTERNAL_ERROR, NULL};
}

void
pg_status_report(int elevel, const SvError *err)
{
	StatusText	text = status_text(err->status);
	const char *hint = err->hint[0] != '\0' ? err->hint : text.hint;

	/* It knows why; and who catches the error is not cancelled again by what was pending. */
	if (err->status == SV_CANCELLED && elevel >= ERROR)
		CHECK_FOR_INTERRUPTS();
	ereport(elevel,
			(errcode(text.sqlstate),
			 errmsg_internal("%s", err->message),
			 err->detail[0] != '\0' ? errdetail_internal("%s", err->detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/*
 * repalloc has no variant that returns NULL before 16, and a chunk does not
 * tell its size: so each carries it in front.
 */
#define SIZE_PREFIX MAXALIGN(sizeof(size_t))

static void *
context_allocate(void *state, size_t bytes)
{
	char	   *chunk;

	if (bytes > MaxAllocHugeSize - SIZE_PREFIX)
		return NULL;
	chunk = MemoryContextAllocExtended((MemoryContext) state, SIZE_PREFIX + bytes,
									   MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (chunk == NULL)
		return NULL;
	*(size_t *) chunk = bytes;
	return chunk + SIZE_PREFIX;
}

static void
context_release(void *state, void *ptr)
{
	if (ptr != NULL)
		pfree((char *) ptr - SIZE_PREFIX);
}

static void *
context_resize(void *state, void *ptr, size_t bytes)
{
	void	   *moved = context_allocate(state, bytes);

	if (moved != NULL && ptr != NULL)
	{
		size_t		old_bytes = *(size_t *) ((char *) ptr - SIZE_PREFIX);

		memcpy(moved, ptr, Min(bytes, old_bytes));
		context_release(state, ptr);
	}
	return moved;
}

SvAlloc
pg_status_alloc(MemoryContext context)
{
	return (SvAlloc)
	{
		.allocate = context_allocate,
			.resize = context_resize,
			.release = context_release,
			.state = context
	};
}

/*
 * Finds out whether the client has gone, as CHECK_FOR_INTERRUPTS does, which raises
 * that: who waits below could not call it.
 */
static void
look_after_client(void)
{
	if (!CheckClientConnectionPending)
		return;
	CheckClientConnectionPending = false;
	if (client_connection_check_interval <= 0)
		return;
	if (pq_check_connection())
		enable_timeout_after(CLIENT_CONNECTION_CHECK_TIMEOUT, client_connection_check_interval);
	else
		ClientConnectionLost = InterruptPending = true;
}

bool
pg_status_must_stop(void)
{
	if (!INTERRUPTS_PENDING_CONDITION() || InterruptHoldoffCount > 0 || CritSectionCount > 0)
		return false;
	look_after_client();
	return QueryCancelPending || ProcDiePending || ClientConnectionLost || compat_recovery_conflicts() ||
		compat_transaction_timed_out();
}
