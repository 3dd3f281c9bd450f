/*
 * sv_scratch.h
 *		Memory that is taken in pieces and given back all at once, and kept for
 *		the next time.
 *
 * For work that is done over and over and needs some large arrays each time:
 * to ask malloc for them would mean pages that the system takes away and hands
 * out again, empty, which costs more than what is done with them.
 *
 * A scratch of zeroes is empty.
 */
#ifndef SV_SCRATCH_H
#define SV_SCRATCH_H

#include <stddef.h>

typedef struct SvScratch
{
	struct SvScratchPiece *newest;	/* what is taken comes from here */
	size_t		used;			/* of it */
	size_t		wanted;			/* size of the next piece, at least */
} SvScratch;

/* Good until the next reset, aligned for anything; NULL: there is no memory. */
extern void *sv_scratch_take(SvScratch *scratch, size_t bytes);

/* All that was taken is void.  Keeps its memory, in one piece, unless it is more than so many bytes. */
extern void sv_scratch_reset(SvScratch *scratch, size_t kept_bytes);

/* Empties it. */
extern void sv_scratch_free(SvScratch *scratch);

#endif							/* SV_SCRATCH_H */
