/*
 * tail_arena.c
 *		Which pages of a piece of memory belong to whom.
 */
#include "cache/tail_arena.h"

size_t
tail_arena_bytes(uint32_t limit)
{
	return (limit + (size_t) 1) * sizeof(TailExtent);
}

/* The list is a ring through the extent `limit`, which begins where the pages end. */
void
tail_arena_init(TailArena *arena, void *memory, uint32_t limit, uint32_t pages)
{
	arena->pages = pages;
	arena->limit = limit;
	arena->extents = memory;
	arena->extents[limit] = (TailExtent) {.first = pages,.before = limit,.after = limit};
}

bool
tail_arena_place(TailArena *arena, uint32_t number, uint32_t pages)
{
	uint32_t	best = 0;
	uint32_t	best_pages = UINT32_MAX;
	uint32_t	at = arena->limit;
	TailExtent *extent = &arena->extents[number];

	do
	{
		uint32_t	gap;

		at = arena->extents[at].after;
		gap = arena->extents[at].first - tail_arena_gap_start(arena, at);
		if (gap >= pages && gap < best_pages)
		{
			best = at;
			best_pages = gap;
		}
	} while (at != arena->limit);
	if (best_pages == UINT32_MAX)
		return false;
	extent->first = tail_arena_gap_start(arena, best);
	extent->pages = pages;
	extent->after = best;
	extent->before = arena->extents[best].before;
	arena->extents[extent->before].after = number;
	arena->extents[best].before = number;
	return true;
}

void
tail_arena_remove(TailArena *arena, uint32_t number)
{
	const TailExtent *extent = &arena->extents[number];

	arena->extents[extent->before].after = extent->after;
	arena->extents[extent->after].before = extent->before;
}
