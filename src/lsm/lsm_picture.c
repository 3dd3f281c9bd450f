/*
 * lsm_picture.c
 *		A table's tree as text.
 *
 * The first and last keys of all runs, sorted, are the scale: the column of a
 * key is its rank among them.  So runs beside each other are beside each other
 * in the picture, whatever their keys are.
 */
#include "lsm/lsm_picture.h"

#include <stdio.h>
#include <stdlib.h>

#include "lsm/lsm_view.h"

#define COLUMNS 48

/* So many runs of level 0 have lines of their own. */
#define MAX_LINES 30

typedef struct Picture
{
	const LsmView *view;
	SvBuffer   *text;
	int			nkeys;
	SvSlice    *keys;
} Picture;

static int
compare_keys(const void *a, const void *b)
{
	return sv_slice_compare(*(const SvSlice *) a, *(const SvSlice *) b);
}

static int
column_of(const Picture *picture, SvSlice key)
{
	const SvSlice *found = bsearch(&key, picture->keys, (size_t) picture->nkeys, sizeof(SvSlice),
								   compare_keys);

	return (int) ((found - picture->keys) * (COLUMNS - 1) /
				  (picture->nkeys > 1 ? picture->nkeys - 1 : 1));
}

static SvStatus
make_scale(Picture *picture, SvArena *scratch, SvError *err)
{
	const LsmView *view = picture->view;
	int			n = 0;

	picture->keys = sv_arena_take(scratch, 2 * sizeof(SvSlice) * (size_t) (view->nitems + 1));
	if (picture->keys == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a picture of %d runs", view->nitems);
	for (int i = 0; i < view->nitems; i++)
	{
		picture->keys[n++] = view->items[i].part->min_key;
		picture->keys[n++] = view->items[i].part->max_key;
	}
	qsort(picture->keys, (size_t) n, sizeof(SvSlice), compare_keys);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || !sv_slice_equal(picture->keys[i], picture->keys[picture->nkeys - 1]))
			picture->keys[picture->nkeys++] = picture->keys[i];
	}
	return SV_OK;
}

static void
draw(const Picture *picture, const LsmPart *part, char *line)
{
	int			left = column_of(picture, part->min_key);
	int			right = column_of(picture, part->max_key);

	for (int c = left; c <= right; c++)
		line[c] = '=';
	line[left] = '[';
	line[right] = left == right ? '|' : ']';
}

/* 1 to 4 digits and a unit. */
static void
print_bytes(char *to, size_t room, uint64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	int			unit = 0;

	while (bytes >= 10240 && unit < 6)
	{
		bytes = (bytes + 512) / 1024;
		unit++;
	}
	snprintf(to, room, "%llu %s", (unsigned long long) bytes, units[unit]);
}

/* One line: items[0 .. n - 1], which are disjoint. */
static SvStatus
add_line(Picture *picture, const char *name, const LsmItem *items, int n, SvError *err)
{
	char		line[COLUMNS + 1];
	char		size[32];
	char		text[200];
	uint64_t	bytes = 0;
	uint64_t	entries = 0;
	uint64_t	tombstones = 0;
	int			len;

	memset(line, ' ', COLUMNS);
	line[COLUMNS] = '\0';
	for (int i = 0; i < n; i++)
	{
		draw(picture, items[i].part, line);
		bytes += items[i].bytes;
		entries += items[i].part->entries;
		tombstones += items[i].part->tombstones;
	}
	print_bytes(size, sizeof(size), bytes);
	len = snprintf(text, sizeof(text), "%-10s %s %5d run%s %8s %12llu entries %10llu tombstones\n",
				   name, line, n, n == 1 ? " " : "s", size, (unsigned long long) entries,
				   (unsigned long long) tombstones);
	return sv_buffer_append(picture->text, text, (size_t) len, err);
}

static SvStatus
add_level0(Picture *picture, SvError *err)
{
	int			first;
	int			n = lsm_view_level(picture->view, 0, &first);
	SvStatus	status = SV_OK;
	char		more[64];

	for (int i = 0; i < n && i < MAX_LINES && status == SV_OK; i++)
	{
		const LsmItem *item = &picture->view->items[first + i];

		status = add_line(picture, item->run->tier == LSM_WAL ? "WAL" : "buffer", item, 1, err);
	}
	if (n <= MAX_LINES || status != SV_OK)
		return status;
	return sv_buffer_append(picture->text, more,
							(size_t) snprintf(more, sizeof(more), "... and %d older runs of level 0\n",
											  n - MAX_LINES), err);
}

static SvStatus
draw_view(const LsmView *view, SvBuffer *text, SvArena *scratch, SvError *err)
{
	Picture		picture = {.view = view,.text = text};
	SvStatus	status = make_scale(&picture, scratch, err);

	if (status == SV_OK)
		status = add_level0(&picture, err);
	for (int level = 1; level <= lsm_view_deepest(view) && status == SV_OK; level++)
	{
		char		name[24];
		int			first;
		int			n = lsm_view_level(view, level, &first);

		snprintf(name, sizeof(name), "level %d", level);
		if (n > 0)
			status = add_line(&picture, name, &view->items[first], n, err);
	}
	return status;
}

SvStatus
lsm_tree_picture(const LsmQuestion *question, int32_t table_id, SvBuffer *text, SvError *err)
{
	static const LsmBusy nobody = {0};
	const LsmTable *table = lsm_find_table(question, table_id);
	LsmView		view;
	SvArena		scratch;
	SvStatus	status;

	if (table == NULL)
		return SV_OK;
	sv_arena_init(&scratch, question->alloc);
	status = lsm_view_make(&view, question, table, &nobody, &scratch, err);
	if (status == SV_OK)
		status = draw_view(&view, text, &scratch, err);
	sv_arena_free(&scratch);
	return status;
}
