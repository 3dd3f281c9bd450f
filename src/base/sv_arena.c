/*
 * sv_arena.c
 *		Chunks in a list, handed out from front to back.
 */
#include "base/sv_arena.h"

#include <stdalign.h>
#include <string.h>

#define CHUNK_BYTES 8192

typedef struct SvArenaChunk
{
	struct SvArenaChunk *next;
	size_t		bytes;
	alignas(16) uint8_t data[];
} SvArenaChunk;

void
sv_arena_init(SvArena *arena, const SvAlloc *alloc)
{
	*arena = (SvArena) {.alloc = alloc};
}

void
sv_arena_free(SvArena *arena)
{
	while (arena->chunks != NULL)
	{
		SvArenaChunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		sv_release(arena->alloc, chunk);
	}
	arena->left = 0;
	arena->held = 0;
}

/* Pieces larger than half a chunk have one of their own, behind the one being handed out. */
static SvArenaChunk *
add_chunk(SvArena *arena, size_t bytes)
{
	bool		own = bytes > CHUNK_BYTES / 2;
	size_t		room = own ? bytes : CHUNK_BYTES;
	SvArenaChunk *chunk = sv_allocate(arena->alloc, sizeof(SvArenaChunk) + room);

	if (chunk == NULL)
		return NULL;
	chunk->bytes = room;
	arena->held += sizeof(SvArenaChunk) + room;
	if (own && arena->chunks != NULL)
	{
		chunk->next = arena->chunks->next;
		arena->chunks->next = chunk;
		return chunk;
	}
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->left = own ? 0 : room - bytes;
	return chunk;
}

void *
sv_arena_take(SvArena *arena, size_t bytes)
{
	size_t		rounded = (bytes + 15) & ~(size_t) 15;
	void	   *taken;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	if (arena->chunks != NULL && rounded <= arena->left)
	{
		taken = arena->chunks->data + arena->chunks->bytes - arena->left;
		arena->left -= rounded;
	}
	else
	{
		SvArenaChunk *chunk = add_chunk(arena, rounded);

		if (chunk == NULL)
			return NULL;
		taken = chunk->data;
	}
	memset(taken, 0, rounded);
	return taken;
}

bool
sv_arena_copy(SvArena *arena, SvSlice from, SvSlice *copy)
{
	uint8_t    *data;

	*copy = sv_slice(NULL, 0);
	if (from.len == 0)
		return true;
	data = sv_arena_take(arena, from.len);
	if (data == NULL)
		return false;
	memcpy(data, from.data, from.len);
	*copy = sv_slice(data, from.len);
	return true;
}

char *
sv_arena_string(SvArena *arena, const char *from)
{
	size_t		bytes = strlen(from) + 1;
	char	   *copy = sv_arena_take(arena, bytes);

	return copy == NULL ? NULL : memcpy(copy, from, bytes);
}
