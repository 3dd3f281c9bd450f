/*
 * lsm_view.c
 *		A table's live parts, sorted, with their sizes and who has claimed them.
 */
#include "lsm/lsm_view.h"

#include <stdlib.h>

static int
compare_ids(const void *a, const void *b)
{
	int64_t		ida = *(const int64_t *) a;
	int64_t		idb = *(const int64_t *) b;

	return (ida > idb) - (ida < idb);
}

SvStatus
lsm_busy_collect(LsmBusy *busy, const LsmQuestion *question, SvArena *arena, SvError *err)
{
	size_t		n = 0;

	for (int i = 0; i < question->nclaims; i++)
		n += (size_t) question->claims[i].nruns;
	busy->n = 0;
	busy->run_ids = sv_arena_take(arena, sizeof(int64_t) * (n + 1));
	if (busy->run_ids == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: %zu claimed runs", n);
	for (int i = 0; i < question->nclaims; i++)
		for (int j = 0; j < question->claims[i].nruns; j++)
			busy->run_ids[busy->n++] = question->claims[i].run_ids[j];
	qsort(busy->run_ids, n, sizeof(int64_t), compare_ids);
	return SV_OK;
}

bool
lsm_is_busy(const LsmBusy *busy, int64_t run_id)
{
	return busy->n > 0 &&
		bsearch(&run_id, busy->run_ids, (size_t) busy->n, sizeof(int64_t), compare_ids) != NULL;
}

const LsmTable *
lsm_find_table(const LsmQuestion *question, int32_t table_id)
{
	int			low = 0;
	int			high = question->ntables;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (question->tables[middle].id == table_id)
			return &question->tables[middle];
		if (question->tables[middle].id < table_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool
lsm_part_is_dead(const LsmQuestion *question, const LsmRun *run, const LsmPart *part)
{
	const LsmFloor *floor = lsm_forest_floor(question->forest, part->table_id);

	return (floor != NULL && run->seq_hi <= floor->floor_seq) ||
		lsm_find_table(question, part->table_id) == NULL;
}

bool
lsm_item_before(const LsmItem *a, const LsmItem *b)
{
	if (a->run->level != b->run->level)
		return a->run->level < b->run->level;
	return a->run->level == 0 && a->run->seq_lo > b->run->seq_hi;
}

bool
lsm_parts_overlap(const LsmPart *a, const LsmPart *b)
{
	return sv_slice_compare(a->min_key, b->max_key) <= 0 &&
		sv_slice_compare(b->min_key, a->max_key) <= 0;
}

bool
lsm_range_overlaps(const LsmRange *range, const LsmPart *part)
{
	return sv_slice_compare(range->low, part->max_key) <= 0 &&
		sv_slice_compare(part->min_key, range->high) <= 0;
}

static int
compare_items(const void *a, const void *b)
{
	const LsmItem *ia = a;
	const LsmItem *ib = b;

	if (ia->run->level != ib->run->level)
		return ia->run->level < ib->run->level ? -1 : 1;
	if (ia->run->level == 0 && ia->run->seq_hi != ib->run->seq_hi)
		return ia->run->seq_hi > ib->run->seq_hi ? -1 : 1;
	return sv_slice_compare(ia->part->min_key, ib->part->min_key);
}

/* Of a WAL run the part's share, by bytes before compression. */
static uint64_t
part_bytes(const LsmRun *run, const LsmPart *part)
{
	double		all = 0;

	if (run->nparts == 1)
		return run->file_bytes;
	for (int i = 0; i < run->nparts; i++)
		all += (double) run->parts[i].raw_bytes + 1;
	return (uint64_t) ((double) run->file_bytes * (((double) part->raw_bytes + 1) / all));
}

SvStatus
lsm_view_make(LsmView *view, const LsmQuestion *question, const LsmTable *table,
			  const LsmBusy *busy, SvArena *arena, SvError *err)
{
	int			n;
	const LsmSourceRun *sources = lsm_forest_sources(question->forest, table->id, &n);
	const LsmFloor *floor = lsm_forest_floor(question->forest, table->id);

	view->table_id = table->id;
	view->settings = table->settings;
	view->floor_seq = floor == NULL ? 0 : floor->floor_seq;
	view->nitems = n;
	view->items = sv_arena_take(arena, sizeof(LsmItem) * (size_t) (n + 1));
	if (view->items == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: %d runs of a table", n);
	for (int i = 0; i < n; i++)
		view->items[i] = (LsmItem) {
		.run = sources[i].run,.part = sources[i].part,
			.bytes = part_bytes(sources[i].run, sources[i].part),
			.busy = lsm_is_busy(busy, sources[i].run->id)
	};
	qsort(view->items, (size_t) n, sizeof(LsmItem), compare_items);
	return SV_OK;
}

/* How many items are above the level. */
static int
items_above(const LsmView *view, int level)
{
	int			low = 0;
	int			high = view->nitems;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (view->items[middle].run->level < level)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int
lsm_view_level(const LsmView *view, int level, int *first)
{
	*first = items_above(view, level);
	return items_above(view, level + 1) - *first;
}

int
lsm_view_deepest(const LsmView *view)
{
	return view->nitems == 0 ? 0 : view->items[view->nitems - 1].run->level;
}

int
lsm_view_seek(const LsmView *view, int level, SvSlice key, int *end)
{
	int			low;
	int			high = lsm_view_level(view, level, &low) + low;

	*end = high;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (sv_slice_compare(view->items[middle].part->max_key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
has_older_in_level0(const LsmView *view, const LsmItem *item)
{
	int			first;
	int			n = lsm_view_level(view, 0, &first);

	for (int i = first; i < first + n; i++)
	{
		if (lsm_item_before(item, &view->items[i]) &&
			lsm_parts_overlap(item->part, view->items[i].part))
			return true;
	}
	return false;
}

bool
lsm_view_has_older(const LsmView *view, const LsmItem *item)
{
	int			deepest = lsm_view_deepest(view);

	if (item->run->level == 0 && has_older_in_level0(view, item))
		return true;
	for (int level = item->run->level + 1; level <= deepest; level++)
	{
		int			end;
		int			i = lsm_view_seek(view, level, item->part->min_key, &end);

		if (i < end && sv_slice_compare(view->items[i].part->min_key, item->part->max_key) <= 0)
			return true;
	}
	return false;
}

double
lsm_item_garbage(const LsmView *view, const LsmItem *item, int64_t expired_before)
{
	uint64_t	garbage = lsm_part_expired(item->part, expired_before);

	if (item->part->tombstones > 0 && !lsm_view_has_older(view, item))
		garbage += item->part->tombstones;
	return item->part->entries == 0 ? 0 : (double) garbage / (double) item->part->entries;
}

bool
lsm_target_is_claimed(const LsmQuestion *question, int32_t table_id, int level,
					  const LsmRange *range)
{
	for (int i = 0; i < question->nclaims; i++)
	{
		for (int j = 0; j < question->claims[i].ntargets; j++)
		{
			const LsmTarget *target = &question->claims[i].targets[j];

			if (target->table_id == table_id && target->level == level &&
				sv_slice_compare(target->range.low, range->high) <= 0 &&
				sv_slice_compare(range->low, target->range.high) <= 0)
				return true;
		}
	}
	return false;
}
