/*
 * fdw_pattern.c
 *		See fdw_pattern.h.
 */
#include "postgres.h"

#include "fdw/fdw_pattern.h"

#include "server/pg_compat.h"

static Datum
make_bytes(const char *bytes, size_t len)
{
	struct varlena *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return PointerGetDatum(result);
}

Datum
fdw_pattern_prefix(Datum pattern, bool *exact)
{
	struct varlena *given = PG_DETOAST_DATUM_PACKED(pattern);
	const char *bytes = VARDATA_ANY(given);
	size_t		len = VARSIZE_ANY_EXHDR(given);
	char	   *prefix = palloc(len + 1);
	size_t		prefix_len = 0;
	size_t		i = 0;

	while (i < len && bytes[i] != '%' && bytes[i] != '_')
	{
		if (bytes[i] == '\\' && ++i == len)
			break;				/* an error, if the pattern is ever tried */
		prefix[prefix_len++] = bytes[i++];
	}
	if (exact != NULL)
	{
		*exact = i < len;
		for (; i < len; i++)
			*exact = *exact && bytes[i] == '%';
	}
	return make_bytes(prefix, prefix_len);
}

bool
fdw_pattern_after(Datum prefix, Datum *after)
{
	struct varlena *given = PG_DETOAST_DATUM_PACKED(prefix);
	const char *bytes = VARDATA_ANY(given);
	size_t		len = VARSIZE_ANY_EXHDR(given);
	struct varlena *result;

	while (len > 0 && (uint8) bytes[len - 1] == 0xFF)
		len--;
	if (len == 0)
		return false;
	*after = make_bytes(bytes, len);
	result = (struct varlena *) DatumGetPointer(*after);
	VARDATA(result)[len - 1]++;
	return true;
}
