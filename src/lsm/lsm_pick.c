/*
 * lsm_pick.c
 *		Grows a set of runs of one table until it can be compacted, within the
 *		bounds of a job.
 *
 * A set that goes from level n to n + 1 is closed: of level 0 it has, with a
 * run, every older one of level 0 that overlaps it; of level n + 1 every run
 * that overlaps its key range as a whole, gaps included, since an output may
 * span them.
 */
#include "lsm/lsm_pick.h"

#include <stdlib.h>

/* A set of the view's items. */
typedef struct Pick
{
	const LsmView *view;
	bool	   *in;
	int			n;
	uint64_t	bytes;
	bool		busy;			/* one of them is */
	LsmRange	range;			/* of all of them */
} Pick;

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: picking runs");
}

static SvStatus
pick_init(Pick *pick, const LsmView *view, SvArena *arena, SvError *err)
{
	*pick = (Pick) {.view = view};
	pick->in = sv_arena_take(arena, sizeof(bool) * (size_t) (view->nitems + 1));
	return pick->in == NULL ? no_memory(err) : SV_OK;
}

static void
pick_clear(Pick *pick)
{
	bool	   *in = pick->in;
	const LsmView *view = pick->view;

	memset(in, 0, sizeof(bool) * (size_t) view->nitems);
	*pick = (Pick) {.view = view,.in = in};
}

static void
pick_copy(Pick *to, const Pick *from)
{
	bool	   *in = to->in;

	memcpy(in, from->in, sizeof(bool) * (size_t) from->view->nitems);
	*to = *from;
	to->in = in;
}

static void
pick_add(Pick *pick, int i)
{
	const LsmItem *item = &pick->view->items[i];

	if (pick->in[i])
		return;
	pick->in[i] = true;
	if (pick->n == 0 || sv_slice_compare(item->part->min_key, pick->range.low) < 0)
		pick->range.low = item->part->min_key;
	if (pick->n == 0 || sv_slice_compare(item->part->max_key, pick->range.high) > 0)
		pick->range.high = item->part->max_key;
	pick->n++;
	pick->bytes += item->bytes;
	pick->busy |= item->busy;
}

/* Adds what of level 0 is older than a member and overlaps it, and so on. */
static void
close_level0(Pick *pick)
{
	const LsmItem *items = pick->view->items;
	int			first;
	int			n = lsm_view_level(pick->view, 0, &first);

	/* Newest first: what overlaps further on is older, and looked at in its turn when it is added. */
	for (int i = first; i < first + n; i++)
	{
		if (!pick->in[i])
			continue;
		for (int j = i + 1; j < first + n; j++)
		{
			if (!pick->in[j] && lsm_parts_overlap(items[i].part, items[j].part))
				pick_add(pick, j);
		}
	}
}

/* Adds what of the level overlaps the set's range; what is disjoint stays so when the range grows. */
static void
add_overlapping(Pick *pick, int level)
{
	LsmRange	range = pick->range;
	int			end;
	int			i = lsm_view_seek(pick->view, level, range.low, &end);

	for (; i < end && lsm_range_overlaps(&range, pick->view->items[i].part); i++)
		pick_add(pick, i);
}

/* What it would be with the item, from `level` to the next, closed. */
static void
pick_try(Pick *trial, const Pick *pick, int i, int level)
{
	pick_copy(trial, pick);
	pick_add(trial, i);
	if (level == 0)
		close_level0(trial);
	add_overlapping(trial, level + 1);
}

static bool
is_feasible(const LsmPicker *picker, const Pick *pick, int level)
{
	return !pick->busy &&
		!lsm_target_is_claimed(picker->question, pick->view->table_id, level, &pick->range);
}

static bool
is_within_bounds(const LsmPicker *picker, const Pick *pick)
{
	return pick->n <= picker->question->settings->max_inputs &&
		pick->bytes <= picker->question->settings->max_bytes;
}

