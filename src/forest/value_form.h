/*
 * value_form.h
 *		Datums through their type's input and output functions, so that the
 *		stored bytes do not depend on the session's settings.
 *
 * The binary form is that of the send and receive functions, run with the
 * client's encoding set to the server's.  The text form is that of the output
 * and input functions, run under fixed settings.
 */
#ifndef VALUE_FORM_H
#define VALUE_FORM_H

#include "postgres.h"

#include "base/sv_slice.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

typedef struct ValueForm
{
	bool		is_binary;
	Oid			ioparam;
	FmgrInfo	output;			/* send or output function */
	FmgrInfo	input;			/* receive or input function */
} ValueForm;

/*
 * The settings that text forms are made and read under.  Zero-initialize;
 * value_form_append and _read begin them when they need to, value_form_settings_begin
 * does in any case.  value_form_settings_end puts back what was changed, an error does so too.
 */
typedef struct ValueFormSettings
{
	int			nest_level;		/* 0 until the first text form */
} ValueFormSettings;

/* Looks the functions up; they keep their own caches in `context`. */
extern void value_form_init(ValueForm *form, Oid type, bool binary, MemoryContext context);

/* Appends varint length and bytes. */
extern void value_form_append(ValueForm *form, Datum value, ValueFormSettings *settings,
							  StringInfo out);

/*
 * False if the input function refuses the bytes; what it said is dropped, it may show data.  The
 * bytes of a text form must be text in the server's encoding.
 */
extern bool value_form_read(ValueForm *form, SvSlice bytes, ValueFormSettings *settings,
							Datum *value);

extern void value_form_settings_begin(ValueFormSettings *settings);
extern void value_form_settings_end(ValueFormSettings *settings);

/* Appends varint length and bytes. */
extern void value_append_bytes(StringInfo out, const void *data, size_t len);

#endif							/* VALUE_FORM_H */
