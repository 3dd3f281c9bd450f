/*
 * test_scratch.c
 *		Memory taken piece by piece, and kept.
 */
#include <stdint.h>
#include <string.h>

#include "base/sv_scratch.h"
#include "unit.h"

#define TAKES 300

/* Takes pieces of growing size and fills each: none may reach into another. */
static bool
fill(SvScratch *scratch, size_t step)
{
	unsigned char *taken[TAKES];
	bool		right = true;

	for (size_t i = 0; i < TAKES; i++)
	{
		taken[i] = sv_scratch_take(scratch, i * step);
		if (taken[i] == NULL || (uintptr_t) taken[i] % 16 != 0)
			return false;
		memset(taken[i], (int) i, i * step);
	}
	for (size_t i = 0; i < TAKES; i++)
		for (size_t at = 0; at < i * step; at++)
			right = right && taken[i][at] == (unsigned char) i;
	return right;
}

int
main(void)
{
	SvScratch	scratch = {0};
	void	   *first;

	CHECK(fill(&scratch, 1) && fill(&scratch, 1000), "what is taken is apart");
	sv_scratch_reset(&scratch, (size_t) 1 << 30);
	first = sv_scratch_take(&scratch, (size_t) 40 * 1024 * 1024);
	CHECK(first != NULL, "after a reset there is room for all that was taken, in one piece");
	memset(first, 1, (size_t) 40 * 1024 * 1024);
	sv_scratch_reset(&scratch, (size_t) 1 << 30);
	CHECK(sv_scratch_take(&scratch, 1000) == first, "one piece is kept");
	sv_scratch_reset(&scratch, 1000000);
	CHECK(scratch.newest == NULL, "but not if it is more than what is to be kept");
	CHECK(fill(&scratch, 10), "and can be used again");
	CHECK(sv_scratch_take(&scratch, SIZE_MAX) == NULL && sv_scratch_take(&scratch, SIZE_MAX / 2) == NULL,
		  "more than there can be");
	sv_scratch_free(&scratch);
	CHECK(scratch.newest == NULL, "freed");
	sv_scratch_reset(&scratch, 1000);
	CHECK(scratch.newest == NULL, "an empty one is reset");
	return unit_done();
}
