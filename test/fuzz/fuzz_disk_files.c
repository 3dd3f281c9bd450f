/*
 * fuzz_disk_files.c
 *		Any bytes as the record of what is in the disk tier: what the index is told
 *		lies in its slots and in the file, and what is written is found after that.
 *
 * The first byte says how many slots there are, the second how many of them the
 * file of ranges has.  The rest is the file of slots: as it is if the first byte
 * says so, else with the checks made right, so that mutations get behind them.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"
#include "cache/disk_files.h"

extern int	LLVMFuzzerInitialize(int *argc, char ***argv);
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_SLOTS 40
#define RECORD_BYTES 32

#define RAW 0x80				/* of the first byte */

static char directory[64] = "/dev/shm/skyvault-fuzz-XXXXXX";

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void) st;
	(void) kind;
	(void) where;
	return remove(path);
}

static void
remove_directory(void)
{
	(void) nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void) argc;
	(void) argv;
	if (mkdtemp(directory) == NULL)
	{
		strcpy(directory, "/tmp/skyvault-fuzz-XXXXXX");
		require(mkdtemp(directory) != NULL);
	}
	atexit(remove_directory);
	return 0;
}

static void
write_file(const char *name, const uint8_t *data, size_t size, off_t length)
{
	char		path[sizeof(directory) + 16];
	int			fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t) size);
	require(ftruncate(fd, length) == 0);
	close(fd);
}

/* The head and the records, as disk_files.c checks them. */
static void
seal(uint8_t *data, size_t size)
{
	static const char magic[16] = "SVDISK 1 64 KiB";

	if (size >= RECORD_BYTES)
	{
		memset(data, 0, RECORD_BYTES);
		memcpy(data, magic, sizeof(magic));
		sv_put_u64(data + 24, sv_hash64(sv_slice(data, 24)));
	}
	for (size_t at = RECORD_BYTES; at + RECORD_BYTES <= size; at += RECORD_BYTES)
	{
		uint8_t		bytes[28];

		memcpy(bytes, data + at, 24);
		sv_put_u32(bytes + 24, (uint32_t) (at / RECORD_BYTES - 1));
		sv_put_u64(data + at + 24, sv_hash64(sv_slice(bytes, sizeof(bytes))));
	}
}

/* A record of the input: what the index says of its range is what some record says. */
static void
look_up(DiskIndex *index, const uint8_t *record, uint32_t slots, off_t ranges_bytes)
{
	DiskRange	range = {{sv_get_u64(record), sv_get_u64(record + 8)}, sv_get_u32(record + 16)};
	DiskPlace	place;

	if (!disk_index_find(index, &range, &place))
		return;
	require(place.slot < slots && place.bytes > 0 && place.bytes <= DISK_RANGE_BYTES);
	require((off_t) ((uint64_t) place.slot * DISK_SLOT_BYTES + disk_pages(place.bytes) * DISK_PAGE_BYTES) <=
			ranges_bytes);
}

/* A range of our own, which takes some slot; then all of it is loaded anew. */
static void
write_one(DiskFiles *files, DiskIndex *index, DiskIndex *again, uint32_t slots)
{
	DiskRange	range = {{UINT64_MAX, 1}, 7};
	static uint8_t pages[DISK_PAGE_BYTES];
	uint8_t		bytes[3];
	DiskPlace	place;
	DiskPlace	found;
	SvError		err;

	if (disk_index_claim(index, &range, &place) != CACHE_LOAD)
		return;
	require(place.slot < slots);
	disk_pages_seal(range.object, 0, sv_slice("abc", 3), pages);
	require(disk_files_write(files, place.slot, &range, 3, pages, &err) == SV_OK);
	disk_index_publish(index, &place, 3);
	disk_files_close(files);
	require(disk_files_open(files, directory, again, slots, &err) == SV_OK);
	require(disk_index_find(again, &range, &found) && found.slot == place.slot && found.bytes == 3);
	require(disk_files_read(files, found.slot, 0, 1, pages));
	require(disk_pages_open(range.object, 0, pages, 0, 3, bytes) && memcmp(bytes, "abc", 3) == 0);
}

static void
load(const uint8_t *data, size_t size, uint32_t slots, off_t ranges_bytes)
{
	size_t		index_bytes = (disk_index_bytes(slots) + 63) / 64 * 64;
	DiskIndex  *index = disk_index_init(aligned_alloc(64, index_bytes), slots);
	DiskIndex  *again = disk_index_init(aligned_alloc(64, index_bytes), slots);
	DiskIndexCounts counts;
	DiskFiles	files;
	SvError		err;

	write_file("slots", data, size, (off_t) size);
	write_file("ranges", data, 0, ranges_bytes);
	require(disk_files_open(&files, directory, index, slots, &err) == SV_OK && files.writable);
	disk_index_restored(index);
	disk_index_count(index, &counts);
	require(counts.ranges <= slots && counts.ranges <= size / RECORD_BYTES &&
			counts.bytes <= counts.ranges * DISK_RANGE_BYTES);
	for (size_t at = RECORD_BYTES; at + RECORD_BYTES <= size; at += RECORD_BYTES)
		look_up(index, data + at, slots, ranges_bytes);
	write_one(&files, index, again, slots);
	disk_files_close(&files);
	free(index);
	free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t    *copy;

	if (size < 2)
		return 0;
	copy = malloc(size);
	require(copy != NULL);
	memcpy(copy, data + 2, size - 2);
	if ((data[0] & RAW) == 0)
		seal(copy, size - 2);
	load(copy, size - 2, 1 + (data[0] & ~RAW) % MAX_SLOTS, (off_t) data[1] * (DISK_SLOT_BYTES / 4));
	free(copy);
	return 0;
}
