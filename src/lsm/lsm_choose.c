/*
 * lsm_choose.c
 *		What is due most, and the first of it that can be done now.
 *
 * Why lookup order stays right (invariant 1).  Let k be a key, and think of
 * the runs whose key range has k in lookup order.
 *
 * - A merge of level 0 takes neighbours of the table's level 0 only, so no run
 *   has sequences between those of its output.  None can come between later:
 *   what a flush or a load adds is above all that its table has.
 * - A merge from level n to n + 1 takes with a run of level 0 all older ones of
 *   level 0 that may have k, and all runs of level n + 1 that overlap the range
 *   of all sources, in which the outputs lie.  So what it leaves above n + 1
 *   for k is newer than what it moves, and n + 1 stays disjoint.
 * - A full compaction takes all runs that may have k, but for the newest of
 *   level 0.  A rewrite and a move between levels are cases of these.
 *
 * Two jobs at a time share no run.  Let J go down with a run r that may have
 * k, and let K, chosen while J runs, want to bring something newer for k down
 * past r: then K has to take r (it is of K's target level, or an older one of
 * level 0), which is claimed.  Or K wants to bring it to where J's output will
 * be: that range of the level is claimed.  So for k nothing passes J, and J is
 * right whenever it is published, be it before or after K.
 *
 * Tombstones (invariant 7).  lsm_plan.c lists where runs outside the merge may
 * have something older.  No entry becomes older than it was, and none can get
 * below J by passing it, so what was not there when J was chosen is not there
 * when it is published.
 */
#include "lsm/lsm_choose.h"

#include <stdio.h>
#include <stdlib.h>

#include "lsm/lsm_pick.h"

/* How many dead runs one job removes: each is a row and a file to delete. */
#define MAX_REMOVED 1000

#define REASON_BYTES 200

typedef enum DebtKind
{
	DEBT_WAL,
	DEBT_LEVEL0,
	DEBT_LEVEL,
	DEBT_GARBAGE,
	DEBT_TOMBSTONES
} DebtKind;

/* Something that may be due, against its threshold. */
typedef struct Debt
{
	DebtKind	kind;
	double		score;			/* 1 at the threshold */
	const LsmView *view;
	int			level;
	const LsmItem *item;
	int			runs;
	uint64_t	bytes;
} Debt;

typedef struct Chooser
{
	const LsmQuestion *question;
	SvArena		arena;
	LsmBusy		busy;
	LsmView    *views;			/* of all tables, in the order of the question */
	bool		all_runs;		/* claimed ones count as well */
	int			ndebts;
	int			room;
	Debt	   *debts;
} Chooser;

static SvStatus
no_memory(SvError *err)
{
	return sv_fail(err, SV_NO_MEMORY, "out of memory: choosing a compaction job");
}

static SvStatus
chooser_init(Chooser *chooser, const LsmQuestion *question, SvError *err)
{
	SvStatus	status;

	*chooser = (Chooser) {.question = question};
	sv_arena_init(&chooser->arena, question->alloc);
	status = lsm_busy_collect(&chooser->busy, question, &chooser->arena, err);
	if (status != SV_OK)
		return status;
	chooser->views = sv_arena_take(&chooser->arena,
								   sizeof(LsmView) * (size_t) (question->ntables + 1));
	if (chooser->views == NULL)
		return no_memory(err);
	for (int i = 0; i < question->ntables && status == SV_OK; i++)
		status = lsm_view_make(&chooser->views[i], question, &question->tables[i], &chooser->busy,
							   &chooser->arena, err);
	return status;
}

/* ---------------------------------------------------------------- removals */

static bool
has_live_part(const LsmQuestion *question, const LsmRun *run)
{
	for (int i = 0; i < run->nparts; i++)
	{
		if (!lsm_part_is_dead(question, run, &run->parts[i]))
			return true;
	}
	return false;
}

