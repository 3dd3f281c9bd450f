/*
 * worker_prepared.c
 *		Prepared transactions that may have changed the forest.
 */
#include "postgres.h"

#include "worker/worker_prepared.h"

#include "executor/spi.h"
#include "forest/forest_shmem.h"
#include "utils/memutils.h"
#include "worker/worker_transaction.h"

/*
 * A transaction is in this list before its PREPARE raises the flag, and until
 * its end is visible to others.
 */
static bool
is_left(void)
{
	bool		found = false;

	if (SPI_execute("SELECT dbid FROM pg_catalog.pg_prepared_xact() AS p", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list prepared transactions");
	for (uint64 i = 0; i < SPI_processed && !found; i++)
	{
		bool		isnull;

		found = forest_changes_shared_with(DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
																		  SPI_tuptable->tupdesc, 1, &isnull)));
	}
	return found;
}

void
worker_prepared_check(void)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		mark = forest_changes_prepared_mark();

	if (mark == 0)
		return;
	worker_transaction_begin();
	SPI_connect();
	if (!is_left())
		forest_changes_clear_prepared(mark);
	SPI_finish();
	worker_transaction_commit();
	MemoryContextSwitchTo(context);
}
