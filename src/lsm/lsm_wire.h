/*
 * lsm_wire.h
 *		A job in parts, and what came of a part, as bytes: for another process
 *		of the same server.
 *
 * Of a job goes what lsm_compact needs.  What comes out is checked for being
 * whole, not for making sense.
 */
#ifndef LSM_WIRE_H
#define LSM_WIRE_H

#include "base/sv_buffer.h"
#include "lsm/lsm_parts.h"

extern SvStatus lsm_wire_put_job(SvBuffer *to, const LsmJob *job, const LsmParts *parts, SvError *err);

/* The job is to be freed with lsm_job_free; *parts is initialised here, and to be freed whatever the answer. */
extern SvStatus lsm_wire_get_job(SvSlice from, const SvAlloc *alloc, LsmJob **job, LsmParts *parts,
								 SvError *err);

extern SvStatus lsm_wire_put_result(SvBuffer *to, const LsmResult *result, SvError *err);

/* Into a result that is initialised and empty. */
extern SvStatus lsm_wire_get_result(SvSlice from, LsmResult *result, SvError *err);

#endif							/* LSM_WIRE_H */
