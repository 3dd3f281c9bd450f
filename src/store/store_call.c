/*
 * store_call.c
 *		Cancelling, waiting and accounts, as a StoreCall asks for them.
 */
#include "store/store_call.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>

/* How long nobody may wait without asking whether to stop. */
#define WAIT_MS 100
#define POLL_FDS 64

SvStatus
store_check_cancel(const StoreCall *call, const char *name, SvError *err)
{
	if (call == NULL || call->cancelled == NULL || !call->cancelled(call->state))
		return SV_OK;
	return sv_fail(err, SV_CANCELLED, "request to the object store for \"%s\" was cancelled", name);
}

static void
wait_by_poll(const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	struct pollfd few[POLL_FDS];
	struct pollfd *polled = nfds <= POLL_FDS ? few : malloc((size_t) nfds * sizeof(struct pollfd));

	/* Without memory the first ones will do: the wait is short. */
	if (polled == NULL)
	{
		polled = few;
		nfds = POLL_FDS;
	}
	for (int i = 0; i < nfds; i++)
	{
		polled[i].fd = fds[i].fd;
		polled[i].events = (short) ((fds[i].read ? POLLIN : 0) | (fds[i].write ? POLLOUT : 0));
		polled[i].revents = 0;
	}
	/* A signal, or any failure, is a wait that ended early. */
	(void) poll(polled, (nfds_t) nfds, timeout_ms);
	if (polled != few)
		free(polled);
}

void
store_wait(const StoreCall *call, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	if (timeout_ms < 0 || timeout_ms > WAIT_MS)
		timeout_ms = WAIT_MS;
	if (call != NULL && call->wait != NULL)
		call->wait(call->state, fds, nfds, timeout_ms);
	else
		wait_by_poll(fds, nfds, timeout_ms);
}

SvStatus
store_pause(const StoreCall *call, const char *name, int pause_ms, SvError *err)
{
	uint64_t	end = store_now_us() + (uint64_t) pause_ms * 1000;

	for (;;)
	{
		SvStatus	status = store_check_cancel(call, name, err);
		uint64_t	now = store_now_us();

		if (status != SV_OK || now >= end)
			return status;
		store_wait(call, NULL, 0, (int) ((end - now + 999) / 1000 < WAIT_MS ? (end - now + 999) / 1000 : WAIT_MS));
	}
}

void
store_progress(const StoreCall *call)
{
	if (call != NULL && call->progress != NULL)
		call->progress(call->progress_state);
}

uint64_t
store_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

void
store_account(const StoreCall *call, StoreOperation operation, uint64_t started_us,
			  SvStatus status, uint64_t bytes_in, uint64_t bytes_out)
{
	StoreRequest request = {.operation = operation,.status = status,.bytes_in = bytes_in,.bytes_out = bytes_out};

	if (call == NULL || call->account == NULL)
		return;
	request.caller = call->caller;
	request.latency_us = store_now_us() - started_us;
	call->account(call->state, &request);
}