SvStatus
lsm_pick_add(LsmPicker *picker, const LsmPlan *plan, SvError *err)
{
	LsmPlans   *plans = picker->plans;

	if (plans->n == plans->room)
	{
		int			room = plans->room == 0 ? 16 : plans->room * 2;
		LsmPlan    *grown = sv_arena_take(picker->arena, sizeof(LsmPlan) * (size_t) room);

		if (grown == NULL)
			return no_memory(err);
		if (plans->n > 0)
			memcpy(grown, plans->plans, sizeof(LsmPlan) * (size_t) plans->n);
		plans->plans = grown;
		plans->room = room;
	}
	plans->plans[plans->n++] = *plan;
	return SV_OK;
}

static SvStatus
plan_pick(LsmPicker *picker, const Pick *pick, int level, bool is_move, SvError *err)
{
	LsmPlan		plan = {
		.view = pick->view,.level = level,.is_move = is_move,
		.tier = level == 0 ? LSM_BUFFER : LSM_LEVEL
	};

	plan.items = sv_arena_take(picker->arena, sizeof(LsmItem *) * (size_t) (pick->n + 1));
	if (plan.items == NULL)
		return no_memory(err);
	for (int i = 0; i < pick->view->nitems; i++)
	{
		if (pick->in[i])
			plan.items[plan.nitems++] = &pick->view->items[i];
	}
	return lsm_pick_add(picker, &plan, err);
}

/*
 * Whether a run may go down as it is: a rewrite would not rid it of much, and
 * keys of WAL runs are not those of a table.
 */
static bool
may_move(const LsmPicker *picker, const LsmView *view, const LsmItem *item)
{
	return view->settings->trivial_moves && item->run->tier != LSM_WAL &&
		lsm_item_garbage(view, item, picker->question->expired_before) < view->settings->garbage_share;
}

/* ----------------------------------------------------------------- level 0 */

/*
 * Small runs are better merged: each that was moved would stay small for ever
 * where keys come in order.
 */
static bool
is_worth_moving(const LsmView *view, const LsmItem *item)
{
	return item->bytes >= view->settings->run_bytes / 4;
}

/*
 * Those that go to level 1 as they are, oldest first; each is a plan of its
 * own.  They are disjoint: one that overlaps an older run is not alone.
 */
static SvStatus
pick_level0_moves(LsmPicker *picker, const LsmView *view, int64_t up_to_seq, SvError *err)
{
	Pick		one;
	int			nmoves = 0;
	int			first;
	int			n = lsm_view_level(view, 0, &first);
	SvStatus	status = pick_init(&one, view, picker->arena, err);

	for (int i = first + n - 1; i >= first && status == SV_OK; i--)
	{
		const LsmItem *item = &view->items[i];

		if (item->run->seq_lo > up_to_seq || !is_worth_moving(view, item) ||
			!may_move(picker, view, item) || nmoves == picker->question->settings->max_inputs)
			continue;
		pick_clear(&one);
		pick_add(&one, i);
		close_level0(&one);
		add_overlapping(&one, 1);
		if (one.n > 1 || !is_feasible(picker, &one, 1))
			continue;
		nmoves++;
		status = plan_pick(picker, &one, 1, true, err);
	}
	return status;
}

/*
 * Takes in more of level 0, from old to new, while the job stays within its
 * bounds: what overlaps, since level 1 is then rewritten once for all of them,
 * and else what costs no more of level 1 than it brings.
 */
static void
grow_level0(const LsmPicker *picker, Pick *pick, Pick *trial, bool wal_runs)
{
	int			first;
	int			n = lsm_view_level(pick->view, 0, &first);

	for (int overlapping = 1; overlapping >= 0; overlapping--)
	{
		for (int i = first + n - 1; i >= first; i--)
		{
			const LsmItem *item = &pick->view->items[i];

			if (pick->in[i] || item->busy || (item->run->tier == LSM_WAL && !wal_runs) ||
				(bool) overlapping != lsm_range_overlaps(&pick->range, item->part))
				continue;
			pick_try(trial, pick, i, 0);
			if (is_feasible(picker, trial, 1) && is_within_bounds(picker, trial) &&
				(overlapping || trial->bytes - pick->bytes <= 2 * item->bytes))
				pick_copy(pick, trial);
		}
	}
}

