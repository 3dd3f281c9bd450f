/*
 * store_s3v2_run.c
 *		The loop around libs3: tries, pauses, time limits.
 */
#include "store/store_s3v2_run.h"

#include <signal.h>
#include <sys/select.h>

#include "store/store_backoff.h"

#define LONGEST_PAUSE_MS 5000

/* Descriptors that libcurl's multi handle has for itself. */
#define OWN_DESCRIPTORS 2

/* How long to wait when libs3 does not say for what. */
#define BLIND_WAIT_MS 5

void
s3v2_drop_context(S3V2Store *store)
{
	S3RequestContext *context = store->context;

	store->context = NULL;
	/* answers each running request with S3StatusInterrupted */
	if (context != NULL)
		store->library->destroy_request_context(context);
	for (; store->reserved > 0; store->reserved--)
		if (store->release_fd != NULL)
			store->release_fd(store->fd_state);
}

/* Descriptors for so many requests at a time: libcurl keeps the connections of those that have ended. */
static bool
reserve(S3V2Store *store, int running)
{
	while (store->reserved < OWN_DESCRIPTORS + running)
	{
		if (store->reserve_fd != NULL && !store->reserve_fd(store->fd_state))
			return false;
		store->reserved++;
	}
	return true;
}

static SvStatus
fail_descriptors(const S3V2Task *task, SvError *err)
{
	SvStatus	status = sv_fail(err, SV_IO, "request to the object store for \"%s\" failed: too many open files",
								 task->name);

	sv_set_hint(err, "Raise max_files_per_process, or the operating system's limit of open files.");
	return status;
}

static void
account_try(const S3V2Task *task, SvStatus status, const StoreCall *call)
{
	StoreRequest request = {.operation = task->operation,.status = status,.retry = task->tries > 1};

	if (call == NULL || call->account == NULL)
		return;
	request.caller = call->caller;
	request.bytes_in = task->received;
	request.bytes_out = task->operation == STORE_PUT ? task->bytes : 0;
	request.latency_us = store_now_us() - task->started_us;
	call->account(call->state, &request);
}

/* A task that was answered is done, or waits for its next try; or fails. */
static SvStatus
settle(S3V2Task *task, uint64_t deadline_us, const StoreCall *call, SvError *err)
{
	S3V2Verdict verdict = s3v2_task_judge(task);
	uint64_t	pause = store_backoff_us(task->tries, LONGEST_PAUSE_MS, &task->store->random);
	uint64_t	now = store_now_us();

	if (verdict == S3V2_VERDICT_AGAIN && now + pause < deadline_us)
	{
		account_try(task, SV_IO, call);
		task->phase = S3V2_WAITING;
		task->retry_us = now + pause;
		return SV_OK;
	}
	task->phase = S3V2_DONE;
	task->status = verdict == S3V2_VERDICT_GOOD ? SV_OK : s3v2_task_fail(task, err);
	account_try(task, task->status, call);
	return task->operation == STORE_HEAD && task->status == SV_NOT_FOUND ? SV_OK : task->status;
}

/* Answers how many run; *refused: none does, for want of descriptors. */
static int
start_more(S3V2Store *store, S3V2Task *tasks, int ntasks, int running, bool *refused)
{
	uint64_t	now = store_now_us();

	*refused = false;

	for (int i = 0; i < ntasks && running < store->io_concurrency; i++)
	{
		if (tasks[i].phase != S3V2_WAITING || tasks[i].retry_us > now)
			continue;
		if (!reserve(store, running + 1))
		{
			*refused = running == 0;
			return running;
		}
		if (store->context == NULL && store->library->create_request_context(&store->context) != S3StatusOK)
			return running;
		s3v2_task_begin(&tasks[i]);
		running++;
	}
	return running;
}

/* Waits for sockets, or until something else is due. */
static void
wait_for_some(S3V2Store *store, const S3V2Task *tasks, int ntasks, int running, const StoreCall *call)
{
	StoreWaitFd fds[FD_SETSIZE];
	int			nfds = 0;
	int			max_fd = -1;
	int64_t		timeout_ms = running > 0 ? store->library->get_request_context_timeout(store->context) : -1;
	uint64_t	now = store_now_us();
	fd_set		readable;
	fd_set		writable;
	fd_set		exceptional;

	FD_ZERO(&readable);
	FD_ZERO(&writable);
	FD_ZERO(&exceptional);
	if (running > 0)
		store->library->get_request_context_fdsets(store->context, &readable, &writable, &exceptional, &max_fd);
	for (int fd = 0; fd <= max_fd; fd++)
	{
		if (FD_ISSET(fd, &readable) || FD_ISSET(fd, &writable))
			fds[nfds++] = (StoreWaitFd) {fd, FD_ISSET(fd, &readable), FD_ISSET(fd, &writable)};
	}
	if (timeout_ms < 0 || timeout_ms > 100)
		timeout_ms = 100;
	if (running > 0 && nfds == 0 && timeout_ms > BLIND_WAIT_MS)
		timeout_ms = BLIND_WAIT_MS;
	for (int i = 0; i < ntasks; i++)
	{
		int64_t		left_ms = tasks[i].retry_us > now ? (int64_t) ((tasks[i].retry_us - now) / 1000) + 1 : 0;

		if (tasks[i].phase == S3V2_WAITING && left_ms > 0 && left_ms < timeout_ms)
			timeout_ms = left_ms;
	}
	store_wait(call, fds, nfds, (int) timeout_ms);
}

