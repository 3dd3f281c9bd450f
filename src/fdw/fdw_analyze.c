/*
 * fdw_analyze.c
 *		See fdw_analyze.h.
 */
#include "postgres.h"

#include "fdw/fdw_analyze.h"

#include "access/htup_details.h"
#include "forest/forest_estimate.h"
#include "forest/forest_sample.h"
#include "forest/row_decode.h"
#include "forest/row_shape.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Tuples of the sampled rows, in CurrentMemoryContext. */
static void
make_tuples(Relation relation, const ForestSample *sample, HeapTuple *tuples)
{
	TupleDesc	desc = RelationGetDescr(relation);
	const RowShape *shape = row_shape(relation);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *isnull = palloc(sizeof(bool) * desc->natts);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "skyvault sampled row",
													  ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < sample->n; i++)
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		old = MemoryContextSwitchTo(row_context);
		row_decode(shape, sample->rows[i].key, sample->rows[i].value, NULL, values, isnull);
		MemoryContextSwitchTo(old);
		tuples[i] = heap_form_tuple(desc, values, isnull);
	}
	MemoryContextDelete(row_context);
}

static int
acquire_rows(Relation relation, int elevel, HeapTuple *tuples, int wanted, double *live_rows,
			 double *dead_rows)
{
	const ForestTable *table = forest_table_seen(forest_table_for_read(RelationGetRelid(relation)),
												 GetActiveSnapshot());
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(outer, "skyvault sample", ALLOCSET_DEFAULT_SIZES);
	ForestSample sample;

	MemoryContextSwitchTo(context);
	forest_sample(table, GetActiveSnapshot(), wanted, &sample);
	MemoryContextSwitchTo(outer);
	make_tuples(relation, &sample, tuples);
	MemoryContextDelete(context);

	*live_rows = sample.live_rows;
	*dead_rows = sample.dead_rows;
	ereport(elevel,
			(errmsg("\"%s\": %d rows in sample, %.0f estimated total rows",
					RelationGetRelationName(relation), sample.n, sample.live_rows),
			 sample.blocks == 0 ? errdetail("The table was read as a whole.") :
			 errdetail("%u blocks of %u runs were looked at; about %.0f entries of the runs are outdated.",
					   sample.blocks, sample.runs, sample.dead_rows)));
	return sample.n;
}

bool
fdw_analyze_table(Relation relation, AcquireSampleRowsFunc *acquire, BlockNumber *pages)
{
	ForestEstimate estimate;

	forest_estimate(forest_table_for_read(RelationGetRelid(relation)), GetActiveSnapshot(), &estimate);
	*acquire = acquire_rows;
	*pages = forest_estimate_pages(&estimate);
	return true;
}
