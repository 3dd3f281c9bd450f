/*
 * s3_batch.c
 *		Concurrency, pauses, hedges and time limits.
 */
#include "store/s3_batch.h"

#include <string.h>

#include "store/s3_answer.h"
#include "store/s3_read.h"
#include "store/store_backoff.h"

#define LONGEST_PAUSE_MS 10000
/* So many answers without a complaint, and one more request may run at once. */
#define SUCCESSES_TO_GROW 8
/* Fewer latencies than this say nothing about the share that is slow. */
#define LATENCIES_TO_HEDGE 16
/* Bytes of a body take no longer than this to come or go, or the time limit does not know of them: 1 MB a second. */
#define BYTES_PER_MS 1000

/* -------------------------------------------------------------------------
 * Figures
 * ------------------------------------------------------------------------- */

static void
note_success(S3Store *store)
{
	if (store->concurrency < store->io_concurrency && ++store->successes >= SUCCESSES_TO_GROW)
	{
		store->concurrency++;
		store->successes = 0;
	}
}

/* Once for all that were under way together: of the others the store has heard too late to be asked less. */
static void
note_slow_down(S3Store *store, const S3Attempt *attempt)
{
	if (attempt->http.started_us <= store->lowered_us)
		return;
	store->concurrency = store->concurrency > 1 ? store->concurrency / 2 : 1;
	store->successes = 0;
	store->lowered_us = store_now_us();
}

/*
 * No descriptor was left for a connection.  If others run, as many as they are
 * as many as can be, for now; false if none does.
 */
static bool
note_no_descriptor(S3Store *store)
{
	int			running = http_client_running(store->http);

	if (running == 0)
		return false;
	if (store->concurrency > running)
		store->concurrency = running;
	store->successes = 0;
	return true;
}

static void
note_latency(S3Store *store, const S3Attempt *attempt)
{
	if (attempt->op->may_hedge)
		store->latencies[store->nlatencies++ % S3_LATENCIES] = attempt->http.ended_us - attempt->http.started_us;
}

