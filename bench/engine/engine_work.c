/*
 * engine_work.c
 *		The loops that are timed do nothing but ask, and read the two ends of
 *		each answer.
 */
#include "engine_work.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int
compare_slices(const void *a, const void *b)
{
	return sv_slice_compare(*(const SvSlice *) a, *(const SvSlice *) b);
}

static uint32_t
batch_of(const EngineWork *work)
{
	return work->kind == ENGINE_BATCH_HIT ? work->batch : 1;
}

/* The keys a thread begins with: neighbours in the random order, and others in each round. */
static void
choose_keys(const EngineData *data, const EngineWork *work, uint32_t from, uint32_t n, SvSlice *keys)
{
	uint32_t	batch = batch_of(work);

	for (uint32_t i = 0; i < n; i++)
	{
		if (work->kind == ENGINE_GET_MISS)
			keys[i] = engine_missing_key(data, (from + i) % data->missing_count);
		else
			keys[i] = engine_key(data, data->order[(from + i) % data->count]);
	}
	for (uint32_t i = 0; batch > 1 && i < n; i += batch)
		qsort(keys + i, min_u32(batch, n - i), sizeof(SvSlice), compare_slices);
}

static uint64_t
right_digest(const SvSlice *keys, uint32_t n)
{
	uint8_t		value[ENGINE_VALUE_BYTES];
	uint64_t	digest = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		engine_value(keys[i], value);
		digest += engine_digest(sv_slice(value, sizeof(value)));
	}
	return digest;
}

void
engine_queries_make(EngineQueries *queries, const EngineData *data, const EngineWork *work,
					uint32_t per_thread, uint32_t round)
{
	uint32_t	n;

	/* No batch may have a key twice, so none may be longer than the data. */
	queries->per_thread = min_u32(per_thread, data->count);
	queries->threads = work->threads;
	n = queries->per_thread * work->threads;
	queries->keys = engine_allocate(n * sizeof(SvSlice));
	queries->bytes = engine_allocate((size_t) n * data->key_bytes);
	for (uint32_t t = 0; t < work->threads; t++)
	{
		SvSlice    *keys = queries->keys + (size_t) t * queries->per_thread;
		uint64_t	from = ((uint64_t) round * work->threads + t) * queries->per_thread;

		choose_keys(data, work, (uint32_t) (from % data->count), queries->per_thread, keys);
		queries->digests[t] = work->kind == ENGINE_GET_MISS ? 0 : right_digest(keys, queries->per_thread);
	}
	/* The keys lie one behind the other, so that reading them costs nothing. */
	for (uint32_t i = 0; i < n; i++)
	{
		uint8_t    *at = queries->bytes + (size_t) i * data->key_bytes;

		memcpy(at, queries->keys[i].data, data->key_bytes);
		queries->keys[i].data = at;
	}
}

void
engine_queries_free(EngineQueries *queries)
{
	free(queries->keys);
	free(queries->bytes);
}

static uint64_t
ask_one_by_one(const EnginePeer *peer, EngineSession *session, const SvSlice *keys, uint32_t n)
{
	uint64_t	digest = 0;

	for (uint32_t i = 0; i < n; i++)
	{
		SvSlice		value;

		if (peer->get(session, keys[i], &value))
			digest += engine_digest(value);
	}
	return digest;
}

static uint64_t
ask_in_batches(const EnginePeer *peer, EngineSession *session, const SvSlice *keys, uint32_t n,
			   uint32_t batch)
{
	SvSlice		values[ENGINE_MAX_BATCH];
	uint64_t	digest = 0;

	for (uint32_t done = 0; done < n; done += batch)
	{
		uint32_t	width = min_u32(batch, n - done);

		peer->get_many(session, keys + done, width, values);
		for (uint32_t i = 0; i < width; i++)
			if (values[i].data != NULL)
				digest += engine_digest(values[i]);
	}
	return digest;
}

static double
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

