/*
 * load_wire.c
 *		See load_wire.h.
 *
 * To the layers below, what was built is the result of a compaction whose merges
 * are the stretches.
 */
#include "postgres.h"

#include "worker/load_wire.h"

#include "lsm/lsm_wire.h"
#include "server/pg_status.h"
#include "utils/memutils.h"

void
load_wire_put_built(SvBuffer *to, const LoadBuilt *built)
{
	LsmResult	result = {
		.noutputs = built->nruns,
		.counts = {
			.entries_in = built->given,.entries_out = built->entries,.bytes_in = built->raw_bytes,
			.bytes_out = built->file_bytes
		}
	};
	SvError		err;

	result.outputs = palloc0(Max(built->nruns, 1) * sizeof(LsmOutput));
	for (int i = 0; i < built->nruns; i++)
	{
		LoadRun    *run = &built->runs[i];

		result.outputs[i].merge = run->stretch;
		result.outputs[i].run.tier = LSM_BUFFER;
		result.outputs[i].run.object = run->object;
		result.outputs[i].run.file_bytes = run->file_bytes;
		result.outputs[i].run.tail_bytes = run->tail_bytes;
		result.outputs[i].run.nparts = 1;
		result.outputs[i].run.parts = &run->part;
	}
	PG_STATUS_CHECK(lsm_wire_put_result(to, &result, &err), &err);
	pfree(result.outputs);
}

void
load_wire_get_built(SvSlice from, LoadBuilt *built)
{
	SvAlloc    *alloc = palloc(sizeof(SvAlloc));	/* lives as long as what it gives */
	LsmResult	result;
	SvError		err;

	*alloc = pg_status_alloc(CurrentMemoryContext);
	lsm_result_init(&result, alloc);
	PG_STATUS_CHECK(lsm_wire_get_result(from, &result, &err), &err);
	*built = (LoadBuilt)
	{
		.nruns = result.noutputs,.given = result.counts.entries_in,.entries = result.counts.entries_out,
		.raw_bytes = result.counts.bytes_in,.file_bytes = result.counts.bytes_out
	};
	built->runs = palloc0(Max(built->nruns, 1) * sizeof(LoadRun));
	for (int i = 0; i < built->nruns; i++)
	{
		const LsmOutput *output = &result.outputs[i];

		built->runs[i] = (LoadRun)
		{
			.object = output->run.object,.file_bytes = output->run.file_bytes,.tail_bytes = output->run.tail_bytes,
			.part = output->run.parts[0],.stretch = output->merge
		};
		built->nstretches = Max(built->nstretches, output->merge + 1);
	}
}
