/*
 * sst_keycode_build.h
 *		Making the key code of a set of keys: for sst_rmi_build.c.
 */
#ifndef SST_KEYCODE_BUILD_H
#define SST_KEYCODE_BUILD_H

#include "sst/sst_keycode.h"
#include "sst/sst_rmi_build.h"

/* Some of the keys of an index: first to first + count, at least one; all share their first `skip` bytes. */
typedef struct SstKeySet
{
	const SstRmiKeys *keys;
	uint32_t	first;
	uint32_t	count;
	uint32_t	skip;
} SstKeySet;

typedef enum SstKeyCodeKind
{
	SST_KEYCODE_BYTES,
	SST_KEYCODE_ALPHABET,
	SST_KEYCODE_ALPHABET_ENDS	/* with a digit of its own for the end of a key */
} SstKeyCodeKind;

#define SST_KEYCODE_KINDS	3

/*
 * Appends the key code of that kind to *out, padded to a multiple of 16 bytes.
 * An alphabet that promises no more than the bytes do, or would take more than
 * `room` bytes, is left out: then nothing is appended.
 */
extern SvStatus sst_keycode_build(const SstKeySet *set, SstKeyCodeKind kind, size_t room,
								  SvBuffer *out, SvError *err);

#endif							/* SST_KEYCODE_BUILD_H */