/* Ends those that have fallen silent.  libs3 can end requests only all together: the others are tried again. */
static void
end_overdue(S3V2Store *store, S3V2Task *tasks, int ntasks, uint64_t silence_us, uint64_t deadline_us)
{
	uint64_t	now = store_now_us();

	for (int i = 0; i < ntasks; i++)
	{
		if (tasks[i].phase == S3V2_RUNNING &&
			(now >= tasks[i].moved_us + silence_us || now >= deadline_us))
		{
			s3v2_drop_context(store);
			return;
		}
	}
}

/* Looks at those that were answered; the number of those that run. */
static SvStatus
settle_answered(S3V2Task *tasks, int ntasks, uint64_t deadline_us, int *running, int *left, int *failed,
				const StoreCall *call, SvError *err)
{
	*running = *left = 0;
	for (int i = 0; i < ntasks; i++)
	{
		SvStatus	status = tasks[i].phase == S3V2_ANSWERED ? settle(&tasks[i], deadline_us, call, err) : SV_OK;

		if (status != SV_OK)
		{
			*failed = i;
			return status;
		}
		*running += tasks[i].phase == S3V2_RUNNING;
		*left += tasks[i].phase != S3V2_DONE;
	}
	return SV_OK;
}

/* How long all of it may take, beside what its bytes take at 1 MB a second. */
static uint64_t
time_limit_us(const S3V2Store *store, const S3V2Task *tasks, int ntasks, const StoreCall *call)
{
	int			deadline_ms = call != NULL && call->deadline_ms > 0 ? call->deadline_ms : store->deadline_ms;
	uint64_t	limit_us = (uint64_t) deadline_ms * 1000;

	for (int i = 0; i < ntasks; i++)
		limit_us += tasks[i].bytes;
	return limit_us;
}

/* A thread that libcurl starts, to resolve a name, inherits the mask of signals: see http_client.c. */
static S3Status
run_once(S3V2Store *store)
{
	sigset_t	all;
	sigset_t	before;
	int			remaining;
	S3Status	status;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = store->library->runonce_request_context(store->context, &remaining);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return status;
}

static SvStatus
run_all(S3V2Store *store, S3V2Task *tasks, int ntasks, int *failed, const StoreCall *call, SvError *err)
{
	uint64_t	limit_us = time_limit_us(store, tasks, ntasks, call);
	uint64_t	deadline_us = store_now_us() + limit_us;
	int			timeout_ms = call != NULL && call->timeout_ms > 0 ? call->timeout_ms : store->timeout_ms;
	uint64_t	silence_us = (uint64_t) timeout_ms * 1000;
	int			running = 0;
	int			left = ntasks;

	/* so that there is time for another try */
	if (silence_us > limit_us / 3)
		silence_us = limit_us / 3;
	while (left > 0)
	{
		SvStatus	status = store_check_cancel(call, tasks[0].name, err);
		bool		refused;

		if (status != SV_OK)
			return status;
		start_more(store, tasks, ntasks, running, &refused);
		if (refused)
			return fail_descriptors(&tasks[0], err);
		if (store->context == NULL && running == 0 && store_now_us() >= deadline_us)
			return sv_fail(err, SV_NO_MEMORY, "out of memory");
		if (store->context != NULL && run_once(store) != S3StatusOK)
			s3v2_drop_context(store);
		end_overdue(store, tasks, ntasks, silence_us, deadline_us);
		status = settle_answered(tasks, ntasks, deadline_us, &running, &left, failed, call, err);
		if (status != SV_OK)
			return status;
		if (left > 0)
			wait_for_some(store, tasks, ntasks, running, call);
	}
	return SV_OK;
}

/* Keys for the requests of this call; libs3 reads them when a request starts. */
static SvStatus
take_keys(S3V2Store *store, const StoreCall *call, SvError *err)
{
	const S3Credentials *keys;
	SvStatus	status = s3_credentials_get(store->credentials, &keys, call, err);

	if (status != SV_OK)
		return status;
	if (keys->session_token[0] != '\0')
	{
		status = sv_fail(err, SV_UNSUPPORTED, "signature v2 knows no session tokens");
		sv_set_hint(err, "Use keys without session_token, or signature v4.");
		return status;
	}
	store->bucket.accessKeyId = keys->access_key_id;
	store->bucket.secretAccessKey = keys->secret_access_key;
	return SV_OK;
}

SvStatus
s3v2_run(S3V2Store *store, S3V2Task *tasks, int ntasks, int *failed, const StoreCall *call, SvError *err)
{
	int			unwanted = -1;
	SvStatus	status = take_keys(store, call, err);

	if (failed == NULL)
		failed = &unwanted;
	*failed = -1;
	if (status != SV_OK)
		return status;
	for (int i = 0; i < ntasks; i++)
	{
		tasks[i].store = store;
		tasks[i].phase = S3V2_WAITING;
		tasks[i].content_before = tasks[i].content != NULL ? tasks[i].content->len : 0;
	}
	status = run_all(store, tasks, ntasks, failed, call, err);
	/* what still runs would write to memory that is the caller's */
	if (status != SV_OK)
		s3v2_drop_context(store);
	store->bucket.accessKeyId = store->bucket.secretAccessKey = NULL;
	return status;
}
