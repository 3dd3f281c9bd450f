/*
 * object_name.c
 *		Names of new objects.
 */
#include "postgres.h"

#include "forest/object_name.h"

#include <inttypes.h>

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static char *
new_name(const ForestVault *vault, char writer_kind, uint64 writer, const char *suffix)
{
	static uint64 process_random = 0;
	static uint32 counter = 0;
	char	   *uuid = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&vault->uuid)));

	if (process_random == 0 && !pg_strong_random(&process_random, sizeof(process_random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	return psprintf("%s/" INT64_FORMAT "/%016" PRIx64 "/%u-%c" UINT64_FORMAT ".%s",
					uuid, vault->epoch, process_random, ++counter, writer_kind, writer, suffix);
}

char *
object_name_of_job(const ForestVault *vault, int64 job_id, const char *suffix)
{
	return new_name(vault, 'j', (uint64) job_id, suffix);
}

char *
object_name_of_transaction(const ForestVault *vault, FullTransactionId xid, const char *suffix)
{
	return new_name(vault, 'x', U64FromFullTransactionId(xid), suffix);
}
