/*
 * row_key_columns.c
 *		See row_key_columns.h.
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "forest/row_key_columns.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#define KEY_OPTION "key"

/* A table without the option may have its key in a column of this name. */
#define DEFAULT_KEY_COLUMN "key"

/* The attribute of that name, or 0. */
static AttrNumber
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute->attnum;
	}
	return InvalidAttrNumber;
}

static AttrNumber
key_column_of_name(Relation rel, const char *name)
{
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	attno = find_column(desc, name);

	if (attno == InvalidAttrNumber && SystemAttributeByName(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("system column \"%s\" cannot be a key column", name)));
	if (attno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" named in option \"%s\" of foreign table \"%s\" does not exist",
						name, KEY_OPTION, RelationGetRelationName(rel)),
				 errhint("Use ALTER FOREIGN TABLE ... OPTIONS (SET key ...).")));
	if (TupleDescAttr(desc, attno - 1)->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("generated column \"%s\" cannot be a key column", name)));
	return attno;
}

static List *
columns_of_option(Relation rel, const char *option)
{
	char	   *names_buffer = pstrdup(option);
	List	   *names;
	List	   *attnos = NIL;
	ListCell   *cell;

	if (!SplitIdentifierString(names_buffer, ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", KEY_OPTION, option),
				 errhint("The value is a list of column names, separated by commas.")));
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		AttrNumber	attno = key_column_of_name(rel, name);

		if (list_member_int(attnos, attno))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" is named twice in option \"%s\" of foreign table \"%s\"",
							name, KEY_OPTION, RelationGetRelationName(rel))));
		attnos = lappend_int(attnos, attno);
	}
	list_free(names);
	pfree(names_buffer);
	return attnos;
}

const char *
row_key_option(Oid relid)
{
	ListCell   *cell;

	foreach(cell, GetForeignTable(relid)->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, KEY_OPTION) == 0)
			return defGetString(option);
	}
	return NULL;
}

List *
row_key_columns(Relation rel)
{
	const char *option = row_key_option(RelationGetRelid(rel));

	if (option != NULL)
		return columns_of_option(rel, option);
	if (find_column(RelationGetDescr(rel), DEFAULT_KEY_COLUMN) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has no key", RelationGetRelationName(rel)),
				 errhint("Set the table option \"%s\" to the list of key columns.", KEY_OPTION)));
	return list_make1_int(key_column_of_name(rel, DEFAULT_KEY_COLUMN));
}

const char *
row_key_option_rename(const char *option, const char *old_name, const char *new_name)
{
	StringInfoData renamed;
	List	   *names;
	bool		found = false;
	ListCell   *cell;

	if (option == NULL)
		return strcmp(old_name, DEFAULT_KEY_COLUMN) == 0 ? quote_identifier(new_name) : NULL;
	if (!SplitIdentifierString(pstrdup(option), ',', &names))
		return NULL;
	initStringInfo(&renamed);
	foreach(cell, names)
	{
		const char *name = lfirst(cell);

		if (strcmp(name, old_name) == 0)
		{
			name = new_name;
			found = true;
		}
		appendStringInfo(&renamed, "%s%s", renamed.len > 0 ? ", " : "", quote_identifier(name));
	}
	return found ? renamed.data : NULL;
}
