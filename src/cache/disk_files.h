/*
 * disk_files.h
 *		The files of the disk tier: slots of pages, and what is in them.
 *
 * "ranges" is an array of slots of 64 KiB, each a range of an object in pages
 * that verify themselves (disk_page.h); it grows as slots are used and has holes
 * where none were.  "slots" has a head, and 32 bytes for each slot: object,
 * range, how many bytes, and a check over them and the slot's number.  A record
 * is written after its pages, and neither is ever fsynced: a record that speaks
 * of pages that are not there costs a request, because they do not verify.
 * "lock" is locked by the process that opened them, until it ends, so that no two
 * servers use one directory (if they did, it would cost hits and no more).
 *
 * The descriptors are opened once, before processes are forked that use them,
 * and read and written only at given offsets.
 */
#ifndef DISK_FILES_H
#define DISK_FILES_H

#include "base/sv_status.h"
#include "cache/disk_index.h"
#include "cache/disk_page.h"

#define DISK_RANGE_PAGES 16
#define DISK_SLOT_BYTES (DISK_RANGE_PAGES * DISK_PAGE_BYTES)
#define DISK_RANGE_BYTES (DISK_RANGE_PAGES * DISK_PAGE_DATA)	/* of an object, in a slot */

typedef struct DiskFiles
{
	int			lock;			/* all -1: not open */
	int			slots;
	int			ranges;
	bool		writable;
} DiskFiles;

/*
 * Makes the directory (not those above it) and the files if they are not there,
 * and tells the index what is in them.  Of a directory that cannot be written to
 * the files are opened for reading: SV_OK, not writable, and *err says why.
 * Files of another form are emptied.
 */
extern SvStatus disk_files_open(DiskFiles *files, const char *directory, DiskIndex *index,
								uint32_t slots, SvError *err);
extern void disk_files_close(DiskFiles *files);

/* Reads n pages of a slot, from first_page on; false if they are not there. */
extern bool disk_files_read(const DiskFiles *files, uint32_t slot, uint32_t first_page, uint32_t n, uint8_t *pages);

/* Writes n pages of a slot, and then its record. */
extern SvStatus disk_files_write(const DiskFiles *files, uint32_t slot, const DiskRange *range,
								 uint32_t bytes, const uint8_t *pages, SvError *err);

#endif							/* DISK_FILES_H */
