/*
 * sv_arena.h
 *		Memory that is released as a whole.
 *
 * For results that are many small pieces: arrays, copies of keys, names.  An
 * arena takes chunks from an SvAlloc; nothing taken from it is released by
 * itself.
 */
#ifndef SV_ARENA_H
#define SV_ARENA_H

#include "base/sv_alloc.h"
#include "base/sv_slice.h"

typedef struct SvArena
{
	const SvAlloc *alloc;
	struct SvArenaChunk *chunks;
	size_t		left;			/* in the newest chunk */
	size_t		held;			/* bytes taken from alloc */
} SvArena;

extern void sv_arena_init(SvArena *arena, const SvAlloc *alloc);
extern void sv_arena_free(SvArena *arena);

/* Zeroed, aligned for anything; NULL if there is no memory. */
extern void *sv_arena_take(SvArena *arena, size_t bytes);

/* False if there is no memory.  The copy of an empty slice has no data. */
extern bool sv_arena_copy(SvArena *arena, SvSlice from, SvSlice *copy);

/* NULL if there is no memory. */
extern char *sv_arena_string(SvArena *arena, const char *from);

#endif							/* SV_ARENA_H */