typedef struct WorkThread
{
	const EnginePeer *peer;
	EngineSession *session;
	const EngineWork *work;
	const SvSlice *keys;
	uint32_t	n;
	pthread_barrier_t *start;
	double		ns;
	uint64_t	digest;
	pthread_t	thread;
} WorkThread;

static void *
work_thread(void *argument)
{
	WorkThread *w = argument;
	double		began;

	pthread_barrier_wait(w->start);
	began = now_ns();
	if (w->work->kind == ENGINE_BATCH_HIT)
		w->digest = ask_in_batches(w->peer, w->session, w->keys, w->n, w->work->batch);
	else
		w->digest = ask_one_by_one(w->peer, w->session, w->keys, w->n);
	w->ns = now_ns() - began;
	return NULL;
}

double
engine_work_time(const EnginePeer *peer, EngineSession *const *sessions, const EngineWork *work,
				 const EngineQueries *queries, uint64_t *wrong)
{
	WorkThread	threads[ENGINE_MAX_THREADS];
	pthread_barrier_t start;
	double		ns = 0;

	if (pthread_barrier_init(&start, NULL, work->threads) != 0)
		engine_die("could not make a barrier");
	for (uint32_t t = 0; t < work->threads; t++)
	{
		threads[t] = (WorkThread)
		{
			.peer = peer,.session = sessions[t],.work = work,
			.keys = queries->keys + (size_t) t * queries->per_thread,.n = queries->per_thread,
			.start = &start
		};
		if (pthread_create(&threads[t].thread, NULL, work_thread, &threads[t]) != 0)
			engine_die("could not start a thread");
	}
	for (uint32_t t = 0; t < work->threads; t++)
	{
		pthread_join(threads[t].thread, NULL);
		ns += threads[t].ns / threads[t].n;
		*wrong += threads[t].digest != queries->digests[t];
	}
	pthread_barrier_destroy(&start);
	return ns / work->threads;
}

static bool
is_right(SvSlice key, SvSlice value)
{
	uint8_t		right[ENGINE_VALUE_BYTES];

	engine_value(key, right);
	return sv_slice_equal(value, sv_slice(right, sizeof(right)));
}

static uint64_t
verify_gets(const EnginePeer *peer, EngineSession *session, const EngineData *data)
{
	uint64_t	wrong = 0;
	SvSlice		value;

	for (uint32_t i = 0; i < data->count; i++)
		wrong += !peer->get(session, engine_key(data, i), &value) || !is_right(engine_key(data, i), value);
	for (uint32_t i = 0; i < data->missing_count; i++)
		wrong += peer->get(session, engine_missing_key(data, i), &value);
	return wrong;
}

/* Batches of every other size, with a missing key among the others now and then. */
static uint64_t
verify_batches(const EnginePeer *peer, EngineSession *session, const EngineData *data)
{
	static const uint32_t sizes[] = {1, 7, 100, 1000, ENGINE_MAX_BATCH};
	SvSlice		keys[ENGINE_MAX_BATCH];
	SvSlice		values[ENGINE_MAX_BATCH];
	uint64_t	wrong = 0;
	uint32_t	done = 0;

	for (uint32_t round = 0; done < data->count; round++)
	{
		uint32_t	n = min_u32(sizes[round % 5], data->count - done);
		SvSlice		missing = data->missing_count == 0 ? sv_slice(NULL, 0) :
			engine_missing_key(data, round % data->missing_count);

		for (uint32_t i = 0; i < n; i++)
			keys[i] = engine_key(data, data->order[done + i]);
		if (n > 1 && missing.len > 0)
			keys[0] = missing;
		qsort(keys, n, sizeof(SvSlice), compare_slices);
		peer->get_many(session, keys, n, values);
		for (uint32_t i = 0; i < n; i++)
			wrong += keys[i].data == missing.data ? values[i].data != NULL : !is_right(keys[i], values[i]);
		done += n;
	}
	return wrong;
}

uint64_t
engine_verify(const EnginePeer *peer, EngineSession *session, const EngineData *data)
{
	return verify_gets(peer, session, data) + verify_batches(peer, session, data);
}