static SvStatus
collect_dead_runs(Chooser *chooser, LsmPlans *plans, SvError *err)
{
	const LsmForest *forest = chooser->question->forest;

	plans->removed = sv_arena_take(&chooser->arena, sizeof(LsmRun *) * MAX_REMOVED);
	if (plans->removed == NULL)
		return no_memory(err);
	for (int i = 0; i < lsm_forest_run_count(forest) && plans->nremoved < MAX_REMOVED; i++)
	{
		const LsmRun *run = lsm_forest_run(forest, i);

		if (!lsm_is_busy(&chooser->busy, run->id) && !has_live_part(chooser->question, run))
			plans->removed[plans->nremoved++] = run;
	}
	return SV_OK;
}

/* --------------------------------------------------------------------- WAL */

static int
compare_by_seq(const void *a, const void *b)
{
	const LsmRun *ra = *(const LsmRun *const *) a;
	const LsmRun *rb = *(const LsmRun *const *) b;

	if (ra->seq_hi != rb->seq_hi)
		return ra->seq_hi < rb->seq_hi ? -1 : 1;
	return (ra->id > rb->id) - (ra->id < rb->id);
}

static bool
is_wal_run(const Chooser *chooser, const LsmRun *run)
{
	return run->tier == LSM_WAL && (chooser->all_runs || !lsm_is_busy(&chooser->busy, run->id)) &&
		has_live_part(chooser->question, run);
}

/* The WAL runs that one job takes: the oldest that are free, as many as it may. */
static SvStatus
collect_wal_runs(Chooser *chooser, const LsmRun ***runs, int *n, SvError *err)
{
	const LsmForest *forest = chooser->question->forest;
	const LsmSettings *settings = chooser->question->settings;
	uint64_t	bytes = 0;
	int			taken = 0;

	*n = 0;
	*runs = sv_arena_take(&chooser->arena,
						  sizeof(LsmRun *) * (size_t) (lsm_forest_run_count(forest) + 1));
	if (*runs == NULL)
		return no_memory(err);
	for (int i = 0; i < lsm_forest_run_count(forest); i++)
	{
		if (is_wal_run(chooser, lsm_forest_run(forest, i)))
			(*runs)[(*n)++] = lsm_forest_run(forest, i);
	}
	qsort(*runs, (size_t) *n, sizeof(LsmRun *), compare_by_seq);
	while (taken < *n && (taken == 0 || (taken < settings->max_inputs &&
										 bytes + (*runs)[taken]->file_bytes <= settings->max_bytes)))
		bytes += (*runs)[taken++]->file_bytes;
	*n = taken;
	return SV_OK;
}

static bool
is_taken(const LsmRun *run, const LsmRun **runs, int n)
{
	return n > 0 && bsearch(&run, runs, (size_t) n, sizeof(LsmRun *), compare_by_seq) != NULL;
}

/*
 * The table's part in it: one plan for each stretch of taken runs between
 * which it has no other run of level 0.
 */
static SvStatus
plan_stretches(Chooser *chooser, LsmPicker *picker, const LsmView *view, const LsmRun **runs,
			   int n, SvError *err)
{
	int			first;
	int			count = lsm_view_level(view, 0, &first);
	SvStatus	status = SV_OK;

	for (int i = first; i < first + count && status == SV_OK;)
	{
		LsmPlan		plan = {.view = view,.tier = LSM_BUFFER};

		if (!is_taken(view->items[i].run, runs, n))
		{
			i++;
			continue;
		}
		plan.items = sv_arena_take(&chooser->arena, sizeof(LsmItem *) * (size_t) n);
		if (plan.items == NULL)
			return no_memory(err);
		while (i < first + count && is_taken(view->items[i].run, runs, n))
			plan.items[plan.nitems++] = &view->items[i++];
		status = lsm_pick_add(picker, &plan, err);
	}
	return status;
}

static SvStatus
pick_wal(Chooser *chooser, LsmPicker *picker, SvError *err)
{
	const LsmRun **runs;
	int			n;
	SvStatus	status = collect_wal_runs(chooser, &runs, &n, err);

	for (int i = 0; i < chooser->question->ntables && status == SV_OK; i++)
		status = plan_stretches(chooser, picker, &chooser->views[i], runs, n, err);
	return status;
}

/* ------------------------------------------------------------------- debts */

