/*
 * value_form.c
 *		See value_form.h.
 */
#include "postgres.h"

#include "base/sv_coding.h"
#include "catalog/namespace.h"
#include "forest/value_form.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/xml.h"

void
value_form_init(ValueForm *form, Oid type, bool binary, MemoryContext context)
{
	Oid			output;
	Oid			input;
	bool		is_varlena;

	form->is_binary = binary;
	if (binary)
	{
		getTypeBinaryOutputInfo(type, &output, &is_varlena);
		getTypeBinaryInputInfo(type, &input, &form->ioparam);
	}
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		getTypeInputInfo(type, &input, &form->ioparam);
	}
	fmgr_info_cxt(output, &form->output, context);
	fmgr_info_cxt(input, &form->input, context);
}

static void
set_for_this_row(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/* What postgres_fdw sets for its remote session, and what else changes an output function. */
void
value_form_settings_begin(ValueFormSettings *settings)
{
	if (settings->nest_level != 0)
		return;
	settings->nest_level = NewGUCNestLevel();
	if (DateStyle != USE_ISO_DATES)
		set_for_this_row("datestyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		set_for_this_row("intervalstyle", "postgres");
	if (extra_float_digits < 3)
		set_for_this_row("extra_float_digits", "3");
	if (strcmp(pg_get_timezone_name(session_timezone), "UTC") != 0)
		set_for_this_row("timezone", "UTC");
	if (xmloption != XMLOPTION_CONTENT)
		set_for_this_row("xmloption", "content");
	if (strcmp(locale_monetary, "C") != 0)
		set_for_this_row("lc_monetary", "C");
	/* regclass and its kin are written with their schema */
	if (strcmp(namespace_search_path, "pg_catalog") != 0)
		set_for_this_row("search_path", "pg_catalog");
}

void
value_form_settings_end(ValueFormSettings *settings)
{
	if (settings->nest_level != 0)
		AtEOXact_GUC(true, settings->nest_level);
	settings->nest_level = 0;
}

void
value_append_bytes(StringInfo out, const void *data, size_t len)
{
	enlargeStringInfo(out, (int) len + SV_VARINT64_MAX_BYTES);
	out->len += (int) sv_varint_put((uint8 *) out->data + out->len, len);
	if (len > 0)
		memcpy(out->data + out->len, data, len);
	out->len += (int) len;
	out->data[out->len] = '\0';
}

/*
 * Send and receive functions convert text from and to the client's encoding;
 * stored bytes must not depend on it.
 */
static bytea *
send_in_server_encoding(ValueForm *form, Datum value)
{
	int			client = pg_get_client_encoding();
	bytea	   *volatile bytes = NULL;

	if (client == GetDatabaseEncoding())
		return SendFunctionCall(&form->output, value);
	PG_TRY();
	{
		SetClientEncoding(GetDatabaseEncoding());
		bytes = SendFunctionCall(&form->output, value);
	}
	PG_FINALLY();
	{
		SetClientEncoding(client);
	}
	PG_END_TRY();
	return bytes;
}

void
value_form_append(ValueForm *form, Datum value, ValueFormSettings *settings, StringInfo out)
{
	bytea	   *bytes;
	char	   *text;

	if (form->is_binary)
	{
		bytes = send_in_server_encoding(form, value);
		value_append_bytes(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
		pfree(bytes);
		return;
	}
	value_form_settings_begin(settings);
	text = OutputFunctionCall(&form->output, value);
	value_append_bytes(out, text, strlen(text));
	pfree(text);
}

/* The type modifier is not applied again: the datum had it when it was stored. */
static bool
call_input(ValueForm *form, StringInfo bytes, Datum *value)
{
	if (!form->is_binary)
	{
		*value = InputFunctionCall(&form->input, bytes->data, form->ioparam, -1);
		return true;
	}
	*value = ReceiveFunctionCall(&form->input, bytes, form->ioparam, -1);
	return bytes->cursor == bytes->len;
}

/*
 * Whether an error of an input function speaks about the bytes, and not about
 * the server: out of memory, cancelled, serialization failure and such go on.
 */
static bool
error_is_about_bytes(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
		case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
		case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
			return false;
		default:
			return true;
	}
}

/* An error is only replaced by the caller's: the transaction aborts in any case. */
static bool
input_guarded(ValueForm *form, StringInfo bytes, Datum *value)
{
	MemoryContext caller = CurrentMemoryContext;
	int			client = pg_get_client_encoding();
	volatile bool valid = false;

	PG_TRY();
	{
		if (form->is_binary && client != GetDatabaseEncoding())
			SetClientEncoding(GetDatabaseEncoding());
		valid = call_input(form, bytes, value);
		if (client != pg_get_client_encoding())
			SetClientEncoding(client);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (client != pg_get_client_encoding())
			SetClientEncoding(client);
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (!error_is_about_bytes(error->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
		valid = false;
	}
	PG_END_TRY();
	return valid;
}

bool
value_form_read(ValueForm *form, SvSlice bytes, ValueFormSettings *settings, Datum *value)
{
	StringInfoData copy;
	bool		valid;

	if (!form->is_binary)
		value_form_settings_begin(settings);

	/* a copy, since receive functions may write into what they read */
	initStringInfo(&copy);
	appendBinaryStringInfo(&copy, (const char *) bytes.data, (int) bytes.len);
	valid = input_guarded(form, &copy, value);
	pfree(copy.data);
	return valid;
}
