/*
 * store_cut.h
 *		Cuts the bytes of an object, as they come, into ranges of
 *		DISK_RANGE_BYTES, for local copies of it.  Private to the store layer.
 *
 * A range is handed on when it is full, the last by store_cut_end; each is good until
 * write returns.
 */
#ifndef STORE_CUT_H
#define STORE_CUT_H

#include "base/sv_slice.h"

typedef struct StoreCutter
{
	void		(*write) (void *state, uint32_t number, SvSlice bytes);
	void	   *state;
	uint32_t	number;			/* of the range that is being filled */
	size_t		len;			/* of it, in bytes */
	uint8_t    *bytes;			/* a range; NULL: no memory, and nothing is handed on */
} StoreCutter;

extern StoreCutter store_cutter(void (*write) (void *state, uint32_t number, SvSlice bytes), void *state);
extern void store_cut(StoreCutter *cutter, SvSlice bytes);

/* Hands on what is left, and frees. */
extern void store_cut_end(StoreCutter *cutter);

#endif							/* STORE_CUT_H */
