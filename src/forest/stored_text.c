/*
 * stored_text.c
 *		See stored_text.h.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "forest/stored_text.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

bool
stored_text_is_valid(SvSlice bytes)
{
	return bytes.len == 0 ||
		pg_verify_mbstr(GetDatabaseEncoding(), (const char *) bytes.data, (int) bytes.len, true);
}

char *
stored_enum_label(Oid value)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));
	char	   *label;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", value)));
	label = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	return label;
}

Oid
stored_enum_of_label(Oid enum_type, const char *label)
{
	HeapTuple	tuple = NULL;
	Oid			value;

	if (strlen(label) < NAMEDATALEN)
		tuple = SearchSysCache2(ENUMTYPOIDNAME, ObjectIdGetDatum(enum_type),
								CStringGetDatum(label));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("a stored label is not in enum type %s", format_type_be(enum_type)),
				 errdetail("Enum values are stored by their label."),
				 errhint("If a label was renamed, rename it back with ALTER TYPE ... RENAME VALUE "
						 "until the rows that hold it have been written again.")));
	value = ((Form_pg_enum) GETSTRUCT(tuple))->oid;
	ReleaseSysCache(tuple);
	return value;
}
