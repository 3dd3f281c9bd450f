/*
 * fuzz_lsm_wire.c
 *		Any bytes as a job in parts and as a result, of another process: what is
 *		taken has all its memory, and says the same when it is sent on.
 */
#include <stdlib.h>
#include <string.h>

#include "lsm/lsm_compact.h"
#include "lsm/lsm_wire.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

/* Sends a job on; false if it does not come out. */
static bool
forward_job(SvSlice from, SvBuffer *to)
{
	LsmParts	parts;
	LsmJob	   *job;
	SvError		err;
	bool		ok = lsm_wire_get_job(from, &sv_malloc_alloc, &job, &parts, &err) == SV_OK;

	require(ok == (job != NULL));
	if (ok)
	{
		require(parts.nparts <= LSM_MAX_PARTS);
		require(lsm_wire_put_job(to, job, &parts, &err) == SV_OK);
	}
	lsm_job_free(job);
	lsm_parts_free(&parts);
	return ok;
}

static bool
forward_result(SvSlice from, SvBuffer *to)
{
	LsmResult	result;
	SvError		err;
	bool		ok;

	lsm_result_init(&result, &sv_malloc_alloc);
	ok = lsm_wire_get_result(from, &result, &err) == SV_OK;
	require(ok || result.noutputs == 0);
	if (ok)
		require(lsm_wire_put_result(to, &result, &err) == SV_OK);
	lsm_result_free(&result);
	return ok;
}

/* What was sent on is taken, as the same, and not when its end is missing. */
static void
forward(SvSlice from, bool (*one) (SvSlice from, SvBuffer *to))
{
	SvBuffer	first;
	SvBuffer	second;

	sv_buffer_init(&first, &sv_malloc_alloc);
	sv_buffer_init(&second, &sv_malloc_alloc);
	if (one(from, &first))
	{
		require(first.len <= from.len);
		require(one(sv_buffer_slice(&first), &second));
		require(sv_slice_equal(sv_buffer_slice(&first), sv_buffer_slice(&second)));
		require(!one(sv_slice(first.data, first.len - 1), &second));
	}
	sv_buffer_free(&first);
	sv_buffer_free(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	forward(sv_slice(data, size), forward_job);
	forward(sv_slice(data, size), forward_result);
	return 0;
}
