/*
 * run_fetch.c
 *		Tails, then blocks, of many lookups: see run_fetch.h.
 */
#include "cache/run_fetch.h"

#include <stdlib.h>

#include "base/sv_hash.h"
#include "cache/run_access.h"
#include "cache/run_loads.h"
#include "cache/run_lookup.h"

/* So many runs' tails are held at once, or asked for; and no more than so many bytes of tails, but at least one. */
#define MAX_RUNS		64
#define MAX_TAIL_BYTES	((uint64_t) 64 * 1024 * 1024)

/* Of the cache's frames, the share that a round of more than RUN_LOADS_AHEAD blocks may take. */
#define CACHE_SHARE		4

/* The keys of one run, and its tail while they are looked up. */
typedef struct HeldRun
{
	const RunReader *run;
	uint32_t	first_key;
	uint32_t	end_key;
	const SstTail *tail;		/* NULL: not held */
	RunPrivateTail *private_tail;
	bool		claimed;
	TailFill	fill;
} HeldRun;

/* What run_fetch_many was asked. */
typedef struct Many
{
	RunCaches  *caches;
	const RunFetcher *fetcher;
	const RunReader *const *runs;
	const SvSlice *keys;
	uint32_t	n;
	SvBuffer   *values;
	RunAnswer  *answers;
	RunLoads   *loads;
	HeldRun		held[MAX_RUNS];
	uint32_t	nheld;
} Many;

static SvStatus
read_singly(void *state, const RunRange *ranges, uint32_t n, const RunReading *reading, SvError *err)
{
	SvStatus	status = SV_OK;

	(void) state;
	(void) reading;
	for (uint32_t i = 0; i < n && status == SV_OK; i++)
	{
		const SstSource *source = &ranges[i].run->source;

		status = source->read(source->state, ranges[i].offset, ranges[i].len, ranges[i].dst, err);
	}
	return status;
}

const RunFetcher run_fetch_singly = {.read = read_singly};

/* ------------------------------------------------------------------- tails */

/* Pins what is there, and claims what nobody loads.  *wanted: how many are claimed, with what to read. */
static SvStatus
claim_tails(RunCaches *caches, HeldRun *held, uint32_t n, RunRange *ranges, uint32_t *wanted, SvError *err)
{
	*wanted = 0;
	for (uint32_t i = 0; i < n; i++)
	{
		const RunReader *run = held[i].run;
		SvStatus	status = sst_tail_check_size(run->file_bytes, run->tail_bytes, run->source.name, err);

		if (status != SV_OK)
			return status;
		held[i].tail = tail_cache_pin(caches->tails, caches->slot, run->id);
		if (held[i].tail != NULL)
			continue;
		held[i].claimed = tail_cache_claim(caches->tails, run->id, (size_t) run->tail_bytes,
										   &held[i].fill) == CACHE_LOAD;
		if (held[i].claimed)
			ranges[(*wanted)++] = (RunRange) {
				.run = run,
				.offset = run->file_bytes - run->tail_bytes,
				.len = (size_t) run->tail_bytes,
				.dst = held[i].fill.bytes
			};
	}
	return SV_OK;
}

/* A claimed tail whose bytes were read if status is SV_OK; else it is abandoned. */
static SvStatus
end_tail(RunCaches *caches, HeldRun *held, SvStatus status, SvError *err)
{
	const RunReader *run = held->run;
	SstTail		parsed;

	held->claimed = false;
	if (status == SV_OK)
		status = sst_tail_parse(&parsed, sv_slice(held->fill.bytes, (size_t) run->tail_bytes),
								run->file_bytes, run->source.name, err);
	if (status == SV_OK)
		held->tail = tail_cache_publish(caches->tails, &held->fill, &parsed, &caches->waiter);
	else
		tail_cache_abandon(caches->tails, &held->fill, &caches->waiter);
	return status;
}

/* All at once, but for those that others load, or that the cache has no room for: these stay NULL. */
static SvStatus
fetch_held_tails(RunCaches *caches, const RunFetcher *fetcher, HeldRun *held, uint32_t n, uint32_t *fetched,
				 SvError *err)
{
	RunRange	ranges[MAX_RUNS];
	SvStatus	status = claim_tails(caches, held, n, ranges, fetched, err);

	if (status == SV_OK && *fetched > 0)
	{
		cache_guard_count(caches->guard, caches->slot, CACHE_TAIL_MISS, *fetched);
		status = fetcher->read(fetcher->state, ranges, *fetched, NULL, err);
	}
	for (uint32_t i = 0; i < n; i++)
		if (held[i].claimed)
			status = end_tail(caches, &held[i], status, err);
	return status;
}

static void
release_tails(RunCaches *caches, HeldRun *held, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (held[i].tail != NULL)
			run_tail_release(caches, held[i].tail, held[i].private_tail);
}

