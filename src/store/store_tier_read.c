/*
 * store_tier_read.c
 *		Reading by way of the disk tier.
 *
 * A get is cut into pieces, each within one range of the tier.  Rounds follow,
 * until no piece is left: what the tier has is copied; what it has not is
 * claimed, fetched together, and filled in; what another process fetches is waited for.
 *
 * Nobody waits for another's fetch while he has a claim of his own: claims
 * are ended in the round in which they are made.  So two processes whose
 * ranges overlap never wait for each other.  Who fetches may be slow (a
 * worker's time limits are long); so after MAX_WAIT_MS a piece is read from
 * the inner store without a claim.  So is one that the tier says to have and
 * does not answer, MAX_PRESENT times over: the range ends before it, because
 * somebody took the object for shorter.
 */
#include "store/store_tier_read.h"

#include "store/store_steps.h"
#include "store/store_tier_pass.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_WAIT_MS 1
#define LONGEST_WAIT_MS 16
#define MAX_WAIT_MS 2000
#define MAX_PRESENT 4
#define CANCEL_EVERY 16			/* pieces: 1 MiB */

/* Ranges of which only a part is wanted take memory: so many bytes of it, and the rest comes in the next round. */
#define ROUND_BYTES ((size_t) 32 * 1024 * 1024)

/* Part of one range of a get that lies in one range of the tier. */
typedef struct TierPiece
{
	DiskRange	range;
	size_t		at;				/* in the tier's range */
	size_t		len;
	uint8_t    *dst;
	const char *name;
	uint64_t	object_bytes;	/* 0: not known */
	const StoreRange *of;
	int			read;			/* index of the read it is of */
	bool		done;
} TierPiece;

/* One range of the tier that is to be fetched in a round, or a piece that is read as it is. */
typedef struct TierFetch
{
	TierPiece  *piece;			/* the first of those in it */
	bool		claimed;
	DiskFill	fill;			/* if claimed */
	size_t		len;
	uint8_t    *bytes;			/* where it goes */
	uint8_t    *owned;			/* the same if it is not the piece's own place, to be freed */
} TierFetch;

typedef struct TierGet
{
	TierStore  *store;
	const StoreCall *call;
	bool		adds;			/* fills the tier */
	TierPiece  *pieces;			/* in order of range once they are sorted */
	int			npieces;
	TierFetch  *fetches;		/* room for npieces */
	StoreRange *wanted;			/* the same */
	int			nfetches;
	size_t		owned;			/* bytes of memory that they have */
	int			waiting;		/* pieces that another process fetches */
	int			waited_ms;
	bool		found_present;
	int			present;		/* rounds in which a claim found that the tier had what it did not read just before */
} TierGet;

/* -------------------------------------------------------------------------
 * Cutting
 * ------------------------------------------------------------------------- */

static int
pieces_of(const StoreRange *range)
{
	uint64_t	first = range->offset / DISK_RANGE_BYTES;
	uint64_t	last = (range->offset + range->len - 1) / DISK_RANGE_BYTES;

	return (int) (last - first + 1);
}

static int
count_pieces(const StoreRead *reads, int nreads)
{
	int			n = 0;

	for (int i = 0; i < nreads; i++)
		for (int j = 0; j < reads[i].nranges; j++)
			n += pieces_of(reads[i].ranges[j]);
	return n;
}

static void
cut_range(TierGet *get, const StoreRange *range, int read)
{
	CacheRunId	object = store_tier_object(&get->store->front.base, range->name);
	uint64_t	offset = range->offset;
	uint64_t	end = range->offset + range->len;
	uint8_t    *dst = range->dst;

	while (offset < end)
	{
		TierPiece  *piece = &get->pieces[get->npieces++];

		*piece = (TierPiece) {
			.range = {.object = object,.number = (uint32_t) (offset / DISK_RANGE_BYTES)},
			.at = (size_t) (offset % DISK_RANGE_BYTES),
			.dst = dst,
			.name = range->name,
			.object_bytes = range->object_bytes >= end ? range->object_bytes : 0,
			.of = range,
			.read = read
		};
		piece->len = DISK_RANGE_BYTES - piece->at;
		if (piece->len > end - offset)
			piece->len = (size_t) (end - offset);
		offset += piece->len;
		dst += piece->len;
	}
}