SvStatus
lsm_pick_level0(LsmPicker *picker, const LsmView *view, int64_t up_to_seq, bool wal_runs,
				SvError *err)
{
	Pick		pick;
	Pick		trial;
	Pick		empty;
	int			first;
	int			n = lsm_view_level(view, 0, &first);
	int			before = picker->plans->n;
	SvStatus	status = pick_level0_moves(picker, view, up_to_seq, err);

	if (status != SV_OK || picker->plans->n > before)
		return status;
	status = pick_init(&pick, view, picker->arena, err);
	if (status == SV_OK)
		status = pick_init(&trial, view, picker->arena, err);
	if (status == SV_OK)
		status = pick_init(&empty, view, picker->arena, err);
	if (status != SV_OK)
		return status;
	for (int i = first + n - 1; i >= first; i--)
	{
		const LsmItem *item = &view->items[i];

		if (item->run->seq_lo > up_to_seq || (item->run->tier == LSM_WAL && !wal_runs))
			continue;
		pick_try(&pick, &empty, i, 0);
		if (!is_feasible(picker, &pick, 1))
			continue;
		grow_level0(picker, &pick, &trial, wal_runs);
		return plan_pick(picker, &pick, 1, false, err);
	}
	return SV_OK;
}

/* ------------------------------------------------------------------ levels */

/* Adds what of the upper level lies within the set's range anyhow. */
static void
grow_level(const LsmPicker *picker, Pick *pick, Pick *trial, int level)
{
	int			first;
	int			n = lsm_view_level(pick->view, level, &first);

	for (int i = first; i < first + n; i++)
	{
		const LsmPart *part = pick->view->items[i].part;

		if (pick->in[i] || sv_slice_compare(part->min_key, pick->range.low) < 0 ||
			sv_slice_compare(part->max_key, pick->range.high) > 0)
			continue;
		pick_copy(trial, pick);
		pick_add(trial, i);
		if (is_feasible(picker, trial, level + 1) && is_within_bounds(picker, trial))
			pick_copy(pick, trial);
	}
}

typedef struct Seed
{
	int			index;
	double		cost;			/* bytes of the next level that come along, for a byte of it */
	int64_t		seq_lo;
	int64_t		id;
} Seed;

static int
compare_seeds(const void *a, const void *b)
{
	const Seed *sa = a;
	const Seed *sb = b;

	if (sa->cost != sb->cost)
		return sa->cost < sb->cost ? -1 : 1;
	if (sa->seq_lo != sb->seq_lo)
		return sa->seq_lo < sb->seq_lo ? -1 : 1;
	return (sa->id > sb->id) - (sa->id < sb->id);
}

static double
seed_cost(const LsmView *view, const LsmItem *item)
{
	int			end;
	int			i = lsm_view_seek(view, item->run->level + 1, item->part->min_key, &end);
	uint64_t	bytes = 0;

	for (; i < end && lsm_parts_overlap(item->part, view->items[i].part); i++)
		bytes += view->items[i].bytes;
	return (double) bytes / ((double) item->bytes + 1);
}

static SvStatus
pick_from(LsmPicker *picker, const LsmView *view, int level, int index, bool *picked, SvError *err)
{
	Pick		pick;
	Pick		trial;
	Pick		empty;
	SvStatus	status = pick_init(&pick, view, picker->arena, err);

	if (status == SV_OK)
		status = pick_init(&trial, view, picker->arena, err);
	if (status == SV_OK)
		status = pick_init(&empty, view, picker->arena, err);
	if (status != SV_OK)
		return status;
	pick_try(&pick, &empty, index, level);
	*picked = is_feasible(picker, &pick, level + 1);
	if (!*picked)
		return SV_OK;
	if (pick.n == 1 && may_move(picker, view, &view->items[index]))
		return plan_pick(picker, &pick, level + 1, true, err);
	grow_level(picker, &pick, &trial, level);
	return plan_pick(picker, &pick, level + 1, false, err);
}

SvStatus
lsm_pick_level(LsmPicker *picker, const LsmView *view, int level, const LsmItem *seed, SvError *err)
{
	int			first;
	int			n = lsm_view_level(view, level, &first);
	Seed	   *seeds;
	bool		picked = false;
	SvStatus	status = SV_OK;

	if (seed != NULL)
		return pick_from(picker, view, level, (int) (seed - view->items), &picked, err);
	seeds = sv_arena_take(picker->arena, sizeof(Seed) * (size_t) (n + 1));
	if (seeds == NULL)
		return no_memory(err);
	for (int i = 0; i < n; i++)
	{
		const LsmItem *item = &view->items[first + i];

		seeds[i] = (Seed) {first + i, seed_cost(view, item), item->run->seq_lo, item->run->id};
	}
	qsort(seeds, (size_t) n, sizeof(Seed), compare_seeds);
	for (int i = 0; i < n && status == SV_OK && !picked; i++)
		status = pick_from(picker, view, level, seeds[i].index, &picked, err);
	return status;
}

