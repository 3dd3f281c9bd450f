/*
 * fdw_join_table.c
 *		See fdw_join_table.h.
 */
#include "postgres.h"

#include "fdw/fdw_join_table.h"

#include "access/htup_details.h"
#include "access/tupconvert.h"
#include "executor/executor.h"
#include "forest/forest_table.h"

static AttrNumber
own_attno(const FdwJoinTable *table, AttrNumber attno)
{
	return table->map == NULL ? attno : table->map->attnums[attno - 1];
}

void
fdw_join_table_init(FdwJoinTable *table, Relation relation, Relation joined, const List *needed,
					Snapshot snapshot)
{
	List	   *decoded = NIL;
	ListCell   *cell;

	memset(table, 0, sizeof(FdwJoinTable));
	table->relation = relation;
	table->table = *forest_table_seen(forest_table_for_read(RelationGetRelid(relation)), snapshot);
	if (relation != joined)
	{
		TupleConversionMap *conversion = convert_tuples_by_name(RelationGetDescr(relation), RelationGetDescr(joined));

		table->map = conversion == NULL ? NULL : conversion->attrMap;
	}
	table->natts = RelationGetDescr(relation)->natts;
	table->values = palloc0(sizeof(Datum) * table->natts);
	table->isnull = palloc0(sizeof(bool) * table->natts);
	foreach(cell, needed)
	{
		AttrNumber	attno = lfirst_int(cell);

		if (attno >= 0)
			decoded = lappend_int(decoded, attno == 0 ? 0 : own_attno(table, attno));
	}
	fdw_rows_init(&table->rows, row_shape(relation), decoded);
}

static Datum
whole_row(const FdwJoinTable *table, Relation joined)
{
	TupleDesc	desc = RelationGetDescr(joined);
	Datum	   *values = table->values;
	bool	   *isnull = table->isnull;

	if (table->map != NULL)
	{
		values = palloc0(sizeof(Datum) * desc->natts);
		isnull = palloc(sizeof(bool) * desc->natts);
		for (int i = 0; i < desc->natts; i++)
		{
			AttrNumber	own = table->map->attnums[i];

			isnull[i] = own == 0 || table->isnull[own - 1];
			values[i] = own == 0 ? (Datum) 0 : table->values[own - 1];
		}
	}
	return heap_copy_tuple_as_datum(heap_form_tuple(desc, values, isnull), desc);
}

void
fdw_join_table_load(FdwJoinTable *table, Relation joined, SvSlice key, SvSlice value,
					const FdwJoinColumn *columns, int n, Datum *values, bool *isnull)
{
	fdw_rows_decode(&table->rows, key, value, table->natts, table->values, table->isnull);
	for (int i = 0; i < n; i++)
	{
		int			place = columns[i].place;
		AttrNumber	attno = columns[i].attno;

		isnull[place] = false;
		if (attno > 0)
		{
			attno = own_attno(table, attno);
			isnull[place] = table->isnull[attno - 1];
			values[place] = table->values[attno - 1];
		}
		else
			values[place] = attno == 0 ? whole_row(table, joined) :
				ObjectIdGetDatum(RelationGetRelid(table->relation));
	}
}
