/*
 * mirror_files.c
 *		Reading, writing, removing, sweeping.
 */
#include "store/mirror_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/disk_files.h"
#include "store/store_descriptors.h"

#define ID_DIGITS 32
#define NAME_ROOM 96			/* "/XX/", and ID or a temporary name */

struct MirrorFiles
{
	StoreDescriptors *descriptors;
	uint64_t	temporary_counter;
	uint8_t    *pages;			/* of a slot's size */
	size_t		path_room;
	char	   *path;			/* root, and what follows */
	size_t		root_len;
};

struct MirrorWrite
{
	MirrorFiles *files;
	CacheRunId	object;
	int			fd;
	uint64_t	page;			/* the next */
	uint64_t	offset;			/* in the file */
	int			failed;			/* errno; 0: nothing has */
	char	   *temporary;
};

SvStatus
mirror_files_open(MirrorFiles **files, const char *root, int max_open_files, SvError *err)
{
	MirrorFiles *opened = calloc(1, sizeof(MirrorFiles));

	*files = NULL;
	if (opened != NULL)
	{
		opened->root_len = strlen(root);
		opened->path_room = opened->root_len + NAME_ROOM;
		opened->path = malloc(opened->path_room);
		opened->pages = malloc(DISK_SLOT_BYTES);
		opened->descriptors = store_descriptors_create(max_open_files);
	}
	if (opened == NULL || opened->path == NULL || opened->pages == NULL || opened->descriptors == NULL)
	{
		mirror_files_close(opened);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: mirror \"%s\"", root);
	}
	memcpy(opened->path, root, opened->root_len + 1);
	*files = opened;
	return SV_OK;
}

void
mirror_files_close(MirrorFiles *files)
{
	if (files == NULL)
		return;
	if (files->descriptors != NULL)
		store_descriptors_free(files->descriptors);
	free(files->path);
	free(files->pages);
	free(files);
}

/* Sets files->path to the object's; answers the id in it. */
static const char *
set_path(MirrorFiles *files, CacheRunId object)
{
	char	   *at = files->path + files->root_len;

	snprintf(at, NAME_ROOM, "/%02x/%016" PRIx64 "%016" PRIx64, (unsigned) (object.hi >> 56), object.hi, object.lo);
	return at + 4;
}

/* -------------------------------------------------------------------------
 * Reading
 * ------------------------------------------------------------------------- */

static uint64_t
file_bytes_of(uint64_t object_bytes)
{
	uint64_t	rest = object_bytes % DISK_PAGE_DATA;

	return object_bytes / DISK_PAGE_DATA * DISK_PAGE_BYTES + (rest > 0 ? rest + DISK_PAGE_BYTES - DISK_PAGE_DATA : 0);
}

static uint64_t
object_bytes_of(uint64_t file_bytes)
{
	uint64_t	rest = file_bytes % DISK_PAGE_BYTES;
	uint64_t	check = DISK_PAGE_BYTES - DISK_PAGE_DATA;

	return file_bytes / DISK_PAGE_BYTES * DISK_PAGE_DATA + (rest > check ? rest - check : 0);
}

/* The object's file, open; -1 if there is none. */
static int
find_file(MirrorFiles *files, CacheRunId object)
{
	const char *id = set_path(files, object);
	int			fd = store_descriptors_find(files->descriptors, id);

	if (fd >= 0)
		return fd;
	fd = open(files->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && store_descriptors_close_oldest(files->descriptors))
		fd = open(files->path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !store_descriptors_add(files->descriptors, id, fd))
	{
		close(fd);
		return -1;
	}
	return fd;
}

/* n pages of a file of so many bytes, the last of which may be short. */
static bool
read_pages(MirrorFiles *files, int fd, uint64_t file_bytes, uint64_t first, uint64_t n)
{
	uint64_t	offset = first * DISK_PAGE_BYTES;
	uint64_t	wanted = n * DISK_PAGE_BYTES;
	size_t		len = (size_t) (file_bytes - offset < wanted ? file_bytes - offset : wanted);
	size_t		short_page = len % DISK_PAGE_BYTES;
	uint8_t    *last = files->pages + len - short_page;
	size_t		check = DISK_PAGE_BYTES - DISK_PAGE_DATA;
	ssize_t		got;

	do
		got = pread(fd, files->pages, len, (off_t) offset);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t) len)
		return false;
	if (short_page > check)
	{
		memmove(last + DISK_PAGE_DATA, last + short_page - check, check);
		memset(last + short_page - check, 0, DISK_PAGE_BYTES - short_page);
	}
	return true;
}

