/*
 * load_spill.h
 *		Entries of a load in a temporary file: written once, then read once, in
 *		order.
 *
 * The file is Postgres's (temp_tablespaces, temp_file_limit), and goes with the
 * ResourceOwner that was current when it was made.  While it is written, and while
 * it is read, it takes a buffer, or as much as an entry that is larger; in between
 * it takes none.  This is not BufFile, which hands 8 kB at a time to the kernel and
 * copies all of it once more: large pieces take a third of the time.
 */
#ifndef LOAD_SPILL_H
#define LOAD_SPILL_H

#include "postgres.h"

#include "sst/sst_entry.h"

/* The least a buffer has to be, and what more is of no use. */
#define LOAD_SPILL_MIN_BYTES ((Size) 32 * 1024)
#define LOAD_SPILL_MAX_BYTES ((Size) 256 * 1024)

typedef struct LoadSpill LoadSpill;

/* In CurrentMemoryContext. */
extern LoadSpill *load_spill_create(Size buffer_bytes);
extern void load_spill_write(LoadSpill *spill, const SstEntry *entry);

/* Ends the writing. */
extern void load_spill_end_write(LoadSpill *spill);

/* Then: begins the reading. */
extern void load_spill_begin_read(LoadSpill *spill, Size buffer_bytes);

/* False at the end.  The entry is good until the next call. */
extern bool load_spill_read(LoadSpill *spill, SstEntry *entry);
extern void load_spill_close(LoadSpill *spill);

#endif							/* LOAD_SPILL_H */
