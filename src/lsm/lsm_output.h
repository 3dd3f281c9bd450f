/*
 * lsm_output.h
 *		One run of one table being written: the file, and what the registry will
 *		say of it.
 */
#ifndef LSM_OUTPUT_H
#define LSM_OUTPUT_H

#include "base/sv_buffer.h"
#include "lsm/lsm_run.h"
#include "sst/sst_writer.h"

/* Its fields are lsm_output.c's; what others may read says so. */
typedef struct LsmOutputFile
{
	const SvAlloc *alloc;
	SstWriter  *writer;			/* to read: NULL while no file is open */
	SstWriterOptions options;
	SstSink		sink;			/* the caller's */
	uint64_t	written;		/* to read: bytes given to the sink of this file */
	LsmPart		part;			/* to read after lsm_output_end, but for the keys */
	SvBuffer	min_key;		/* to read after lsm_output_end */
	SvBuffer	max_key;
} LsmOutputFile;

extern void lsm_output_init(LsmOutputFile *file, const SvAlloc *alloc);

/* Begins a file; none may be open. */
extern SvStatus lsm_output_begin(LsmOutputFile *file, int32_t table_id, const SstWriterOptions *options,
								 const SstSink *sink, SvError *err);

/* Keys ascend. */
extern SvStatus lsm_output_add(LsmOutputFile *file, const SstEntry *entry, SvError *err);

/* Whether what was written, and the filter to come, have reached this size. */
extern bool lsm_output_is_full(const LsmOutputFile *file, uint64_t run_bytes);

/* Writes the tail and closes the file. */
extern SvStatus lsm_output_end(LsmOutputFile *file, SstSummary *summary, SvError *err);

/* At any time after lsm_output_init: closes what is open, and frees all. */
extern void lsm_output_free(LsmOutputFile *file);

#endif							/* LSM_OUTPUT_H */
