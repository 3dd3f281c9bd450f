/*
 * disk_files.c
 *		Opening, loading, reading and writing them.
 */
#include "cache/disk_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"

#define RECORD_BYTES 32
#define RECORDS_AT_ONCE 2048

/* The head is a record's length, so that slot n's record is the n + 1st. */
static const char head_magic[16] = "SVDISK 1 64 KiB";

static void
build_head(uint8_t *head)
{
	memset(head, 0, RECORD_BYTES);
	memcpy(head, head_magic, sizeof(head_magic));
	sv_put_u64(head + 24, sv_hash64(sv_slice(head, 24)));
}

static uint64_t
record_check(const uint8_t *record, uint32_t slot)
{
	uint8_t		bytes[28];

	memcpy(bytes, record, 24);
	sv_put_u32(bytes + 24, slot);
	return sv_hash64(sv_slice(bytes, sizeof(bytes)));
}

static void
build_record(uint8_t *record, uint32_t slot, const DiskRange *range, uint32_t bytes)
{
	sv_put_u64(record, range->object.hi);
	sv_put_u64(record + 8, range->object.lo);
	sv_put_u32(record + 16, range->number);
	sv_put_u32(record + 20, bytes);
	sv_put_u64(record + 24, record_check(record, slot));
}

/* False for what is no record of this slot. */
static bool
parse_record(const uint8_t *record, uint32_t slot, DiskRange *range, uint32_t *bytes)
{
	if (sv_get_u64(record + 24) != record_check(record, slot))
		return false;
	range->object.hi = sv_get_u64(record);
	range->object.lo = sv_get_u64(record + 8);
	range->number = sv_get_u32(record + 16);
	*bytes = sv_get_u32(record + 20);
	return *bytes > 0 && *bytes <= DISK_RANGE_BYTES;
}

static ssize_t
read_at(int fd, void *dst, size_t len, uint64_t offset)
{
	size_t		done = 0;

	while (done < len)
	{
		ssize_t		got = pread(fd, (uint8_t *) dst + done, len - done, (off_t) (offset + done));

		if (got == 0)
			break;
		if (got > 0)
			done += (size_t) got;
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t) done;
}

static bool
write_at(int fd, const void *src, size_t len, uint64_t offset)
{
	size_t		done = 0;

	while (done < len)
	{
		ssize_t		put = pwrite(fd, (const uint8_t *) src + done, len - done, (off_t) (offset + done));

		if (put > 0)
			done += (size_t) put;
		else if (put == 0)
		{
			errno = ENOSPC;
			return false;
		}
		else if (errno != EINTR)
			return false;
	}
	return true;
}

/* -------------------------------------------------------------------------
 * Opening
 * ------------------------------------------------------------------------- */

static SvStatus
fail(SvError *err, const char *action, const char *directory, const char *name)
{
	int			os_errno = errno;

	return sv_fail_os(err, os_errno, "could not %s \"%s%s%s\"", action, directory,
					  *name != '\0' ? "/" : "", name);
}

/* -1 with errno; not writable if only reading is allowed. */
static int
open_one(const char *directory, const char *name, bool *writable)
{
	char		path[PATH_MAX];
	int			len = snprintf(path, sizeof(path), "%s/%s", directory, name);
	int			fd = -1;

	if (len < 0 || (size_t) len >= sizeof(path))
	{
		errno = ENAMETOOLONG;
		return -1;
	}
	if (*writable)
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && (!*writable || errno == EROFS || errno == EACCES || errno == EPERM))
	{
		int			os_errno = errno;

		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 && *writable)
			errno = os_errno;
		*writable = false;
	}
	return fd;
}

static SvStatus
open_all(DiskFiles *files, const char *directory, SvError *err)
{
	const char *const names[] = {"lock", "slots", "ranges"};
	int		   *const fds[] = {&files->lock, &files->slots, &files->ranges};

	if (mkdir(directory, 0700) != 0 && errno != EEXIST && errno != EROFS)
		return fail(err, "create directory", directory, "");
	for (int i = 0; i < 3; i++)
	{
		bool		was_writable = files->writable;

		*fds[i] = open_one(directory, names[i], &files->writable);
		if (*fds[i] < 0)
			return fail(err, "open file", directory, names[i]);
		if (was_writable && !files->writable)
			(void) fail(err, "write to file", directory, names[i]);
	}
	return SV_OK;
}

/*
 * A lock of the process, not of the descriptor: whatever the server forks would
 * keep that one for longer than the server lives.
 */
static SvStatus
lock_directory(const DiskFiles *files, const char *directory, SvError *err)
{
	struct flock lock = {.l_type = files->writable ? F_WRLCK : F_RDLCK,.l_whence = SEEK_SET};

	if (fcntl(files->lock, F_SETLK, &lock) == 0)
		return SV_OK;
	if (errno == EACCES || errno == EAGAIN)
		return sv_fail(err, SV_IO, "directory \"%s\" is in use by another server", directory);
	return fail(err, "lock file", directory, "lock");
}

