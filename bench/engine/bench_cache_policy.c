/*
 * bench_cache_policy.c
 *		Hit ratios of replacement policies, by simulation: what the block cache's
 *		policy was chosen by.
 *
 * Prints CSV: workload, cache size as a share of what is asked for, policy,
 * hit ratio.  Accesses of scans are not counted, only what they do to others.
 * The policy "core" is src/cache/block_cache.c itself.
 *
 * Link with src/cache/block_cache*.c and src/cache/cache_lock.c, and -lm.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/block_cache.h"

#define CACHE_BLOCKS 4096
#define ACCESSES 2000000
#define WARM_UP (ACCESSES / 3)

/* In a trace: this access is a scan's. */
#define SCAN_BIT (UINT32_C(1) << 31)
#define NONE UINT32_MAX

static uint64_t random_state = 1;

static uint64_t
next_random(void)
{
	uint64_t	x = random_state += UINT64_C(0x9E3779B97F4A7C15);

	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static double
random_unit(void)
{
	return (double) (next_random() >> 11) / 9007199254740992.0;
}

static void *
must(void *memory)
{
	if (memory == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return memory;
}

/* ---------------------------------------------------------------- policies */

typedef struct List
{
	uint32_t	newest;
	uint32_t	oldest;
	uint32_t	n;
} List;

/* Lists 1 and 2, and 5, hold blocks that are cached, 3 and 4 remember some that are not. */
#define LISTS 6
#define CACHED(where) ((where) == 1 || (where) == 2)

typedef struct Sim
{
	List		lists[LISTS];
	uint32_t   *newer;
	uint32_t   *older;
	uint8_t    *where;			/* the list each block is in, or 0 */
	uint8_t    *used;
	uint32_t	hand;			/* SIEVE */
	double		target;			/* ARC */
	BlockCache *core;
} Sim;

static void
take_out(Sim *sim, uint32_t id)
{
	List	   *list = &sim->lists[sim->where[id]];

	if (sim->newer[id] != NONE)
		sim->older[sim->newer[id]] = sim->older[id];
	else
		list->newest = sim->older[id];
	if (sim->older[id] != NONE)
		sim->newer[sim->older[id]] = sim->newer[id];
	else
		list->oldest = sim->newer[id];
	list->n--;
	sim->where[id] = 0;
}

static void
put_in(Sim *sim, int to, uint32_t id)
{
	List	   *list = &sim->lists[to];

	sim->newer[id] = NONE;
	sim->older[id] = list->newest;
	if (list->newest != NONE)
		sim->newer[list->newest] = id;
	else
		list->oldest = id;
	list->newest = id;
	list->n++;
	sim->where[id] = (uint8_t) to;
}

static void
move_to(Sim *sim, int to, uint32_t id)
{
	take_out(sim, id);
	put_in(sim, to, id);
}

/* Forgets the oldest of a list that has grown beyond limit. */
static void
trim(Sim *sim, int list, uint32_t limit)
{
	if (sim->lists[list].n > limit)
		take_out(sim, sim->lists[list].oldest);
}

static bool
access_lru(Sim *sim, uint32_t id)
{
	bool		hit = sim->where[id] == 1;

	if (hit)
		take_out(sim, id);
	put_in(sim, 1, id);
	trim(sim, 1, CACHE_BLOCKS);
	return hit;
}

static bool
access_clock(Sim *sim, uint32_t id)
{
	if (sim->where[id] == 1)
	{
		sim->used[id] = 1;
		return true;
	}
	while (sim->lists[1].n >= CACHE_BLOCKS)
	{
		uint32_t	oldest = sim->lists[1].oldest;

		if (sim->used[oldest] == 0)
			take_out(sim, oldest);
		else
		{
			sim->used[oldest] = 0;
			move_to(sim, 1, oldest);
		}
	}
	sim->used[id] = 0;
	put_in(sim, 1, id);
	return false;
}

static bool
access_sieve(Sim *sim, uint32_t id)
{
	if (sim->where[id] == 1)
	{
		sim->used[id] = 1;
		return true;
	}
	while (sim->lists[1].n >= CACHE_BLOCKS)
	{
		uint32_t	at = sim->hand != NONE ? sim->hand : sim->lists[1].oldest;

		sim->hand = sim->newer[at];
		if (sim->used[at] == 0)
			take_out(sim, at);
		sim->used[at] = 0;
	}
	put_in(sim, 1, id);
	return false;
}

/*
 * S3-FIFO and what the core makes of it: with a queue of fresh blocks (5), in
 * which accesses do not count, before the small one (1).  The main queue is 2,
 * the ghosts are 3.
 */
typedef struct S3Fifo
{
	uint32_t	fresh;			/* sizes, in blocks */
	uint32_t	small;			/* with fresh */
	uint32_t	ghosts;
	uint8_t		promote;		/* accesses that take a block from small to main */
} S3Fifo;

static void
s3fifo_evict(Sim *sim, const S3Fifo *policy)
{
	for (;;)
	{
		bool		small = sim->lists[1].n > 0 && sim->lists[5].n + sim->lists[1].n > policy->small;
		int			from = small || sim->lists[2].n == 0 ? 1 : 2;
		uint32_t	id = sim->lists[from].oldest;

		if (from == 1 && sim->used[id] < policy->promote)
		{
			move_to(sim, 3, id);
			trim(sim, 3, policy->ghosts);
			return;
		}
		if (from == 2 && sim->used[id] == 0)
		{
			take_out(sim, id);
			return;
		}
		sim->used[id] = from == 1 ? 0 : sim->used[id] - 1;
		move_to(sim, 2, id);
	}
}

static bool
access_s3fifo_like(Sim *sim, uint32_t id, const S3Fifo *policy)
{
	bool		ghost = sim->where[id] == 3;

	if (sim->where[id] != 0 && !ghost)
	{
		if (sim->used[id] < 3)
			sim->used[id]++;
		return true;
	}
	if (ghost)
		take_out(sim, id);
	if (sim->lists[1].n + sim->lists[2].n + sim->lists[5].n >= CACHE_BLOCKS)
		s3fifo_evict(sim, policy);
	sim->used[id] = 0;
	put_in(sim, ghost ? 2 : 5, id);
	while (sim->lists[5].n > policy->fresh)
	{
		uint32_t	oldest = sim->lists[5].oldest;

		sim->used[oldest] = 0;
		move_to(sim, 1, oldest);
	}
	return false;
}

static bool
access_s3fifo(Sim *sim, uint32_t id)
{
	static const S3Fifo policy = {0, CACHE_BLOCKS / 10, CACHE_BLOCKS / 10 * 9, 2};

	return access_s3fifo_like(sim, id, &policy);
}

static bool
access_s3fifo_fresh(Sim *sim, uint32_t id)
{
	static const S3Fifo policy = {CACHE_BLOCKS / 40, CACHE_BLOCKS / 10, CACHE_BLOCKS / 4 * 3, 1};

	return access_s3fifo_like(sim, id, &policy);
}

/* 2Q: a FIFO of a quarter (1), whose ghosts (3), half the cache, come back into an LRU (2). */
static bool
access_2q(Sim *sim, uint32_t id)
{
	uint8_t		where = sim->where[id];

	if (where == 2)
		move_to(sim, 2, id);
	if (CACHED(where))
		return true;
	if (where == 3)
		take_out(sim, id);
	if (sim->lists[1].n + sim->lists[2].n >= CACHE_BLOCKS)
	{
		if (sim->lists[1].n > CACHE_BLOCKS / 4 || sim->lists[2].n == 0)
		{
			move_to(sim, 3, sim->lists[1].oldest);
			trim(sim, 3, CACHE_BLOCKS / 2);
		}
		else
			take_out(sim, sim->lists[2].oldest);
	}
	put_in(sim, where == 3 ? 2 : 1, id);
	return false;
}

static void
arc_replace(Sim *sim, bool was_in_b2)
{
	uint32_t	t1 = sim->lists[1].n;
	int			from = t1 > 0 && (t1 > sim->target || (was_in_b2 && t1 == (uint32_t) sim->target)) ? 1 : 2;

	if (sim->lists[from].n == 0)
		from = 3 - from;
	move_to(sim, from + 2, sim->lists[from].oldest);
}

/* ARC: T1 and T2 are 1 and 2, their ghosts B1 and B2 are 3 and 4. */
static bool
access_arc(Sim *sim, uint32_t id)
{
	uint8_t		where = sim->where[id];
	double		b1 = sim->lists[3].n;
	double		b2 = sim->lists[4].n;

	if (CACHED(where))
	{
		move_to(sim, 2, id);
		return true;
	}
	if (where == 3)
		sim->target = fmin(CACHE_BLOCKS, sim->target + fmax(1, b2 / b1));
	else if (where == 4)
		sim->target = fmax(0, sim->target - fmax(1, b1 / b2));
	if (where != 0)
	{
		take_out(sim, id);
		arc_replace(sim, where == 4);
		put_in(sim, 2, id);
		return false;
	}
	if (sim->lists[1].n + sim->lists[3].n >= CACHE_BLOCKS)
	{
		if (sim->lists[1].n < CACHE_BLOCKS)
		{
			take_out(sim, sim->lists[3].oldest);
			arc_replace(sim, false);
		}
		else
			take_out(sim, sim->lists[1].oldest);
	}
	else if (sim->lists[1].n + sim->lists[2].n >= CACHE_BLOCKS)
	{
		if (sim->lists[1].n + sim->lists[2].n + sim->lists[3].n + sim->lists[4].n >= 2 * CACHE_BLOCKS)
			take_out(sim, sim->lists[4].oldest);
		arc_replace(sim, false);
	}
	put_in(sim, 1, id);
	return false;
}

static void
wake_nobody(void *state, uint32_t channel)
{
	(void) state;
	(void) channel;
}

/* The caller that loads a block has it: so loading counts as no access. */
static bool
access_core(Sim *sim, uint32_t id)
{
	static const CacheWaiter waiter = {.wake = wake_nobody};
	BlockKey	key = {.run.hi = 1,.run.lo = UINT64_C(0xABCDEF0123456789) * (id / 4096 + 1),.block = id % 4096};
	uint64_t	hash = block_cache_hash(key);
	BlockView	view;
	BlockFill	fill;

	if (block_cache_begin(sim->core, &key, hash, BLOCK_CACHE_NONE, &view))
		return block_cache_end(sim->core, &view);
	if (block_cache_claim(sim->core, &key, hash, 1, &fill) == CACHE_LOAD)
		block_cache_publish(sim->core, &fill, &waiter);
	return false;
}

static const struct
{
	const char *name;
	bool		(*access) (Sim *sim, uint32_t id);
}			policies[] = {
	{"lru", access_lru},
	{"clock", access_clock},
	{"sieve", access_sieve},
	{"2q", access_2q},
	{"arc", access_arc},
	{"s3fifo", access_s3fifo},
	{"s3fifo-fresh", access_s3fifo_fresh},
	{"core", access_core}
};

#define POLICIES (sizeof(policies) / sizeof(policies[0]))

/* --------------------------------------------------------------- workloads */

/* Numbers below n; the number i with a weight of 1 / (i + 1) ^ exponent. */
typedef struct Zipf
{
	uint32_t	n;
	double	   *sums;
} Zipf;

static Zipf
zipf_make(uint32_t n, double exponent)
{
	Zipf		zipf = {.n = n,.sums = must(malloc(n * sizeof(double)))};
	double		sum = 0;

	for (uint32_t i = 0; i < n; i++)
		zipf.sums[i] = sum += pow(i + 1.0, -exponent);
	return zipf;
}

static uint32_t
zipf_next(const Zipf *zipf)
{
	double		at = random_unit() * zipf->sums[zipf->n - 1];
	uint32_t	low = 0;
	uint32_t	high = zipf->n - 1;

	while (low < high)
	{
		uint32_t	middle = (low + high) / 2;

		if (zipf->sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

typedef struct Workload
{
	const char *name;
	double		exponent;		/* of the point lookups; 0 is uniform */
	double		scans;			/* share of the accesses */
	uint32_t	scan_repeats;	/* reads of each block in a row */
	double		loop;			/* if > 0: nothing but a loop over so many caches' worth */
	double		hot;			/* if > 0: nine in ten accesses go to so many caches' worth, which move */
	double		repeats;		/* how likely a block is read again a few accesses later */
} Workload;

static const Workload workloads[] = {
	{.name = "uniform"},
	{.name = "zipf-0.8",.exponent = 0.8},
	{.name = "zipf-0.99",.exponent = 0.99},
	{.name = "zipf-1.2",.exponent = 1.2},
	{.name = "zipf-0.99-repeats",.exponent = 0.99,.repeats = 0.5},
	{.name = "zipf-0.99-scan-10%",.exponent = 0.99,.scans = 0.1,.scan_repeats = 1},
	{.name = "zipf-0.99-scan-50%",.exponent = 0.99,.scans = 0.5,.scan_repeats = 1},
	{.name = "zipf-0.99-scan-50%-x2",.exponent = 0.99,.scans = 0.5,.scan_repeats = 2},
	{.name = "zipf-0.99-scan-50%-x8",.exponent = 0.99,.scans = 0.5,.scan_repeats = 8},
	{.name = "loop-1.2",.loop = 1.2},
	{.name = "loop-2",.loop = 2},
	{.name = "moving-hot-0.5",.hot = 0.5}
};

#define WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

/* Blocks of scans come after those of lookups, and come again after 64 caches' worth of them. */
static uint32_t
scan_step(const Workload *work, uint32_t blocks, uint64_t *scanned)
{
	uint64_t	block = (*scanned)++ / work->scan_repeats;

	return (blocks + (uint32_t) (block % (64 * CACHE_BLOCKS))) | SCAN_BIT;
}

static uint32_t
lookup_step(const Workload *work, const Zipf *zipf, uint32_t blocks, uint32_t at)
{
	if (work->loop > 0)
		return at % (uint32_t) (work->loop * CACHE_BLOCKS);
	if (work->hot > 0 && next_random() % 10 != 0)
	{
		uint32_t	hot = (uint32_t) (work->hot * CACHE_BLOCKS);

		/* A tenth of it moves on with every cache's worth of accesses. */
		return (uint32_t) ((at / CACHE_BLOCKS * (hot / 10) + next_random() % hot) % blocks);
	}
	return zipf->sums != NULL ? zipf_next(zipf) : (uint32_t) (next_random() % blocks);
}

static void
make_trace(const Workload *work, uint32_t blocks, uint32_t *trace)
{
	Zipf		zipf = {0};
	uint64_t	scanned = 0;

	if (work->exponent > 0)
		zipf = zipf_make(blocks, work->exponent);
	random_state = 42;
	for (uint32_t at = 0; at < ACCESSES; at++)
	{
		if (work->scans > 0 && random_unit() < work->scans)
			trace[at] = scan_step(work, blocks, &scanned);
		else if (work->repeats > 0 && at >= 8 && random_unit() < work->repeats)
			trace[at] = trace[at - 1 - next_random() % 8];
		else
			trace[at] = lookup_step(work, &zipf, blocks, at);
	}
	free(zipf.sums);
}

/* ------------------------------------------------------------------- runs */

static double
hit_ratio(bool (*access) (Sim *sim, uint32_t id), const uint32_t *trace, uint32_t ids)
{
	Sim			sim = {.hand = NONE};
	size_t		region_bytes = block_cache_region_bytes((size_t) CACHE_BLOCKS * SST_FRAME_BYTES);
	void	   *region = must(aligned_alloc(4096, (region_bytes + 4095) / 4096 * 4096));
	uint64_t	hits = 0;
	uint64_t	counted = 0;

	for (int i = 0; i < LISTS; i++)
		sim.lists[i] = (List) {.newest = NONE,.oldest = NONE};
	sim.newer = must(malloc(ids * sizeof(uint32_t)));
	sim.older = must(malloc(ids * sizeof(uint32_t)));
	sim.where = must(calloc(ids, 1));
	sim.used = must(calloc(ids, 1));
	sim.core = block_cache_init(region, (size_t) CACHE_BLOCKS * SST_FRAME_BYTES, NULL);
	for (uint32_t at = 0; at < ACCESSES; at++)
	{
		bool		hit = access(&sim, trace[at] & ~SCAN_BIT);

		if (at < WARM_UP || (trace[at] & SCAN_BIT) != 0)
			continue;
		counted++;
		hits += hit;
	}
	free(sim.newer);
	free(sim.older);
	free(sim.where);
	free(sim.used);
	free(region);
	return (double) hits / (double) counted;
}

static void
run_workload(const Workload *work, double fraction, uint32_t *trace)
{
	uint32_t	blocks = (uint32_t) (CACHE_BLOCKS / fraction);

	make_trace(work, blocks, trace);
	for (size_t p = 0; p < POLICIES; p++)
		printf("%s,%.3g,%s,%.4f\n", work->name, fraction, policies[p].name,
			   hit_ratio(policies[p].access, trace, blocks + 64 * CACHE_BLOCKS));
	fflush(stdout);
}

int
main(void)
{
	static const double fractions[] = {0.1, 0.03, 0.01};
	uint32_t   *trace = must(malloc(ACCESSES * sizeof(uint32_t)));

	printf("workload,cache_fraction,policy,hit_ratio\n");
	for (size_t w = 0; w < WORKLOADS; w++)
	{
		if (workloads[w].loop > 0)
			run_workload(&workloads[w], 1 / workloads[w].loop, trace);
		else
			for (size_t f = 0; f < 3; f++)
				run_workload(&workloads[w], fractions[f], trace);
	}
	free(trace);
	return 0;
}
