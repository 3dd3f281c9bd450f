/*
 * store_backoff.c
 *		Exponential, with jitter.
 */
#include "store/store_backoff.h"

#include <unistd.h>

#include "store/store_call.h"

/* xorshift64*: jitter need not be unpredictable, only different in each process and store. */
static uint64_t
next_random(uint64_t *random)
{
	if (*random == 0)
		*random = (store_now_us() * 2654435761u ^ (uint64_t) getpid() << 32 ^ (uintptr_t) random) | 1;
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return *random * UINT64_C(2685821657736338717);
}

uint64_t
store_backoff_us(int tries, int longest_ms, uint64_t *random)
{
	int			pause_ms = STORE_FIRST_PAUSE_MS;
	uint64_t	half_us;

	while (--tries > 0 && pause_ms < longest_ms)
		pause_ms *= 2;
	if (pause_ms > longest_ms)
		pause_ms = longest_ms;
	half_us = (uint64_t) pause_ms * 500;
	return half_us + next_random(random) % (half_us + 1);
}
