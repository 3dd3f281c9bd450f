/*
 * store_together.c
 *		See store_together.h.
 *
 * Each store goes on by steps with a wait callback that does not wait but notes
 * what it was asked to wait for.  When all of them have nothing else to do, one
 * wait is for all of it.
 */
#include "store/store_together.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "store/store_call.h"
#include "store/store_steps.h"

/* What the stores want to be watched, and for how long. */
typedef struct Watched
{
	StoreWaitFd *fds;
	int			n;
	int			room;
	int			timeout_ms;
} Watched;

typedef struct Member
{
	const StoreGet *get;
	StoreCall	call;			/* the get's, but for the wait */
	StoreSteps	steps;
	Watched    *watched;
	bool		begun;
	bool		waits;			/* since the last common wait */
} Member;

typedef struct Together
{
	Member	   *members;
	int			n;
	Watched		watched;
} Together;

/* ---- what each store calls ---- */

static bool
member_cancelled(void *state)
{
	const StoreCall *call = ((Member *) state)->get->call;

	return call->cancelled != NULL && call->cancelled(call->state);
}

static void
member_begin(void *state, StoreOperation operation)
{
	const StoreCall *call = ((Member *) state)->get->call;

	if (call->begin != NULL)
		call->begin(call->state, operation);
}

static void
member_account(void *state, const StoreRequest *request)
{
	const StoreCall *call = ((Member *) state)->get->call;

	if (call->account != NULL)
		call->account(call->state, request);
}

/* Without memory the wait is short, and blind. */
static void
watch(Watched *watched, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	if (watched->n + nfds > watched->room)
	{
		int			room = watched->n + nfds + 16;
		StoreWaitFd *larger = realloc(watched->fds, (size_t) room * sizeof(StoreWaitFd));

		if (larger == NULL)
		{
			watched->timeout_ms = 1;
			return;
		}
		watched->fds = larger;
		watched->room = room;
	}
	if (nfds > 0)
		memcpy(watched->fds + watched->n, fds, (size_t) nfds * sizeof(StoreWaitFd));
	watched->n += nfds;
	if (timeout_ms < watched->timeout_ms)
		watched->timeout_ms = timeout_ms;
}

/*
 * A store that waits a second time before the others have come to theirs cannot go
 * on without what it waits for, as keys to be renewed: that is waited for.
 */
static void
member_wait(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	Member	   *member = state;

	if (member->waits)
	{
		store_wait(member->get->call, fds, nfds, timeout_ms);
		return;
	}
	member->waits = true;
	watch(member->watched, fds, nfds, timeout_ms);
}

static const StoreCall no_call;

static void
init_member(Member *member, StoreGet *get, Watched *watched)
{
	if (get->call == NULL)
		get->call = &no_call;
	member->get = get;
	member->watched = watched;
	member->call = *get->call;
	member->call.cancelled = member_cancelled;
	member->call.begin = member_begin;
	member->call.account = member_account;
	member->call.wait = member_wait;
	member->call.state = member;
	member->call.progress = NULL;
}

/* ---- all of them ---- */

/* Each that is not done goes on; *busy: one of them did something. */
static SvStatus
go_on(Together *together, bool *busy, bool *done, int *which, SvError *err)
{
	SvStatus	status = SV_OK;

	*busy = false;
	*done = true;
	together->watched.n = 0;
	together->watched.timeout_ms = INT_MAX;
	for (int i = 0; i < together->n && status == SV_OK; i++)
	{
		Member	   *member = &together->members[i];

		member->waits = false;
		if (member->steps.done)
			continue;
		*which = i;
		status = store_steps_go(&member->steps, &member->call, err);
		*busy = *busy || !member->waits;
		*done = *done && member->steps.done;
	}
	return status;
}

static SvStatus
begin_all(Together *together, int *which, SvError *err)
{
	SvStatus	status = SV_OK;

	for (int i = 0; i < together->n && status == SV_OK; i++)
	{
		Member	   *member = &together->members[i];

		*which = i;
		/* Whatever begin has to wait for is waited for. */
		member->waits = true;
		status = store_steps_begin(&member->steps, member->get->store, member->get->ranges, member->get->nranges,
								   &member->call, err);
		member->begun = status == SV_OK;
	}
	return status;
}

static SvStatus
get_all(Together *together, const StoreCall *call, int *which, SvError *err)
{
	SvStatus	status = begin_all(together, which, err);
	bool		done = false;

	while (status == SV_OK && !done)
	{
		bool		busy;

		status = go_on(together, &busy, &done, which, err);
		if (status != SV_OK || done)
			break;
		store_progress(call);
		if (!busy)
			store_wait(call, together->watched.fds, together->watched.n, together->watched.timeout_ms);
	}
	return status;
}

SvStatus
store_get_together(const StoreGet *gets, int n, int *which, int *failed, SvError *err)
{
	StoreGet   *copies = calloc((size_t) n, sizeof(StoreGet));
	Together	together = {.members = calloc((size_t) n, sizeof(Member)),.n = n};
	SvStatus	status;

	*which = 0;
	*failed = -1;
	if (copies == NULL || together.members == NULL)
		status = sv_fail(err, SV_NO_MEMORY, "out of memory: reading from %d stores", n);
	else
	{
		for (int i = 0; i < n; i++)
		{
			copies[i] = gets[i];
			init_member(&together.members[i], &copies[i], &together.watched);
		}
		status = get_all(&together, copies[0].call, which, err);
	}
	for (int i = 0; together.members != NULL && i < n; i++)
	{
		Member	   *member = &together.members[i];
		int			at = member->begun ? store_steps_end(&member->steps, &member->call) : -1;

		if (status != SV_OK && i == *which)
			*failed = at;
	}
	free(together.members);
	free(together.watched.fds);
	free(copies);
	return status;
}