static SvStatus
note_debt(Chooser *chooser, Debt debt, SvError *err)
{
	if (chooser->ndebts == chooser->room)
	{
		int			room = chooser->room == 0 ? 64 : chooser->room * 2;
		Debt	   *grown = sv_arena_take(&chooser->arena, sizeof(Debt) * (size_t) room);

		if (grown == NULL)
			return no_memory(err);
		if (chooser->ndebts > 0)
			memcpy(grown, chooser->debts, sizeof(Debt) * (size_t) chooser->ndebts);
		chooser->debts = grown;
		chooser->room = room;
	}
	chooser->debts[chooser->ndebts++] = debt;
	return SV_OK;
}

/* Against thresholds of count and bytes: how near the nearer one is. */
static double
score(int runs, int max_runs, uint64_t bytes, uint64_t max_bytes)
{
	double		by_runs = (double) runs / (double) (max_runs > 0 ? max_runs : 1);
	double		by_bytes = (double) bytes / (double) (max_bytes > 0 ? max_bytes : 1);

	return by_runs > by_bytes ? by_runs : by_bytes;
}

static SvStatus
note_wal(Chooser *chooser, SvError *err)
{
	const LsmForest *forest = chooser->question->forest;
	const LsmSettings *settings = chooser->question->settings;
	Debt		debt = {.kind = DEBT_WAL};

	for (int i = 0; i < lsm_forest_run_count(forest); i++)
	{
		if (!is_wal_run(chooser, lsm_forest_run(forest, i)))
			continue;
		debt.runs++;
		debt.bytes += lsm_forest_run(forest, i)->file_bytes;
	}
	debt.score = score(debt.runs, settings->wal_runs, debt.bytes, settings->wal_bytes);
	return debt.runs > 0 ? note_debt(chooser, debt, err) : SV_OK;
}

static SvStatus
note_level0(Chooser *chooser, const LsmView *view, SvError *err)
{
	Debt		debt = {.kind = DEBT_LEVEL0,.view = view};
	int64_t		last_seq = -1;
	int			first;
	int			n = lsm_view_level(view, 0, &first);

	for (int i = first; i < first + n; i++)
	{
		const LsmItem *item = &view->items[i];

		if (item->run->tier == LSM_WAL || (item->busy && !chooser->all_runs))
			continue;
		debt.runs += item->run->seq_hi != last_seq;
		debt.bytes += item->bytes;
		last_seq = item->run->seq_hi;
	}
	debt.score = score(debt.runs, view->settings->buffer_runs, debt.bytes,
					   view->settings->buffer_bytes);
	return debt.runs > 0 ? note_debt(chooser, debt, err) : SV_OK;
}

static SvStatus
note_levels(Chooser *chooser, const LsmView *view, SvError *err)
{
	int			deepest = lsm_view_deepest(view);
	SvStatus	status = SV_OK;

	for (int level = 1; level <= deepest && level < view->settings->bottom_level && status == SV_OK;
		 level++)
	{
		Debt		debt = {.kind = DEBT_LEVEL,.view = view,.level = level};
		int			first;
		int			n = lsm_view_level(view, level, &first);

		for (int i = first; i < first + n; i++)
		{
			if (view->items[i].busy && !chooser->all_runs)
				continue;
			debt.runs++;
			debt.bytes += view->items[i].bytes;
		}
		debt.score = score(0, 1, debt.bytes, lsm_level_target(view->settings, level));
		if (debt.runs > 0)
			status = note_debt(chooser, debt, err);
	}
	return status;
}

/* Runs that are mostly garbage, or mostly tombstones that hide something further down. */
static SvStatus
note_garbage(Chooser *chooser, const LsmView *view, SvError *err)
{
	double		threshold = view->settings->garbage_share;
	SvStatus	status = SV_OK;

	for (int i = 0; i < view->nitems && status == SV_OK; i++)
	{
		const LsmItem *item = &view->items[i];
		const LsmPart *part = item->part;
		Debt		debt = {.view = view,.level = item->run->level,.item = item,.bytes = item->bytes};
		double		share = lsm_item_garbage(view, item, chooser->question->expired_before);
		double		tombstones = (double) part->tombstones / (double) (part->entries > 0 ? part->entries : 1);

		if (item->run->tier == LSM_WAL)
			continue;
		if (share > 0 && share >= threshold)
		{
			debt.kind = DEBT_GARBAGE;
			debt.score = 1 + share;
		}
		else if (tombstones > 0 && tombstones >= threshold && debt.level > 0 &&
				 debt.level < view->settings->bottom_level && lsm_view_has_older(view, item))
		{
			debt.kind = DEBT_TOMBSTONES;
			debt.score = 1 + tombstones;
		}
		else
			continue;
		status = note_debt(chooser, debt, err);
	}
	return status;
}