static bool
read_file(MirrorFiles *files, int fd, uint64_t file_bytes, CacheRunId object, uint64_t offset, size_t len,
		  uint8_t *dst)
{
	while (len > 0)
	{
		uint64_t	first = disk_page_of(offset);
		size_t		at = (size_t) (offset % DISK_PAGE_DATA);
		size_t		piece = DISK_RANGE_BYTES - at < len ? DISK_RANGE_BYTES - at : len;

		if (!read_pages(files, fd, file_bytes, first, disk_pages(at + piece)) ||
			!disk_pages_open(object, first, files->pages, at, piece, dst))
			return false;
		offset += piece;
		dst += piece;
		len -= piece;
	}
	return true;
}

/* Removes a damaged file, unless another process has put a new one in its place. */
static void
remove_damaged(MirrorFiles *files, CacheRunId object, const struct stat *damaged)
{
	const char *id = set_path(files, object);
	struct stat now;

	store_descriptors_forget(files->descriptors, id);
	if (stat(files->path, &now) == 0 && now.st_dev == damaged->st_dev && now.st_ino == damaged->st_ino)
		(void) unlink(files->path);
}

bool
mirror_files_read(MirrorFiles *files, CacheRunId object, uint64_t offset, size_t len, void *dst)
{
	/*
	 * A second time if the file was an old one, that was replaced since it was
	 * opened.  One that was cut is seen by its length, and stays until it is
	 * replaced.
	 */
	for (int i = 0; i < 2; i++)
	{
		int			fd = find_file(files, object);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) != 0)
			return false;
		if (offset + len > object_bytes_of((uint64_t) st.st_size))
			store_descriptors_forget(files->descriptors, set_path(files, object));
		else if (read_file(files, fd, (uint64_t) st.st_size, object, offset, len, dst))
			return true;
		else
			remove_damaged(files, object, &st);
	}
	return false;
}

bool
mirror_files_has(MirrorFiles *files, CacheRunId object, uint64_t bytes)
{
	struct stat st;

	set_path(files, object);
	return stat(files->path, &st) == 0 && (uint64_t) st.st_size == file_bytes_of(bytes);
}

void
mirror_files_remove(MirrorFiles *files, CacheRunId object)
{
	const char *id = set_path(files, object);

	store_descriptors_forget(files->descriptors, id);
	(void) unlink(files->path);
}

/* -------------------------------------------------------------------------
 * Writing
 * ------------------------------------------------------------------------- */

/* Makes the directories that files->path lies in: the root's own, the root, the one below it. */
static bool
make_directories(MirrorFiles *files)
{
	char	   *ends[3] = {NULL, files->path + files->root_len, files->path + files->root_len + 3};
	bool		made = true;

	for (char *at = files->path + files->root_len - 1; at > files->path && ends[0] == NULL; at--)
		if (*at == '/')
			ends[0] = at;
	for (int i = 0; i < 3; i++)
	{
		char		end;

		if (ends[i] == NULL)
			continue;
		end = *ends[i];
		*ends[i] = '\0';
		made = mkdir(files->path, 0700) == 0 || errno == EEXIST;
		*ends[i] = end;
	}
	return made;
}

