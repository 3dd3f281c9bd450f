/*
 * cache_fixture.h
 *		What the tests of the shared caches have in common: content that tells
 *		which block it is of, memory that forked processes share, waiting.
 */
#ifndef CACHE_FIXTURE_H
#define CACHE_FIXTURE_H

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/cache_wait.h"
#include "unit.h"

static inline uint64_t
fixture_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static inline uint64_t
fixture_random(uint64_t *state)
{
	return fixture_mix(*state += UINT64_C(0x9E3779B97F4A7C15));
}

static inline CacheRunId
fixture_run(uint64_t number)
{
	return (CacheRunId) {.hi = fixture_mix(number),.lo = fixture_mix(~number)};
}

/* The byte at a place of a thing: every eight differ from those of all other places and things. */
static inline uint8_t
fixture_byte(CacheRunId run, uint32_t block, size_t at)
{
	uint64_t	word = fixture_mix(run.lo ^ ((uint64_t) block << 32 | at / 8));

	return (uint8_t) (word >> at % 8 * 8);
}

static inline void
fixture_content(CacheRunId run, uint32_t block, size_t from, size_t len, uint8_t *dst)
{
	size_t		i = 0;

	while (i < len && (from + i) % 8 != 0)
	{
		dst[i] = fixture_byte(run, block, from + i);
		i++;
	}
	for (; i + 8 <= len; i += 8)
	{
		uint64_t	word = fixture_mix(run.lo ^ ((uint64_t) block << 32 | (from + i) / 8));

		for (int b = 0; b < 8; b++)
			dst[i + b] = (uint8_t) (word >> b * 8);
	}
	for (; i < len; i++)
		dst[i] = fixture_byte(run, block, from + i);
}

/* Memory that processes forked later share, at the same address. */
static inline void *
fixture_shared(size_t bytes)
{
	void	   *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
	{
		perror("mmap");
		exit(1);
	}
	return memory;
}

/*
 * A waiter for many processes: a number a channel that grows with each wake.
 * sleep returns when it has grown, and early after a while.
 */
typedef struct FixtureChannels
{
	_Atomic uint32_t woken[CACHE_WAIT_CHANNELS];
} FixtureChannels;

typedef struct FixtureWait
{
	FixtureChannels *shared;
	uint32_t	seen;			/* when this process prepared */
	uint32_t	prepared;		/* the channel, plus one */
	uint32_t	wakes;			/* by this process */
	uint32_t	last_channel;	/* that it woke */
} FixtureWait;

static inline void
fixture_prepare(void *state, uint32_t channel)
{
	FixtureWait *wait = state;

	wait->seen = atomic_load(&wait->shared->woken[channel]);
	wait->prepared = channel + 1;
}

static inline SvStatus
fixture_sleep(void *state, uint32_t channel, SvError *err)
{
	FixtureWait *wait = state;
	static const struct timespec pause = {0, 20000};

	(void) err;
	for (int i = 0; i < 10; i++)
	{
		if (atomic_load(&wait->shared->woken[channel]) != wait->seen)
			break;
		nanosleep(&pause, NULL);
	}
	wait->seen = atomic_load(&wait->shared->woken[channel]);
	return SV_OK;
}

static inline void
fixture_cancel(void *state, uint32_t channel)
{
	(void) channel;
	((FixtureWait *) state)->prepared = 0;
}

static inline void
fixture_wake(void *state, uint32_t channel)
{
	FixtureWait *wait = state;

	atomic_fetch_add(&wait->shared->woken[channel], 1);
	wait->wakes++;
	wait->last_channel = channel;
}

static inline CacheWaiter
fixture_waiter(FixtureWait *wait, FixtureChannels *shared)
{
	*wait = (FixtureWait) {.shared = shared};
	return (CacheWaiter) {
		.prepare = fixture_prepare,
		.sleep = fixture_sleep,
		.cancel = fixture_cancel,
		.wake = fixture_wake,
		.state = wait
	};
}

/* A point that all of n processes reach before one goes on. */
typedef struct FixtureBarrier
{
	_Atomic uint32_t arrived;
} FixtureBarrier;

static inline void
fixture_barrier(FixtureBarrier *barrier, uint32_t n)
{
	uint32_t	ticket = atomic_fetch_add(&barrier->arrived, 1);
	uint32_t	all = (ticket / n + 1) * n;

	while (atomic_load(&barrier->arrived) < all)
		sched_yield();
}

static inline pid_t
fixture_start(void (*body) (uint32_t me), uint32_t me)
{
	pid_t		pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
	{
		body(me);
		_exit(0);
	}
	if (pid < 0)
	{
		perror("fork");
		exit(1);
	}
	return pid;
}

static inline bool
fixture_ended_well(pid_t pid)
{
	int			status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static inline bool
fixture_was_killed(pid_t pid)
{
	int			status;

	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Runs body(0) to body(n - 1) in processes of their own, all at once. */
static inline bool
fixture_run_all(void (*body) (uint32_t me), uint32_t n)
{
	pid_t		pids[16];
	bool		well = true;

	for (uint32_t i = 0; i < n; i++)
		pids[i] = fixture_start(body, i);
	for (uint32_t i = 0; i < n; i++)
		well = fixture_ended_well(pids[i]) && well;
	return well;
}

#endif							/* CACHE_FIXTURE_H */
