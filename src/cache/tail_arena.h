/*
 * tail_arena.h
 *		Which pages of a piece of memory belong to whom.
 *
 * Extents of pages in a list by address, each with a number that its owner
 * chose; what lies between two is free.  So there is nothing to merge, and
 * finding room means walking a list, which is short beside reading a tail.
 * Whoever owns the memory, as the tail cache, has a lock for it.
 */
#ifndef TAIL_ARENA_H
#define TAIL_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TailExtent
{
	uint32_t	first;
	uint32_t	pages;
	uint32_t	before;
	uint32_t	after;
} TailExtent;

typedef struct TailArena
{
	uint32_t	pages;
	uint32_t	limit;			/* numbers are below; this one stands before and after all pages */
	TailExtent *extents;
} TailArena;

/* Memory for extents 0 to limit - 1. */
extern size_t tail_arena_bytes(uint32_t limit);
extern void tail_arena_init(TailArena *arena, void *memory, uint32_t limit, uint32_t pages);

/* Gives extent `number` pages where it leaves the least over; false if there is no such room. */
extern bool tail_arena_place(TailArena *arena, uint32_t number, uint32_t pages);
extern void tail_arena_remove(TailArena *arena, uint32_t number);

/* The free pages before extent `number`, or before the end if it is limit, begin here. */
static inline uint32_t
tail_arena_gap_start(const TailArena *arena, uint32_t number)
{
	const TailExtent *before = &arena->extents[arena->extents[number].before];

	return arena->extents[number].before == arena->limit ? 0 : before->first + before->pages;
}

#endif							/* TAIL_ARENA_H */
