/*
 * sv_sealed.h
 *		Text in lines with a last line that tells whether all of it is there.
 *
 * The seal is {"end":{"lines":N,"xxh3":"16 hex digits"}} and a newline: how
 * many lines come before it, and the XXH3-64 of their bytes.  It guards against
 * accidents, not against somebody who means harm.
 */
#ifndef SV_SEALED_H
#define SV_SEALED_H

#include <stdbool.h>

#include "base/sv_buffer.h"
#include "base/sv_slice.h"
#include "base/sv_status.h"

/* Appends the seal of what the buffer has, which ends with a newline or is empty. */
extern SvStatus sv_sealed_close(SvBuffer *text, SvError *err);

/* Sets *lines to the text before the seal.  SV_CORRUPT, naming `name`, if it is not what was sealed. */
extern SvStatus sv_sealed_open(SvSlice sealed, const char *name, SvSlice *lines, SvError *err);

/* Takes the next line, without its newline, off the front; false if there is none. */
extern bool sv_sealed_next(SvSlice *lines, SvSlice *line);

#endif							/* SV_SEALED_H */
