/*
 * stored_text.h
 *		Text and enum labels as they are stored, in the server's encoding.
 */
#ifndef STORED_TEXT_H
#define STORED_TEXT_H

#include "postgres.h"

#include "base/sv_slice.h"

/* Whether the bytes are text in the server's encoding, without zero bytes. */
extern bool stored_text_is_valid(SvSlice bytes);

/* The label of an enum value, palloc'd. */
extern char *stored_enum_label(Oid value);

/*
 * The enum value of a label.  Raises 42804 if there is none, because it was
 * renamed; the message does not show the label, which is data.
 */
extern Oid	stored_enum_of_label(Oid enum_type, const char *label);

#endif							/* STORED_TEXT_H */
