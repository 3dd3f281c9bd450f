/*
 * load_spill.h
 *		Entries of a load in a temporary file: written once, then read once, in
 *		order.
 *
 * The file is Postgres's (temp_tablespaces, temp_file_limit), and goes with the
 * ResourceOwner that was current when it was made.  While it is written or read
 * it takes LOAD_SPILL_BYTES of memory, or as much as an entry that is larger.
 */
#ifndef LOAD_SPILL_H
#define LOAD_SPILL_H

#include "postgres.h"

#include "sst/sst_entry.h"

#define LOAD_SPILL_BYTES ((Size) 40 * 1024)

typedef struct LoadSpill LoadSpill;

/* In CurrentMemoryContext. */
extern LoadSpill *load_spill_create(void);
extern void load_spill_write(LoadSpill *spill, const SstEntry *entry);

/* Ends the writing. */
extern void load_spill_rewind(LoadSpill *spill);

/* False at the end.  The entry is good until the next call. */
extern bool load_spill_read(LoadSpill *spill, SstEntry *entry);
extern void load_spill_close(LoadSpill *spill);

#endif							/* LOAD_SPILL_H */
