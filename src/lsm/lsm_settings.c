/*
 * lsm_settings.c
 *		What follows from the thresholds.
 */
#include "lsm/lsm_settings.h"

uint64_t
lsm_level_target(const LsmSettings *settings, int level)
{
	uint64_t	target = settings->level1_bytes;

	for (int i = 1; i < level; i++)
	{
		if (target > UINT64_MAX / (uint64_t) settings->ratio)
			return UINT64_MAX;
		target *= (uint64_t) settings->ratio;
	}
	return target;
}