static SvStatus
note_debts(Chooser *chooser, bool garbage, SvError *err)
{
	SvStatus	status = note_wal(chooser, err);

	for (int i = 0; i < chooser->question->ntables && status == SV_OK; i++)
	{
		status = note_level0(chooser, &chooser->views[i], err);
		if (status == SV_OK)
			status = note_levels(chooser, &chooser->views[i], err);
		if (status == SV_OK && garbage)
			status = note_garbage(chooser, &chooser->views[i], err);
	}
	return status;
}

/* Largest score first; of equals by kind, table, level and run, so that the answer is always the same. */
static int
compare_debts(const void *a, const void *b)
{
	const Debt *da = a;
	const Debt *db = b;

	if (da->score != db->score)
		return da->score > db->score ? -1 : 1;
	if (da->kind != db->kind)
		return da->kind < db->kind ? -1 : 1;
	if (da->view != db->view)
		return da->view < db->view ? -1 : 1;
	if (da->level != db->level)
		return da->level < db->level ? -1 : 1;
	return (da->item > db->item) - (da->item < db->item);
}

static SvStatus
pick_debt(Chooser *chooser, LsmPicker *picker, const Debt *debt, SvError *err)
{
	switch (debt->kind)
	{
		case DEBT_WAL:
			picker->plans->kind = LSM_JOB_WAL;
			return pick_wal(chooser, picker, err);
		case DEBT_LEVEL0:
			picker->plans->kind = LSM_JOB_BUFFER;
			return lsm_pick_level0(picker, debt->view, INT64_MAX, false, err);
		case DEBT_LEVEL:
			picker->plans->kind = LSM_JOB_LEVEL;
			return lsm_pick_level(picker, debt->view, debt->level, NULL, err);
		case DEBT_TOMBSTONES:
			picker->plans->kind = LSM_JOB_LEVEL;
			return lsm_pick_level(picker, debt->view, debt->level, debt->item, err);
		case DEBT_GARBAGE:
			break;
	}
	picker->plans->kind = LSM_JOB_REWRITE;
	return lsm_pick_rewrite(picker, debt->view, debt->item, err);
}

static void
explain(const Debt *debt, char *reason)
{
	unsigned long long bytes = (unsigned long long) debt->bytes;

	switch (debt->kind)
	{
		case DEBT_WAL:
			snprintf(reason, REASON_BYTES, "%d WAL runs of %llu bytes", debt->runs, bytes);
			break;
		case DEBT_LEVEL0:
			snprintf(reason, REASON_BYTES, "%d buffer runs of %llu bytes", debt->runs, bytes);
			break;
		case DEBT_LEVEL:
			snprintf(reason, REASON_BYTES, "level %d has %llu bytes", debt->level, bytes);
			break;
		case DEBT_GARBAGE:
			snprintf(reason, REASON_BYTES, "%.0f %% of a run is garbage", (debt->score - 1) * 100);
			break;
		case DEBT_TOMBSTONES:
			snprintf(reason, REASON_BYTES, "%.0f %% of a run is tombstones", (debt->score - 1) * 100);
			break;
	}
}

static SvStatus
choose_debt(Chooser *chooser, LsmPlans *plans, char *reason, SvError *err)
{
	LsmPicker	picker = {.question = chooser->question,.arena = &chooser->arena,.plans = plans};
	SvStatus	status = note_debts(chooser, true, err);

	if (status == SV_OK && chooser->ndebts > 0)
		qsort(chooser->debts, (size_t) chooser->ndebts, sizeof(Debt), compare_debts);
	for (int i = 0; i < chooser->ndebts && status == SV_OK && plans->n == 0; i++)
	{
		if (chooser->debts[i].score < 1)
			break;
		status = pick_debt(chooser, &picker, &chooser->debts[i], err);
		explain(&chooser->debts[i], reason);
	}
	return status;
}