SvStatus
lsm_pick_rewrite(LsmPicker *picker, const LsmView *view, const LsmItem *item, SvError *err)
{
	Pick		pick;
	SvStatus	status = pick_init(&pick, view, picker->arena, err);

	if (status != SV_OK)
		return status;
	pick_add(&pick, (int) (item - view->items));
	if (!is_feasible(picker, &pick, item->run->level))
		return SV_OK;
	return plan_pick(picker, &pick, item->run->level, false, err);
}

/* -------------------------------------------------------------------- full */

/* Newer runs of level 0 may stay: nothing below has to be older than they are. */
static bool
is_of_the_past(const LsmItem *item, int64_t up_to_seq)
{
	return item->run->level > 0 || item->run->seq_lo <= up_to_seq;
}

/* Adds what overlaps, until nothing more does. */
static void
make_component(Pick *pick, int64_t up_to_seq)
{
	const LsmView *view = pick->view;
	int			before;

	do
	{
		before = pick->n;
		for (int i = 0; i < view->nitems; i++)
		{
			if (is_of_the_past(&view->items[i], up_to_seq) &&
				lsm_range_overlaps(&pick->range, view->items[i].part))
				pick_add(pick, i);
		}
	} while (pick->n > before);
}

/* Whether something of the past is still in two runs, in level 0, or garbage. */
static bool
has_work(const LsmPicker *picker, const Pick *pick, int64_t up_to_seq)
{
	const LsmView *view = pick->view;

	for (int i = 0; i < view->nitems; i++)
	{
		const LsmItem *item = &view->items[i];

		if (!pick->in[i] || item->run->seq_lo > up_to_seq)
			continue;
		if (item->run->level == 0 || lsm_view_has_older(view, item) ||
			lsm_item_garbage(view, item, picker->question->expired_before) > 0)
			return true;
	}
	return false;
}

/* The level where all that the table has would not be too much. */
static int
fitting_level(const LsmView *view)
{
	uint64_t	bytes = 0;
	int			level = 1;

	for (int i = 0; i < view->nitems; i++)
		bytes += view->items[i].bytes;
	while (level < view->settings->bottom_level && lsm_level_target(view->settings, level) < bytes)
		level++;
	return level;
}

/* A component of one run needs no merge, only a place, unless something is to be dropped from it. */
static bool
full_is_move(const LsmPicker *picker, const Pick *pick, const LsmItem *item)
{
	return pick->n == 1 && item->run->level == 0 && item->run->tier != LSM_WAL &&
		pick->view->settings->trivial_moves &&
		lsm_item_garbage(pick->view, item, picker->question->expired_before) == 0;
}

SvStatus
lsm_pick_full(LsmPicker *picker, const LsmView *view, int64_t up_to_seq, bool *waits, SvError *err)
{
	Pick		pick;
	int			level = fitting_level(view);
	bool	   *seen = sv_arena_take(picker->arena, sizeof(bool) * (size_t) (view->nitems + 1));
	SvStatus	status = seen == NULL ? no_memory(err) : pick_init(&pick, view, picker->arena, err);

	*waits = false;
	for (int i = view->nitems - 1; i >= 0 && status == SV_OK; i--)
	{
		if (seen[i] || !is_of_the_past(&view->items[i], up_to_seq))
			continue;
		pick_clear(&pick);
		pick_add(&pick, i);
		make_component(&pick, up_to_seq);
		for (int j = 0; j < view->nitems; j++)
			seen[j] |= pick.in[j];
		if (!has_work(picker, &pick, up_to_seq))
			continue;
		if (is_feasible(picker, &pick, level))
			return plan_pick(picker, &pick, level, full_is_move(picker, &pick, &view->items[i]), err);
		*waits = true;
	}
	return status;
}