/* What hedge_percent of the last GETs took at most; UINT64_MAX while that is unknown. */
static uint64_t
hedge_after_us(const S3Store *store)
{
	uint64_t	sorted[S3_LATENCIES];
	unsigned	n = store->nlatencies < S3_LATENCIES ? store->nlatencies : S3_LATENCIES;

	if (store->hedge_percent == 0 || n < LATENCIES_TO_HEDGE)
		return UINT64_MAX;
	for (unsigned i = 0; i < n; i++)
	{
		unsigned	at = i;

		for (; at > 0 && sorted[at - 1] > store->latencies[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = store->latencies[i];
	}
	return sorted[(n - 1) * (unsigned) store->hedge_percent / 100];
}

static uint64_t
body_bytes(const S3Op *op)
{
	uint64_t	bytes = op->expected_bytes;

	for (int i = 0; i < op->nbody; i++)
		bytes += op->body[i].len;
	return bytes;
}

/* -------------------------------------------------------------------------
 * Making
 * ------------------------------------------------------------------------- */

void
s3_batch_renew(S3Batch *batch, const StoreCall *call)
{
	int			deadline_ms = call != NULL && call->deadline_ms > 0 ? call->deadline_ms : batch->store->deadline_ms;

	batch->timeout_ms = call != NULL && call->timeout_ms > 0 ? call->timeout_ms : batch->store->timeout_ms;
	batch->deadline_us = store_now_us() + (uint64_t) deadline_ms * 1000;
	for (S3Op *op = batch->queue; op != NULL; op = op->next)
		batch->deadline_us += body_bytes(op) / BYTES_PER_MS * 1000;
	for (S3Op *op = batch->active; op != NULL; op = op->next)
		batch->deadline_us += body_bytes(op) / BYTES_PER_MS * 1000;
}

void
s3_batch_init(S3Batch *batch, S3Store *store, const StoreCall *call)
{
	memset(batch, 0, sizeof(*batch));
	batch->store = store;
	s3_batch_renew(batch, call);
}

void
s3_batch_add(S3Batch *batch, S3Op *op)
{
	op->run_state = S3_QUEUED;
	op->next = NULL;
	if (batch->queue == NULL)
		batch->queue = op;
	else
		batch->queue_last->next = op;
	batch->queue_last = op;
	batch->deadline_us += body_bytes(op) / BYTES_PER_MS * 1000;
	batch->npending++;
}

int
s3_batch_pending(const S3Batch *batch)
{
	return batch->npending;
}

/* -------------------------------------------------------------------------
 * Tries
 * ------------------------------------------------------------------------- */

/* The HTTP client is made when it is first needed, and again in another process. */
static SvStatus
ensure_client(S3Store *store, SvError *err)
{
	return store->http != NULL ? SV_OK : http_client_create(&store->http, &store->http_options, err);
}

/* Milliseconds that a try may take; 0: none is left. */
static int
time_for_try(const S3Batch *batch, const S3Op *op)
{
	uint64_t	now = store_now_us();
	uint64_t	limit = (uint64_t) batch->timeout_ms + body_bytes(op) / BYTES_PER_MS;

	if (now >= batch->deadline_us)
		return 0;
	if ((batch->deadline_us - now) / 1000 < limit)
		limit = (batch->deadline_us - now) / 1000 + 1;
	return limit > INT32_MAX ? INT32_MAX : (int) limit;
}

static SvStatus
fail_batch(S3Batch *batch, S3Op *op, SvStatus status, const StoreCall *call)
{
	batch->failed = op;
	batch->status = status;
	s3_batch_drop(batch, call);
	return status;
}

/* Its time is over; what the last try met says why. */
static SvStatus
fail_late(S3Batch *batch, S3Op *op, const StoreCall *call, SvError *err)
{
	if (batch->error_op == op)
	{
		SvStatus	status = batch->error.status;

		if (err != NULL)
			*err = batch->error;
		return fail_batch(batch, op, status, call);
	}
	sv_fail(err, SV_IO, "request to the object store for \"%s\" took too long", op->name);
	sv_set_hint(err, "Check the store's health, or raise skyvault.store_timeout.");
	return fail_batch(batch, op, SV_IO, call);
}

static SvStatus
start_try(S3Batch *batch, S3Op *op, const StoreCall *call, SvError *err)
{
	int			time_ms = time_for_try(batch, op);
	SvStatus	status;

	if (time_ms == 0)
		return fail_late(batch, op, call, err);
	op->tries++;
	op->hedged = false;
	op->run_state = S3_RUNNING;
	status = s3_attempt_start(batch->store, op, false, time_ms, call, &op->attempts[0], err);
	return status != SV_OK ? fail_batch(batch, op, status, call) : SV_OK;
}

static void
end_attempts(S3Op *op, int except, const StoreCall *call)
{
	for (int i = 0; i < 2; i++)
	{
		if (i != except && op->attempts[i] != NULL)
		{
			s3_attempt_end(op->attempts[i], SV_CANCELLED, call);
			op->attempts[i] = NULL;
		}
	}
}

static void
unlink_active(S3Batch *batch, S3Op *op)
{
	S3Op	  **link = &batch->active;

	while (*link != op)
		link = &(*link)->next;
	*link = op->next;
	batch->nactive--;
}

static void
end_op(S3Batch *batch, S3Op *op, SvStatus status)
{
	unlink_active(batch, op);
	op->run_state = S3_ENDED;
	op->status = status;
	batch->npending--;
}

/* Whether another try has a chance, and if so, when.  pause_ms is the store's wish; 0: it has none. */
static bool
plan_retry(S3Batch *batch, S3Op *op, int pause_ms)
{
	S3Store    *store = batch->store;
	uint64_t	pause_us = (uint64_t) pause_ms * 1000;
	uint64_t	now = store_now_us();

	if (pause_ms == 0)
		pause_us = store_backoff_us(op->tries, LONGEST_PAUSE_MS, &store->random);
	if (op->tries > store->max_retries || now + pause_us >= batch->deadline_us)
		return false;
	op->run_state = S3_PAUSED;
	op->next_us = now + pause_us;
	return true;
}

/* A try of this op has ended. */
static SvStatus
take_try(S3Batch *batch, S3Op *op, int which, const StoreCall *call, SvError *err)
{
	S3Attempt  *attempt = op->attempts[which];
	S3Store    *store = batch->store;
	SvStatus	status;
	int			pause_ms;
	bool		slow_down;
	S3Verdict	verdict = s3_judge(attempt, &status, &pause_ms, &slow_down, &batch->error);
	bool		unsent = attempt->http.outcome == HTTP_NO_DESCRIPTOR;

	if (verdict == S3_DONE && status == SV_OK)
		note_latency(store, attempt);
	if (verdict == S3_DONE)
		note_success(store);
	if (slow_down)
		note_slow_down(store, attempt);
	/* It waits for a place, which is no try. */
	if (unsent && note_no_descriptor(store) && which == 0)
		op->tries--;
	s3_attempt_end(attempt, status, unsent ? NULL : call);
	op->attempts[which] = NULL;
	if (verdict == S3_DONE)
	{
		end_attempts(op, -1, call);
		if (status != SV_OK && status != SV_NOT_FOUND && err != NULL)
			*err = batch->error;
		end_op(batch, op, status);
		return SV_OK;
	}
	batch->error_op = op;
	/* Beside a hedge, a try that failed has another one already. */
	if (op->attempts[1 - which] != NULL && verdict == S3_RETRY)
		return SV_OK;
	if (verdict == S3_RETRY && plan_retry(batch, op, pause_ms))
		return SV_OK;
	if (err != NULL)
		*err = batch->error;
	return fail_batch(batch, op, status, call);
}

/* What fetches that run leave of the store's concurrency; a fetch's own batch has its one op. */
static int
most_at_once(const S3Batch *batch)
{
	int			left = batch->store->concurrency - s3_fetches_running(&batch->store->base);

	return left > 1 ? left : 1;
}

/* Of that; an op that pauses keeps its place. */
static int
places_taken(const S3Batch *batch)
{
	int			taken = batch->nactive;

	for (const S3Op *op = batch->active; op != NULL; op = op->next)
		taken += op->attempts[0] != NULL && op->attempts[1] != NULL;
	return taken;
}

/* Requests of the batch that are under way. */
static int
requests_running(const S3Batch *batch)
{
	int			running = 0;

	for (const S3Op *op = batch->active; op != NULL; op = op->next)
		running += (op->attempts[0] != NULL) + (op->attempts[1] != NULL);
	return running;
}

/* A second request beside one that is slow, and no third: if it cannot start, or fails, there is still the first. */
static void
start_hedge(S3Batch *batch, S3Op *op, const StoreCall *call)
{
	SvError		unwanted;
	int			time_ms = time_for_try(batch, op);

	op->hedged = true;
	if (time_ms > 0)
		(void) s3_attempt_start(batch->store, op, true, time_ms, call, &op->attempts[1], &unwanted);
}

/* -------------------------------------------------------------------------
 * Steps
 * ------------------------------------------------------------------------- */

static SvStatus
start_queued(S3Batch *batch, const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	while (batch->queue != NULL && places_taken(batch) < most_at_once(batch) && status == SV_OK)
	{
		S3Op	   *op = batch->queue;

		batch->queue = op->next;
		op->next = batch->active;
		batch->active = op;
		batch->nactive++;
		status = start_try(batch, op, call, err);
	}
	return status;
}

/* Looks at all that are active; *wait_us is when the next of them wants to be looked at again. */
static SvStatus
serve_active(S3Batch *batch, uint64_t *wait_us, bool *any, const StoreCall *call, SvError *err)
{
	uint64_t	hedge_us = hedge_after_us(batch->store);
	uint64_t	now = store_now_us();
	SvStatus	status = SV_OK;
	S3Op	   *next;

	for (S3Op *op = batch->active; op != NULL && status == SV_OK; op = next)
	{
		S3Attempt  *first = op->attempts[0];

		next = op->next;
		for (int i = 0; i < 2 && status == SV_OK && op->run_state == S3_RUNNING; i++)
		{
			if (op->attempts[i] == NULL || op->attempts[i]->http.outcome == HTTP_RUNNING)
				continue;
			status = take_try(batch, op, i, call, err);
			*any = true;
		}
		if (status != SV_OK || op->run_state == S3_ENDED)
			continue;
		if (op->run_state == S3_PAUSED)
		{
			if (op->next_us > now)
			{
				if (op->next_us < *wait_us)
					*wait_us = op->next_us;
			}
			/* Fewer may run by now than when it began: later, if there is no place for it. */
			else if (requests_running(batch) < most_at_once(batch))
				status = start_try(batch, op, call, err);
		}
		else if (op->may_hedge && hedge_us != UINT64_MAX && op->attempts[0] == first && first != NULL &&
				 !op->hedged)
		{
			if (now >= first->http.started_us + hedge_us)
			{
				/* Later, if there is no place for it now. */
				if (places_taken(batch) < most_at_once(batch))
					start_hedge(batch, op, call);
			}
			else if (first->http.started_us + hedge_us < *wait_us)
				*wait_us = first->http.started_us + hedge_us;
		}
	}
	return status;
}

/* What each step begins with; name is of an op, for the message. */
static SvStatus
get_ready(S3Batch *batch, const char *name, const StoreCall *call, SvError *err)
{
	SvStatus	status = store_check_cancel(call, name, err);

	if (status == SV_OK)
		status = ensure_client(batch->store, err);
	return status == SV_OK ? SV_OK : fail_batch(batch, NULL, status, call);
}

SvStatus
s3_batch_start(S3Batch *batch, const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	if (batch->queue != NULL)
		status = get_ready(batch, batch->queue->name, call, err);
	if (status == SV_OK)
		status = start_queued(batch, call, err);
	if (status == SV_OK)
		http_client_drive(batch->store->http);
	return status;
}

SvStatus
s3_batch_step(S3Batch *batch, const StoreCall *call, int max_wait_ms, SvError *err)
{
	S3Op	   *any_op = batch->active != NULL ? batch->active : batch->queue;
	uint64_t	now = store_now_us();
	uint64_t	wait_us = now + (uint64_t) max_wait_ms * 1000;
	bool		any = false;
	SvStatus	status;

	if (batch->status != SV_OK)
		return sv_fail(err, batch->status, "request to the object store has failed before");
	if (any_op == NULL)
		return SV_OK;
	status = get_ready(batch, any_op->name, call, err);
	if (status == SV_OK)
		status = serve_active(batch, &wait_us, &any, call, err);
	if (status == SV_OK)
		status = start_queued(batch, call, err);
	if (status != SV_OK || any || batch->nactive == 0)
		return status;
	now = store_now_us();
	max_wait_ms = wait_us > now ? (int) ((wait_us - now + 999) / 1000) : 0;
	if (http_client_running(batch->store->http) > 0)
		http_client_step(batch->store->http, call, max_wait_ms);
	else
		store_wait(call, NULL, 0, max_wait_ms);
	return SV_OK;
}

SvStatus
s3_batch_finish(S3Batch *batch, const StoreCall *call, SvError *err)
{
	SvStatus	status = SV_OK;

	while (status == SV_OK && s3_batch_pending(batch) > 0)
	{
		status = s3_batch_step(batch, call, S3_STEP_MS, err);
		if (status == SV_OK)
			store_progress(call);
	}
	return status;
}

void
s3_batch_drop(S3Batch *batch, const StoreCall *call)
{
	for (S3Op *op = batch->active; op != NULL; op = op->next)
		end_attempts(op, -1, call);
	batch->active = batch->queue = NULL;
	batch->nactive = 0;
	batch->npending = 0;
}

SvStatus
s3_run(S3Store *store, S3Op *op, const StoreCall *call, SvError *err)
{
	S3Batch		batch;
	SvStatus	status;

	s3_batch_init(&batch, store, call);
	s3_batch_add(&batch, op);
	status = s3_batch_finish(&batch, call, err);
	return status != SV_OK ? status : op->status;
}