SvStatus
lsm_choose(const LsmQuestion *question, LsmJob **job, SvError *err)
{
	Chooser		chooser;
	LsmPlans	plans = {.kind = LSM_JOB_REMOVE};
	char		reason[REASON_BYTES];
	SvStatus	status = chooser_init(&chooser, question, err);

	*job = NULL;
	plans.reason = reason;
	if (status == SV_OK)
		status = collect_dead_runs(&chooser, &plans, err);
	if (status == SV_OK && plans.nremoved > 0)
		snprintf(reason, REASON_BYTES, "%d runs of which nothing lives", plans.nremoved);
	else if (status == SV_OK)
		status = choose_debt(&chooser, &plans, reason, err);
	if (status == SV_OK)
		status = plans.n + plans.nremoved == 0 ? SV_NOT_FOUND :
			lsm_plan_job(question, &plans, job, err);
	sv_arena_free(&chooser.arena);
	return status;
}

/* ----------------------------------------------------------------- by hand */

/* Whether level 0 still has something of the past. */
static bool
has_level0(const LsmView *view, int64_t up_to_seq)
{
	int			first;
	int			n = lsm_view_level(view, 0, &first);

	for (int i = first; i < first + n; i++)
	{
		if (view->items[i].run->seq_lo <= up_to_seq)
			return true;
	}
	return false;
}

static SvStatus
choose_by_hand(Chooser *chooser, int32_t table_id, bool full, int64_t up_to_seq, LsmPlans *plans,
			   bool *waits, SvError *err)
{
	LsmPicker	picker = {.question = chooser->question,.arena = &chooser->arena,.plans = plans};
	const LsmTable *table = lsm_find_table(chooser->question, table_id);
	const LsmView *view;
	SvStatus	status;

	if (table == NULL)
		return SV_OK;
	view = &chooser->views[table - chooser->question->tables];
	if (full)
		return lsm_pick_full(&picker, view, up_to_seq, waits, err);
	status = lsm_pick_level0(&picker, view, up_to_seq, true, err);
	*waits = plans->n == 0 && has_level0(view, up_to_seq);
	return status;
}

SvStatus
lsm_choose_table(const LsmQuestion *question, int32_t table_id, bool full, int64_t up_to_seq,
				 LsmJob **job, bool *waits, SvError *err)
{
	Chooser		chooser;
	LsmPlans	plans = {.kind = full ? LSM_JOB_FULL : LSM_JOB_BUFFER,.reason = "by hand"};
	SvStatus	status = chooser_init(&chooser, question, err);

	*job = NULL;
	*waits = false;
	if (status == SV_OK)
		status = choose_by_hand(&chooser, table_id, full, up_to_seq, &plans, waits, err);
	if (status == SV_OK)
		status = plans.n == 0 ? SV_NOT_FOUND : lsm_plan_job(question, &plans, job, err);
	sv_arena_free(&chooser.arena);
	return status;
}

/* -------------------------------------------------------------------- debt */

SvStatus
lsm_debt(const LsmQuestion *question, LsmDebt *debt, SvError *err)
{
	Chooser		chooser;
	SvStatus	status = chooser_init(&chooser, question, err);

	*debt = (LsmDebt) {0};
	chooser.all_runs = true;
	if (status == SV_OK)
		status = note_debts(&chooser, false, err);
	for (int i = 0; i < chooser.ndebts && status == SV_OK; i++)
	{
		double	   *worst = chooser.debts[i].kind == DEBT_WAL ? &debt->wal :
			chooser.debts[i].kind == DEBT_LEVEL0 ? &debt->level0 : &debt->levels;

		if (chooser.debts[i].score > *worst)
			*worst = chooser.debts[i].score;
	}
	sv_arena_free(&chooser.arena);
	return status;
}