static int
create_temporary(MirrorFiles *files, CacheRunId object)
{
	char	   *id = files->path + (set_path(files, object) - files->path);
	int			fd;

	do
	{
		snprintf(id, NAME_ROOM - 4, "~%ld.%" PRIu64, (long) getpid(), files->temporary_counter++);
		fd = open(files->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EEXIST);
	return fd;
}

SvStatus
mirror_write_begin(MirrorFiles *files, CacheRunId object, MirrorWrite **write, SvError *err)
{
	MirrorWrite *begun = calloc(1, sizeof(MirrorWrite));

	*write = NULL;
	if (begun != NULL)
		begun->temporary = malloc(files->path_room);
	if (begun == NULL || begun->temporary == NULL)
	{
		free(begun);
		return sv_fail(err, SV_NO_MEMORY, "out of memory: writing to a mirror");
	}
	begun->files = files;
	begun->object = object;
	begun->fd = create_temporary(files, object);
	if (begun->fd < 0 && errno == ENOENT && make_directories(files))
		begun->fd = create_temporary(files, object);
	if (begun->fd < 0)
		begun->failed = errno;
	memcpy(begun->temporary, files->path, files->path_room);
	*write = begun;
	return SV_OK;
}

static bool
write_all(MirrorWrite *write, const uint8_t *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t		put = pwrite(write->fd, bytes, len, (off_t) write->offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
		{
			write->failed = put == 0 ? ENOSPC : errno;
			return false;
		}
		bytes += put;
		len -= (size_t) put;
		write->offset += (size_t) put;
	}
	return true;
}

void
mirror_write_append(MirrorWrite *write, SvSlice bytes)
{
	uint8_t    *pages = write->files->pages;

	while (bytes.len > 0 && write->failed == 0)
	{
		size_t		piece = bytes.len < DISK_RANGE_BYTES ? bytes.len : DISK_RANGE_BYTES;
		size_t		rest = piece % DISK_PAGE_DATA;
		uint8_t    *last = pages + piece / DISK_PAGE_DATA * DISK_PAGE_BYTES;

		disk_pages_seal(write->object, write->page, sv_slice(bytes.data, piece), pages);
		if (rest > 0)
			memmove(last + rest, last + DISK_PAGE_DATA, DISK_PAGE_BYTES - DISK_PAGE_DATA);
		if (!write_all(write, pages, (size_t) file_bytes_of(piece)))
			return;
		write->page += disk_pages(piece);
		bytes = sv_slice(bytes.data + piece, bytes.len - piece);
	}
}

static void
end_write(MirrorWrite *write)
{
	if (write->fd >= 0)
		close(write->fd);
	free(write->temporary);
	free(write);
}

SvStatus
mirror_write_finish(MirrorWrite *write, SvError *err)
{
	MirrorFiles *files = write->files;
	int			failed = write->failed;

	set_path(files, write->object);
	if (failed == 0 && rename(write->temporary, files->path) != 0)
		failed = errno;
	if (failed != 0)
	{
		(void) sv_fail_os(err, failed, "could not write mirror file \"%s\"", files->path);
		mirror_write_abort(write);
		return sv_status_of_errno(failed);
	}
	end_write(write);
	return SV_OK;
}

void
mirror_write_abort(MirrorWrite *write)
{
	if (write->fd >= 0)
		(void) unlink(write->temporary);
	end_write(write);
}

/* -------------------------------------------------------------------------
 * Sweeping
 * ------------------------------------------------------------------------- */

static int
compare_objects(const void *a, const void *b)
{
	return cache_run_id_compare(*(const CacheRunId *) a, *(const CacheRunId *) b);
}

/* Whether this name in a directory of the mirror is that of a file nobody needs. */
static bool
is_useless(const char *name, const CacheRunId *live, int nlive)
{
	CacheRunId	object;
	int			end = 0;

	if (name[0] == '~')
		return true;
	if (strlen(name) != ID_DIGITS ||
		sscanf(name, "%16" SCNx64 "%16" SCNx64 "%n", &object.hi, &object.lo, &end) != 2 || end != ID_DIGITS)
		return false;
	return nlive == 0 || bsearch(&object, live, (size_t) nlive, sizeof(CacheRunId), compare_objects) == NULL;
}

static int
sweep_directory(MirrorFiles *files, const CacheRunId *live, int nlive, time_t before)
{
	char	   *end = files->path + strlen(files->path);
	DIR		   *dir = opendir(files->path);
	struct dirent *entry;
	int			removed = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
	{
		struct stat st;

		if (strlen(entry->d_name) >= NAME_ROOM - 8 || !is_useless(entry->d_name, live, nlive))
			continue;
		*end = '/';
		memcpy(end + 1, entry->d_name, strlen(entry->d_name) + 1);
		if (stat(files->path, &st) == 0 && st.st_mtime <= before && unlink(files->path) == 0)
		{
			store_descriptors_forget(files->descriptors, entry->d_name);
			removed++;
		}
		*end = '\0';
	}
	if (dir != NULL)
		closedir(dir);
	return removed;
}

SvStatus
mirror_files_sweep(MirrorFiles *files, CacheRunId *live, int nlive, int min_age_s, int *removed, SvError *err)
{
	time_t		before = time(NULL) - min_age_s;
	struct stat st;

	*removed = 0;
	if (nlive > 0)
		qsort(live, (size_t) nlive, sizeof(CacheRunId), compare_objects);
	files->path[files->root_len] = '\0';
	if (stat(files->path, &st) != 0)
		return errno == ENOENT ? SV_OK : sv_fail_os(err, errno, "could not look into mirror \"%s\"", files->path);
	for (unsigned i = 0; i < 256; i++)
	{
		snprintf(files->path + files->root_len, NAME_ROOM, "/%02x", i);
		*removed += sweep_directory(files, live, nlive, before);
	}
	return SV_OK;
}
