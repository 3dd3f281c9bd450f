/*
 * store_backoff.h
 *		How long to wait before a request is made again.  Private to the store
 *		layer.
 */
#ifndef STORE_BACKOFF_H
#define STORE_BACKOFF_H

#include <stdint.h>

/* Of the first pause; doubled with each try that fails, up to the caller's longest. */
#define STORE_FIRST_PAUSE_MS 50

/*
 * Microseconds to wait after so many tries have failed (0 is as 1): somewhere
 * between half and all of the pause, so that those who were refused at once do not
 * come back at once.  *random is the caller's to keep, 0 at first.
 */
extern uint64_t store_backoff_us(int tries, int longest_ms, uint64_t *random);

#endif							/* STORE_BACKOFF_H */
