/*
 * sv_scratch.c
 *		See sv_scratch.h.
 */
#include "base/sv_scratch.h"

#include <stdint.h>
#include <stdlib.h>

#define ALIGNMENT		16
#define FIRST_BYTES		((size_t) 64 * 1024)

typedef struct SvScratchPiece
{
	struct SvScratchPiece *older;
	size_t		bytes;
	_Alignas(ALIGNMENT) unsigned char memory[];
} SvScratchPiece;

static SvScratchPiece *
add_piece(SvScratch *scratch, size_t bytes)
{
	size_t		size = scratch->wanted > FIRST_BYTES ? scratch->wanted : FIRST_BYTES;
	SvScratchPiece *piece;

	if (size < bytes)
		size = bytes;
	if (size > SIZE_MAX / 4)
		return NULL;
	piece = malloc(sizeof(SvScratchPiece) + size);
	if (piece == NULL)
		return NULL;
	piece->older = scratch->newest;
	piece->bytes = size;
	scratch->newest = piece;
	scratch->used = 0;
	scratch->wanted = size * 2;
	return piece;
}

void *
sv_scratch_take(SvScratch *scratch, size_t bytes)
{
	SvScratchPiece *piece = scratch->newest;
	size_t		rounded = (bytes + ALIGNMENT - 1) & ~(size_t) (ALIGNMENT - 1);
	void	   *taken;

	if (rounded < bytes)
		return NULL;
	if (piece == NULL || rounded > piece->bytes - scratch->used)
		piece = add_piece(scratch, rounded);
	if (piece == NULL)
		return NULL;
	taken = piece->memory + scratch->used;
	scratch->used += rounded;
	return taken;
}

void
sv_scratch_reset(SvScratch *scratch, size_t kept_bytes)
{
	size_t		total = 0;

	for (const SvScratchPiece *piece = scratch->newest; piece != NULL; piece = piece->older)
		total += piece->bytes;
	if (scratch->newest == NULL || scratch->newest->bytes != total || total > kept_bytes)
	{
		sv_scratch_free(scratch);
		scratch->wanted = total < kept_bytes ? total : kept_bytes;
	}
	scratch->used = 0;
}

void
sv_scratch_free(SvScratch *scratch)
{
	while (scratch->newest != NULL)
	{
		SvScratchPiece *piece = scratch->newest;

		scratch->newest = piece->older;
		free(piece);
	}
	scratch->used = 0;
	scratch->wanted = 0;
}