static void
load_records(DiskIndex *index, const uint8_t *records, uint32_t first, uint32_t n, uint64_t ranges_bytes)
{
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t	slot = first + i;
		DiskRange	range;
		uint32_t	bytes;

		if (parse_record(records + (size_t) i * RECORD_BYTES, slot, &range, &bytes) &&
			(uint64_t) slot * DISK_SLOT_BYTES + disk_pages(bytes) * DISK_PAGE_BYTES <= ranges_bytes)
			(void) disk_index_restore(index, slot, &range, bytes);
	}
}

/* Whether the files have the form this build knows. */
static bool
head_is_known(const DiskFiles *files)
{
	uint8_t		expected[RECORD_BYTES];
	uint8_t		found[RECORD_BYTES];

	build_head(expected);
	return read_at(files->slots, found, RECORD_BYTES, 0) == RECORD_BYTES &&
		memcmp(expected, found, RECORD_BYTES) == 0;
}

static SvStatus
load(const DiskFiles *files, const char *directory, DiskIndex *index, uint32_t slots, SvError *err)
{
	uint8_t    *records = malloc(RECORDS_AT_ONCE * RECORD_BYTES);
	struct stat st;

	if (records == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory for the disk cache");
	if (fstat(files->ranges, &st) != 0)
	{
		free(records);
		return fail(err, "stat file", directory, "ranges");
	}
	for (uint32_t first = 0; first < slots; first += RECORDS_AT_ONCE)
	{
		uint32_t	n = slots - first < RECORDS_AT_ONCE ? slots - first : RECORDS_AT_ONCE;
		ssize_t		got = read_at(files->slots, records, (size_t) n * RECORD_BYTES,
								  ((uint64_t) first + 1) * RECORD_BYTES);

		if (got <= 0)
			break;
		load_records(index, records, first, (uint32_t) (got / RECORD_BYTES), (uint64_t) st.st_size);
	}
	free(records);
	return SV_OK;
}

/* Cuts a file that is longer; what cannot be done to the files counts as cannot be written to. */
static bool
cut(int fd, uint64_t bytes)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	return (uint64_t) st.st_size <= bytes || ftruncate(fd, (off_t) bytes) == 0;
}

static bool
start_anew(const DiskFiles *files)
{
	uint8_t		head[RECORD_BYTES];

	build_head(head);
	return cut(files->slots, 0) && cut(files->ranges, 0) &&
		write_at(files->slots, head, RECORD_BYTES, 0);
}

SvStatus
disk_files_open(DiskFiles *files, const char *directory, DiskIndex *index, uint32_t slots, SvError *err)
{
	SvStatus	status;

	*files = (DiskFiles) {.lock = -1,.slots = -1,.ranges = -1,.writable = true};
	status = open_all(files, directory, err);
	if (status == SV_OK)
		status = lock_directory(files, directory, err);
	if (status == SV_OK && files->writable &&
		!(cut(files->slots, ((uint64_t) slots + 1) * RECORD_BYTES) &&
		  cut(files->ranges, (uint64_t) slots * DISK_SLOT_BYTES)))
		status = fail(err, "truncate file", directory, "ranges");
	if (status == SV_OK && head_is_known(files))
		status = load(files, directory, index, slots, err);
	else if (status == SV_OK && files->writable && !start_anew(files))
	{
		(void) fail(err, "write to file", directory, "slots");
		files->writable = false;
	}
	if (status != SV_OK)
		disk_files_close(files);
	return status;
}

void
disk_files_close(DiskFiles *files)
{
	int		   *const fds[] = {&files->ranges, &files->slots, &files->lock};

	for (int i = 0; i < 3; i++)
	{
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	files->writable = false;
}

/* -------------------------------------------------------------------------
 * Slots
 * ------------------------------------------------------------------------- */

static uint64_t
page_offset(uint32_t slot, uint32_t page)
{
	return (uint64_t) slot * DISK_SLOT_BYTES + (uint64_t) page * DISK_PAGE_BYTES;
}

bool
disk_files_read(const DiskFiles *files, uint32_t slot, uint32_t first_page, uint32_t n, uint8_t *pages)
{
	size_t		len = (size_t) n * DISK_PAGE_BYTES;

	return read_at(files->ranges, pages, len, page_offset(slot, first_page)) == (ssize_t) len;
}

SvStatus
disk_files_write(const DiskFiles *files, uint32_t slot, const DiskRange *range, uint32_t bytes,
				 const uint8_t *pages, SvError *err)
{
	uint8_t		record[RECORD_BYTES];

	build_record(record, slot, range, bytes);
	if (!write_at(files->ranges, pages, disk_pages(bytes) * DISK_PAGE_BYTES, page_offset(slot, 0)) ||
		!write_at(files->slots, record, RECORD_BYTES, ((uint64_t) slot + 1) * RECORD_BYTES))
		return sv_fail_os(err, errno, "could not write to the disk cache");
	return SV_OK;
}
