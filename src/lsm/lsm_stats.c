/*
 * lsm_stats.c
 *		Numbers for each table and level.
 */
#include "lsm/lsm_stats.h"

#include <stdlib.h>

#include "lsm/lsm_view.h"

/* Where a run begins or ends. */
typedef struct End
{
	SvSlice		key;
	int			step;			/* 1: begins, -1: ended before */
} End;

static int
compare_ends(const void *a, const void *b)
{
	const End  *ea = a;
	const End  *eb = b;
	int			c = sv_slice_compare(ea->key, eb->key);

	/* A run that begins at the key where another ends shares it. */
	return c != 0 ? c : eb->step - ea->step;
}

static int
count_depth(const LsmItem *items, int n, End *ends)
{
	int			depth = 0;
	int			most = 0;

	for (int i = 0; i < n; i++)
	{
		ends[2 * i] = (End) {items[i].part->min_key, 1};
		ends[2 * i + 1] = (End) {items[i].part->max_key, -1};
	}
	qsort(ends, 2 * (size_t) n, sizeof(End), compare_ends);
	for (int i = 0; i < 2 * n; i++)
	{
		depth += ends[i].step;
		if (depth > most)
			most = depth;
	}
	return most;
}

/* Bytes of the next level that overlap any of the items, each run once. */
static uint64_t
overlapped_bytes(const LsmView *view, const LsmItem *items, int n)
{
	int			first;
	int			count = lsm_view_level(view, items[0].run->level + 1, &first);
	uint64_t	bytes = 0;

	for (int i = first; i < first + count; i++)
	{
		bool		overlaps = false;

		for (int j = 0; j < n && !overlaps; j++)
			overlaps = lsm_parts_overlap(items[j].part, view->items[i].part);
		bytes += overlaps ? view->items[i].bytes : 0;
	}
	return bytes;
}

static LsmLevelStats
count_items(const LsmView *view, const LsmItem *items, int n, int64_t expired_before)
{
	LsmLevelStats row = {
		.table_id = view->table_id,.tier = items[0].run->tier,.level = items[0].run->level,.runs = n
	};

	for (int i = 0; i < n; i++)
	{
		row.bytes += items[i].bytes;
		row.raw_bytes += items[i].part->raw_bytes;
		row.entries += items[i].part->entries;
		row.tombstones += items[i].part->tombstones;
		row.expired += lsm_part_expired(items[i].part, expired_before);
	}
	if (row.bytes > 0)
		row.overlap = (double) overlapped_bytes(view, items, n) / (double) row.bytes;
	return row;
}

/* WAL runs before buffer runs, then levels as they are. */
static int
compare_by_tier(const void *a, const void *b)
{
	const LsmItem *ia = a;
	const LsmItem *ib = b;
	bool		wa = ia->run->tier == LSM_WAL;
	bool		wb = ib->run->tier == LSM_WAL;

	if (wa != wb)
		return wa ? -1 : 1;
	if (ia->run->level != ib->run->level)
		return ia->run->level < ib->run->level ? -1 : 1;
	return sv_slice_compare(ia->part->min_key, ib->part->min_key);
}

static SvStatus
count_view(LsmForestStats *stats, const LsmView *view, int64_t expired_before, SvArena *scratch,
		   SvError *err)
{
	LsmItem    *items = sv_arena_take(scratch, sizeof(LsmItem) * (size_t) (view->nitems + 1));
	End		   *ends = sv_arena_take(scratch, 2 * sizeof(End) * (size_t) (view->nitems + 1));
	int			next;

	if (items == NULL || ends == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: statistics of a table");
	if (view->nitems > 0)
		memcpy(items, view->items, sizeof(LsmItem) * (size_t) view->nitems);
	qsort(items, (size_t) view->nitems, sizeof(LsmItem), compare_by_tier);
	for (int i = 0; i < view->nitems; i = next)
	{
		LsmLevelStats *row = &stats->rows[stats->n++];

		for (next = i + 1; next < view->nitems && items[next].run->tier == items[i].run->tier &&
			 items[next].run->level == items[i].run->level; next++)
			;
		*row = count_items(view, &items[i], next - i, expired_before);
		row->depth = count_depth(&items[i], next - i, ends);
	}
	return SV_OK;
}

/* As many as there can be: each has a run. */
static SvStatus
make_room(LsmForestStats *stats, const LsmQuestion *question, SvError *err)
{
	size_t		room = 1;

	for (int i = 0; i < question->ntables; i++)
	{
		int			n;

		(void) lsm_forest_sources(question->forest, question->tables[i].id, &n);
		room += (size_t) n;
	}
	stats->rows = sv_arena_take(&stats->arena, sizeof(LsmLevelStats) * room);
	return stats->rows == NULL ?
		sv_fail(err, SV_NO_MEMORY, "out of memory: statistics of %zu runs", room) : SV_OK;
}

SvStatus
lsm_stats_collect(const LsmQuestion *question, LsmForestStats *stats, SvError *err)
{
	static const LsmBusy nobody = {0};
	SvStatus	status;

	*stats = (LsmForestStats) {0};
	sv_arena_init(&stats->arena, question->alloc);
	status = make_room(stats, question, err);
	for (int i = 0; i < question->ntables && status == SV_OK; i++)
	{
		LsmView		view;
		SvArena		scratch;

		sv_arena_init(&scratch, question->alloc);
		status = lsm_view_make(&view, question, &question->tables[i], &nobody, &scratch, err);
		if (status == SV_OK)
			status = count_view(stats, &view, question->expired_before, &scratch, err);
		sv_arena_free(&scratch);
	}
	return status;
}

void
lsm_stats_free(LsmForestStats *stats)
{
	sv_arena_free(&stats->arena);
}