SvStatus
run_fetch_tails(RunCaches *caches, const RunFetcher *fetcher, const RunReader *const *runs, uint32_t n,
				uint32_t *fetched, SvError *err)
{
	SvStatus	status = SV_OK;

	*fetched = 0;
	for (uint32_t done = 0; done < n && status == SV_OK;)
	{
		HeldRun		held[MAX_RUNS];
		uint32_t	nheld = 0;
		uint32_t	some;
		uint64_t	bytes = 0;

		do
		{
			bytes += runs[done]->tail_bytes;
			held[nheld++] = (HeldRun) {.run = runs[done++]};
		} while (done < n && nheld < MAX_RUNS && bytes + runs[done]->tail_bytes <= MAX_TAIL_BYTES);
		status = fetch_held_tails(caches, fetcher, held, nheld, &some, err);
		release_tails(caches, held, nheld);
		*fetched += status == SV_OK ? some : 0;
	}
	return status;
}

/* Each held run gets its tail, whatever it takes. */
static SvStatus
acquire_tails(Many *many, SvError *err)
{
	uint32_t	fetched;
	SvStatus	status = fetch_held_tails(many->caches, many->fetcher, many->held, many->nheld, &fetched, err);

	for (uint32_t i = 0; i < many->nheld && status == SV_OK; i++)
	{
		HeldRun    *held = &many->held[i];

		if (held->tail == NULL)
			status = run_tail_acquire(many->caches, held->run, &held->tail, &held->private_tail, err);
	}
	return status;
}

/* ------------------------------------------------------------------ blocks */

/* A place among the held runs' keys. */
typedef struct Cursor
{
	uint32_t	run;
	uint32_t	key;
} Cursor;

/* Whether a load that was added last is of this block. */
static RunLoad *
added_before(RunLoads *loads, const RunReader *run, uint32_t block)
{
	RunLoad    *last = loads->n > 0 ? &loads->list[loads->n - 1] : NULL;

	return last != NULL && last->run == run && last->block == block ? last : NULL;
}

/*
 * Looks up a key again, now that its tail is there, and adds its block to the
 * loads if that is missing and nobody loads it.  False: there is no room for it.
 */
static bool
gather_key(Many *many, const HeldRun *held, uint32_t i, SvStatus *status, SvError *err)
{
	RunAnswer  *answer = &many->answers[i];
	RunProbe	probe;
	RunLoad    *load;
	CacheClaim	claim;

	answer->kind = RUN_ABSENT;
	switch (run_look_up(many->caches, held->run, held->tail, &probe, many->keys[i], many->values, answer, err))
	{
		case LOOKUP_FOUND:
		case LOOKUP_ABSENT:
			return true;
		case LOOKUP_FAILED:
			*status = err->status;
			return true;
		case LOOKUP_UNCACHED:
			break;
	}
	answer->kind = RUN_UNCACHED;
	load = added_before(many->loads, held->run, probe.block);
	if (load != NULL)
	{
		load->end_key = i + 1;
		return true;
	}
	if (!run_loads_have_room(many->loads, probe.info.stored_bytes, RUN_LOADS_MAX_BYTES))
		return false;
	claim = run_loads_add(many->loads, held->run, held->tail, probe.block);
	if (claim == CACHE_LOAD || claim == CACHE_NO_ROOM)
	{
		load = &many->loads->list[many->loads->n - 1];
		load->first_key = i;
		load->end_key = i + 1;
	}
	return true;
}

/* From the cursor on, as many keys as there is room for the blocks of. */
static SvStatus
gather(Many *many, Cursor *at, SvError *err)
{
	SvStatus	status = SV_OK;

	while (at->run < many->nheld && status == SV_OK)
	{
		const HeldRun *held = &many->held[at->run];

		if (at->key < held->first_key)
			at->key = held->first_key;
		for (; at->key < held->end_key && status == SV_OK; at->key++)
			if (many->answers[at->key].kind == RUN_UNCACHED &&
				!gather_key(many, held, at->key, &status, err))
				return SV_OK;
		at->run++;
	}
	return status;
}

/* The keys of a load, in its block, which is in caches->block. */
static SvStatus
answer_load(Many *many, const RunLoad *load, SvError *err)
{
	SvStatus	status = SV_OK;

	for (uint32_t i = load->first_key; i < load->end_key && status == SV_OK; i++)
	{
		RunProbe	probe = {
			.key = many->keys[i],
			.hash = sv_hash64(many->keys[i]),
			.rmi = sst_tail_start(load->tail, many->keys[i]),
			.block = load->block,
			.info = sst_index_block(&load->tail->index, load->block)
		};

		if (many->answers[i].kind != RUN_UNCACHED)
			continue;
		many->answers[i].kind = RUN_ABSENT;
		status = run_find_in_loaded(many->caches, load->run, load->tail, &probe, many->caches->block.data,
									many->values, &many->answers[i], err);
	}
	return status;
}