static int
compare_pieces(const void *a, const void *b)
{
	const TierPiece *x = a;
	const TierPiece *y = b;
	int			order = cache_run_id_compare(x->range.object, y->range.object);

	if (order != 0)
		return order;
	if (x->range.number != y->range.number)
		return x->range.number < y->range.number ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

static bool
same_range(const TierPiece *a, const TierPiece *b)
{
	return a->range.number == b->range.number && cache_run_id_equal(a->range.object, b->range.object);
}

static SvStatus
begin_get(TierGet *get, const StoreRead *reads, int nreads, SvError *err)
{
	size_t		n = (size_t) count_pieces(reads, nreads);

	get->pieces = malloc(n * sizeof(TierPiece));
	get->fetches = malloc(n * sizeof(TierFetch));
	get->wanted = malloc(n * sizeof(StoreRange));
	if (get->pieces == NULL || get->fetches == NULL || get->wanted == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", reads[0].name);
	for (int i = 0; i < nreads; i++)
		for (int j = 0; j < reads[i].nranges; j++)
			cut_range(get, reads[i].ranges[j], i);
	return SV_OK;
}

static void
end_get(TierGet *get)
{
	free(get->pieces);
	free(get->fetches);
	free(get->wanted);
}

/* -------------------------------------------------------------------------
 * What the tier has
 * ------------------------------------------------------------------------- */

/* Copies what is there, and keeps the pieces that are not. */
static SvStatus
read_tier(TierGet *get, SvError *err)
{
	int			left = 0;

	for (int i = 0; i < get->npieces; i++)
	{
		TierPiece  *piece = &get->pieces[i];
		SvStatus	status = i % CANCEL_EVERY == 0 ? store_check_cancel(get->call, piece->name, err) : SV_OK;

		if (status != SV_OK)
			return status;
		if (!disk_tier_read(get->store->tier, &piece->range, piece->at, piece->len, piece->dst))
			get->pieces[left++] = *piece;
	}
	get->npieces = left;
	return SV_OK;
}

/* Before anything is fetched, and with the pieces in the order in which they were cut. */
static void
count_answered(TierGet *get, const StoreRead *reads, int nreads)
{
	int			ranges = 0;

	for (int i = 0; i < nreads; i++)
		ranges += reads[i].nranges;
	for (int i = 0; i < get->npieces; i++)
		ranges -= i == 0 || get->pieces[i].of != get->pieces[i - 1].of;
	get->store->tier->reads_answered += (uint64_t) ranges;
}

/* -------------------------------------------------------------------------
 * What it has not
 * ------------------------------------------------------------------------- */

/* Where the tier's range ends in the object. */
static size_t
range_bytes(const TierPiece *piece)
{
	uint64_t	left = piece->object_bytes - (uint64_t) piece->range.number * DISK_RANGE_BYTES;

	return left < DISK_RANGE_BYTES ? (size_t) left : DISK_RANGE_BYTES;
}

static void
add_fetch(TierGet *get, const TierFetch *fetch, size_t at)
{
	const TierPiece *piece = fetch->piece;

	get->wanted[get->nfetches] = (StoreRange) {
		.name = piece->name,
		.offset = (uint64_t) piece->range.number * DISK_RANGE_BYTES + at,
		.len = fetch->len,
		.dst = fetch->bytes,
		.object_bytes = piece->object_bytes
	};
	get->fetches[get->nfetches++] = *fetch;
}

/* Reads pieces as they are. */
static void
fetch_as_they_are(TierGet *get, TierPiece *pieces, int n)
{
	for (int i = 0; i < n; i++)
		add_fetch(get, &(TierFetch) {.piece = &pieces[i],.len = pieces[i].len,.bytes = pieces[i].dst},
				  pieces[i].at);
}

/* Fetches the whole range that the first of these pieces lies in; false if there is no memory. */
static bool
fetch_range(TierGet *get, TierPiece *piece, const DiskFill *fill)
{
	TierFetch	fetch = {.piece = piece,.claimed = true,.fill = *fill,.len = range_bytes(piece)};

	if (piece->len == fetch.len)
		fetch.bytes = piece->dst;
	else
		fetch.bytes = fetch.owned = malloc(fetch.len);
	if (fetch.bytes == NULL)
		return false;
	if (fetch.owned != NULL)
		get->owned += fetch.len;
	add_fetch(get, &fetch, 0);
	return true;
}

/* n pieces of one range of the tier. */
static void
plan_range(TierGet *get, TierPiece *pieces, int n)
{
	CacheClaim	claim = CACHE_NO_ROOM;
	DiskFill	fill;

	if (get->adds && pieces[0].object_bytes > 0)
		claim = disk_tier_claim(get->store->tier, &pieces[0].range, &fill);
	if (claim == CACHE_LOAD && !fetch_range(get, &pieces[0], &fill))
	{
		disk_tier_abandon(get->store->tier, &fill);
		claim = CACHE_NO_ROOM;
	}
	if (claim == CACHE_LOADING && get->waited_ms < MAX_WAIT_MS)
		get->waiting += n;
	else if (claim == CACHE_PRESENT && get->present < MAX_PRESENT)
		get->found_present = true;
	else if (claim != CACHE_LOAD)
		fetch_as_they_are(get, pieces, n);
}

static void
plan(TierGet *get)
{
	int			n;

	get->nfetches = 0;
	get->owned = 0;
	get->waiting = 0;
	get->found_present = false;
	qsort(get->pieces, get->npieces, sizeof(TierPiece), compare_pieces);
	for (int i = 0; i < get->npieces && get->owned < ROUND_BYTES; i += n)
	{
		n = 1;
		while (i + n < get->npieces && same_range(&get->pieces[i], &get->pieces[i + n]))
			n++;
		plan_range(get, &get->pieces[i], n);
	}
	get->present += get->found_present;
}

/* The pieces of this fetch have what was fetched. */
static void
hand_out(TierGet *get, const TierFetch *fetch)
{
	TierPiece  *piece = fetch->piece;
	TierPiece  *end = get->pieces + get->npieces;

	if (!fetch->claimed)
	{
		piece->done = true;
		return;
	}
	for (; piece < end && same_range(piece, fetch->piece); piece++)
	{
		if (piece->dst != fetch->bytes)
			memcpy(piece->dst, fetch->bytes + piece->at, piece->len);
		piece->done = true;
	}
}

static void
end_fetch(TierGet *get, TierFetch *fetch, SvStatus status)
{
	if (status == SV_OK)
		hand_out(get, fetch);
	if (fetch->claimed && status == SV_OK)
		disk_tier_fill(get->store->tier, &fetch->fill, sv_slice(fetch->bytes, fetch->len));
	else if (fetch->claimed)
		disk_tier_abandon(get->store->tier, &fetch->fill);
	free(fetch->owned);
}

/* What the inner store answered: at is the fetch that failed, or -1. */
static void
end_fetches(TierGet *get, SvStatus status, int at, int *failed)
{
	int			left = 0;

	if (status != SV_OK)
		*failed = at >= 0 ? get->fetches[at].piece->read : -1;
	for (int i = 0; i < get->nfetches; i++)
		end_fetch(get, &get->fetches[i], status);
	for (int i = 0; i < get->npieces; i++)
		if (!get->pieces[i].done)
			get->pieces[left++] = get->pieces[i];
	get->npieces = left;
	get->nfetches = 0;
}

static SvStatus
run_fetches(TierGet *get, int *failed, SvError *err)
{
	int			at = -1;
	SvStatus	status = SV_OK;

	if (get->nfetches > 0)
		status = store_get(get->store->front.inner, get->wanted, get->nfetches, &at, get->call, err);
	end_fetches(get, status, at, failed);
	return status;
}

/* Milliseconds. */
static int
next_pause(TierGet *get)
{
	int			pause = get->waited_ms + FIRST_WAIT_MS;

	if (pause > LONGEST_WAIT_MS)
		pause = LONGEST_WAIT_MS;
	get->waited_ms += pause;
	return pause;
}

/* Only pieces that others fetch are left; those for which a round had no room are not of these. */
static bool
must_wait(const TierGet *get)
{
	return get->waiting > 0 && get->waiting == get->npieces;
}

static SvStatus
fetch_missing(TierGet *get, int *failed, SvError *err)
{
	SvStatus	status = SV_OK;

	while (status == SV_OK && get->npieces > 0)
	{
		plan(get);
		status = run_fetches(get, failed, err);
		if (status == SV_OK && must_wait(get))
			status = store_pause(get->call, get->pieces[0].name, next_pause(get), err);
		if (status == SV_OK && get->npieces > 0)
			status = read_tier(get, err);
	}
	return status;
}

static bool
adds_to_tier(const StoreCall *call)
{
	return call == NULL || call->caller == STORE_FOREGROUND || call->caller == STORE_FLUSH ||
		call->caller == STORE_LOAD;
}

SvStatus
store_tier_get(ObjectStore *base, const StoreRead *reads, int nreads, int *failed,
			   const StoreCall *call, SvError *err)
{
	TierGet		get = {.store = (TierStore *) base,.call = call,.adds = adds_to_tier(call)};
	SvStatus	status;

	if (call != NULL && call->passing)
		return store_tier_pass(base, reads, nreads, failed, call, err);
	*failed = -1;
	status = begin_get(&get, reads, nreads, err);
	if (status == SV_OK)
		status = read_tier(&get, err);
	if (status == SV_OK)
		count_answered(&get, reads, nreads);
	if (status == SV_OK)
		status = fetch_missing(&get, failed, err);
	end_get(&get);
	return status;
}

/* -------------------------------------------------------------------------
 * In steps
 * ------------------------------------------------------------------------- */

typedef struct TierSteps
{
	TierGet		get;
	StoreSteps	inner;			/* of the round's fetches */
	bool		under_way;
	uint64_t	pause_us;		/* until then others are waited for; 0: they are not */
	int			failed;
} TierSteps;

/* A round begins, or there is nothing left to do. */
static SvStatus
begin_round(TierSteps *steps, const StoreCall *call, SvError *err)
{
	TierGet    *get = &steps->get;
	SvStatus	status;

	plan(get);
	if (get->nfetches == 0)
	{
		steps->pause_us = must_wait(get) ? store_now_us() + (uint64_t) next_pause(get) * 1000 : 0;
		return SV_OK;
	}
	status = store_steps_begin(&steps->inner, get->store->front.inner, get->wanted, get->nfetches, call, err);
	if (status == SV_OK)
		steps->under_way = true;
	else
		end_fetches(get, status, -1, &steps->failed);
	return status;
}

static SvStatus
end_round(TierSteps *steps, SvStatus status, const StoreCall *call)
{
	TierGet    *get = &steps->get;
	int			at = store_steps_end(&steps->inner, call);

	steps->under_way = false;
	end_fetches(get, status, at, &steps->failed);
	steps->pause_us = status == SV_OK && must_wait(get) ? store_now_us() + (uint64_t) next_pause(get) * 1000 : 0;
	return status;
}

SvStatus
store_tier_steps_begin(ObjectStore *base, const StoreRead *reads, int nreads, StoreDriverSteps **made,
					   const StoreCall *call, SvError *err)
{
	TierSteps  *steps = calloc(1, sizeof(TierSteps));
	SvStatus	status;

	if (steps == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for reading object \"%s\"", reads[0].name);
	steps->get.store = (TierStore *) base;
	steps->get.call = call;
	steps->get.adds = adds_to_tier(call) && (call == NULL || !call->passing);
	steps->failed = -1;
	status = begin_get(&steps->get, reads, nreads, err);
	if (status == SV_OK)
		status = read_tier(&steps->get, err);
	if (status == SV_OK)
		count_answered(&steps->get, reads, nreads);
	if (status == SV_OK && steps->get.npieces > 0)
		status = begin_round(steps, call, err);
	if (status == SV_OK)
	{
		*made = (StoreDriverSteps *) steps;
		return SV_OK;
	}
	end_get(&steps->get);
	free(steps);
	return status;
}

SvStatus
store_tier_steps_go(StoreDriverSteps *base, bool *done, const StoreCall *call, SvError *err)
{
	TierSteps  *steps = (TierSteps *) base;
	TierGet    *get = &steps->get;
	uint64_t	now = store_now_us();
	SvStatus	status = SV_OK;

	get->call = call;
	if (steps->under_way)
	{
		status = store_steps_go(&steps->inner, call, err);
		if (status == SV_OK && !steps->inner.done)
			return SV_OK;
		status = end_round(steps, status, call);
	}
	else if (steps->pause_us > now)
	{
		store_wait(call, NULL, 0, (int) ((steps->pause_us - now + 999) / 1000));
		return store_check_cancel(call, get->pieces[0].name, err);
	}
	if (status == SV_OK && get->npieces > 0 && steps->pause_us <= now)
	{
		status = read_tier(get, err);
		if (status == SV_OK && get->npieces > 0)
			status = begin_round(steps, call, err);
	}
	*done = status == SV_OK && get->npieces == 0;
	return status;
}

int
store_tier_steps_end(StoreDriverSteps *base, const StoreCall *call)
{
	TierSteps  *steps = (TierSteps *) base;
	int			failed;

	if (steps->under_way)
		(void) end_round(steps, SV_CANCELLED, call);
	failed = steps->failed;
	end_get(&steps->get);
	free(steps);
	return failed;
}