/* A round while it is read. */
typedef struct Round
{
	Many	   *many;
	SvStatus	status;			/* of the blocks that were taken */
	SvError		err;
} Round;

static void
take_blocks(Round *round, bool all)
{
	RunLoads   *loads = round->many->loads;

	for (uint32_t i = 0; i < loads->n && round->status == SV_OK; i++)
	{
		if (loads->list[i].taken || !(all || loads->list[i].there))
			continue;
		round->status = run_loads_take(loads, i, &round->err);
		if (round->status == SV_OK)
			round->status = answer_load(round->many, &loads->list[i], &round->err);
	}
}

/* While the rest is on its way. */
static void
take_what_is_there(void *state)
{
	take_blocks(state, false);
}

/* All blocks that were gathered, and the keys in them. */
static SvStatus
read_round(Many *many, SvError *err)
{
	Round		round = {.many = many,.status = SV_OK};
	RunReading	reading = {.progress = take_what_is_there,.state = &round};
	SvStatus	status = run_loads_read(many->loads, many->fetcher, &reading, err);

	if (status != SV_OK)
		return status;
	take_blocks(&round, true);
	run_loads_drop(many->loads);
	if (round.status != SV_OK && err != NULL)
		*err = round.err;
	return round.status;
}

/* What others load, or have loaded meanwhile. */
static SvStatus
answer_rest(Many *many, Cursor from, Cursor to, SvError *err)
{
	SvStatus	status = SV_OK;

	for (; from.run < many->nheld && from.run <= to.run && status == SV_OK; from.run++)
	{
		const HeldRun *held = &many->held[from.run];
		uint32_t	i = from.key > held->first_key ? from.key : held->first_key;
		uint32_t	end = from.run < to.run ? held->end_key : to.key;

		for (; i < end && status == SV_OK; i++)
		{
			if (many->answers[i].kind != RUN_UNCACHED)
				continue;
			many->answers[i].kind = RUN_ABSENT;
			status = run_look_up_loading(many->caches, held->run, held->tail, many->keys[i], many->values,
										 &many->answers[i], err);
		}
	}
	return status;
}

/* All keys of the held runs. */
static SvStatus
fetch_blocks(Many *many, SvError *err)
{
	Cursor		at = {0, 0};
	SvStatus	status = SV_OK;

	while (at.run < many->nheld && status == SV_OK)
	{
		Cursor		from = at;

		status = gather(many, &at, err);
		if (status == SV_OK)
			status = read_round(many, err);
		run_loads_drop(many->loads);
		if (status == SV_OK)
			status = answer_rest(many, from, at, err);
	}
	return status;
}

/* ------------------------------------------------------------- the whole */

/* The runs of keys that are uncached, from a key on: as many as may be held at once.  The answer is the key behind. */
static uint32_t
hold_runs(Many *many, uint32_t i)
{
	uint64_t	bytes = 0;

	many->nheld = 0;
	while (i < many->n)
	{
		uint32_t	end = i + 1;
		bool		uncached = many->answers[i].kind == RUN_UNCACHED;

		for (; end < many->n && many->runs[end] == many->runs[i]; end++)
			uncached = uncached || many->answers[end].kind == RUN_UNCACHED;
		if (uncached)
		{
			bytes += many->runs[i]->tail_bytes;
			if (many->nheld == MAX_RUNS || (many->nheld > 0 && bytes > MAX_TAIL_BYTES))
				break;
			many->held[many->nheld++] = (HeldRun) {.run = many->runs[i],.first_key = i,.end_key = end};
		}
		i = end;
	}
	return i;
}

/* A claim pushes something out, and cannot be pushed out: so what is read often stays, and others find room. */
static uint32_t
most_loads(const RunCaches *caches)
{
	BlockCacheStats stats;
	uint64_t	most;

	block_cache_stats(caches->blocks, &stats);
	most = stats.frames / CACHE_SHARE;
	return most < RUN_LOADS_AHEAD ? RUN_LOADS_AHEAD : most > RUN_LOADS_MANY ? RUN_LOADS_MANY : (uint32_t) most;
}

SvStatus
run_fetch_many(RunCaches *caches, const RunFetcher *fetcher, const RunReader *const *runs, const SvSlice *keys,
			   uint32_t n, SvBuffer *values, RunAnswer *answers, SvError *err)
{
	Many		many = {
		.caches = caches,.fetcher = fetcher,.runs = runs,.keys = keys,.n = n,
		.values = values,.answers = answers
	};
	SvStatus	status = SV_OK;
	uint32_t	i = 0;

	many.loads = run_loads_create(caches, most_loads(caches), err);
	if (many.loads == NULL)
		return err->status;
	while (i < n && status == SV_OK)
	{
		i = hold_runs(&many, i);
		status = acquire_tails(&many, err);
		if (status == SV_OK)
			status = fetch_blocks(&many, err);
		release_tails(caches, many.held, many.nheld);
	}
	run_loads_destroy(many.loads);
	return status;
}
