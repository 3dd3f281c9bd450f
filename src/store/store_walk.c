/*
 * store_walk.c
 *		Depth first, each directory sorted.
 *
 * A directory "a" stands for the names that begin with "a/", so it is sorted
 * as "a/": behind "a-b" and "a.b", before "a0".  Then reading directories in
 * order gives full names in order.
 */
#include "store/store_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/store_directory_path.h"

typedef struct WalkEntry
{
	char	   *name;			/* below its directory; ends in '/' if it is one */
	uint64_t	bytes;
	int64_t		modified_s;
} WalkEntry;

typedef struct WalkEntries
{
	WalkEntry  *items;
	size_t		count;
	size_t		room;
} WalkEntries;

typedef struct Walk
{
	StoreWalkWhat what;
	const char *prefix;
	size_t		prefix_len;
	const char *after;			/* "": from the start */
	StoreListCallback callback;
	void	   *state;
	const StoreCall *call;
	bool		stopped;		/* the callback has heard enough */
	size_t		root_len;		/* the root with its slash */
	char	   *path;			/* root_len, a name, and a byte for '\0' */
} Walk;

static void
free_entries(WalkEntries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->items[i].name);
	free(entries->items);
}

static SvStatus
add_entry(WalkEntries *entries, const char *name, const struct stat *st, SvError *err)
{
	size_t		len = strlen(name);
	char	   *copy;

	if (entries->count == entries->room)
	{
		size_t		room = entries->room == 0 ? 64 : entries->room * 2;
		WalkEntry  *items = realloc(entries->items, room * sizeof(WalkEntry));

		if (items == NULL)
			return sv_fail(err, SV_NO_MEMORY, "out of memory: a directory of %zu files", room);
		entries->items = items;
		entries->room = room;
	}
	copy = malloc(len + 2);
	if (copy == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a file name of %zu bytes", len);
	memcpy(copy, name, len + 1);
	if (S_ISDIR(st->st_mode))
		memcpy(copy + len, "/", 2);
	entries->items[entries->count].name = copy;
	entries->items[entries->count].bytes = (uint64_t) st->st_size;
	entries->items[entries->count].modified_s = st->st_mtime;
	entries->count++;
	return SV_OK;
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp(((const WalkEntry *) a)->name, ((const WalkEntry *) b)->name);
}

/*
 * Whether the object or the directory at walk->path can matter: an object's
 * name must begin with the prefix, a directory's may also be its beginning.
 * All names below a directory that does not begin `after` lie on the same side
 * of it as the directory's own.
 */
static bool
is_wanted(const Walk *walk, bool is_directory)
{
	const char *name = walk->path + walk->root_len;
	size_t		len = strlen(name);

	if (strcmp(name, walk->after) <= 0 && !(is_directory && strncmp(name, walk->after, len) == 0))
		return false;
	if (len >= walk->prefix_len)
		return memcmp(name, walk->prefix, walk->prefix_len) == 0;
	return is_directory && memcmp(name, walk->prefix, len) == 0;
}

/* Takes one name of the open directory; what vanishes meanwhile is not there. */
static SvStatus
consider(Walk *walk, DIR *dir, const char *name, WalkEntries *entries, SvError *err)
{
	bool		is_part = store_part_is_valid(name, strlen(name));
	bool		is_temporary = walk->what == STORE_WALK_TEMPORARY && store_directory_is_temporary(name);
	struct stat st;

	if (!is_part && !is_temporary)
		return SV_OK;
	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0)
	{
		if (errno == ENOENT)
			return SV_OK;
		return sv_fail_os(err, errno, "could not stat file \"%s%s\"", walk->path, name);
	}
	if (S_ISDIR(st.st_mode) ? !is_part : !S_ISREG(st.st_mode) || is_temporary != (walk->what == STORE_WALK_TEMPORARY))
		return SV_OK;
	return add_entry(entries, name, &st, err);
}

/* Reads and sorts the directory at walk->path. */
static SvStatus
read_directory(Walk *walk, WalkEntries *entries, SvError *err)
{
	SvStatus	status = SV_OK;
	DIR		   *dir = opendir(walk->path);

	if (dir == NULL)
	{
		if (errno == ENOENT)
			return SV_NOT_FOUND;
		return sv_fail_os(err, errno, "could not open directory \"%s\"", walk->path);
	}
	while (status == SV_OK)
	{
		struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL)
		{
			if (errno != 0)
				status = sv_fail_os(err, errno, "could not read directory \"%s\"", walk->path);
			break;
		}
		status = store_check_cancel(walk->call, walk->prefix, err);
		if (status == SV_OK)
			status = consider(walk, dir, entry->d_name, entries, err);
	}
	closedir(dir);
	if (status == SV_OK && entries->count > 0)
		qsort(entries->items, entries->count, sizeof(WalkEntry), compare_entries);
	return status;
}

/*
 * Lists what is below walk->path, of path_len bytes with a slash at the end.
 * Recursion is as deep as a name has slashes.
 */
static SvStatus
walk_directory(Walk *walk, size_t path_len, SvError *err)
{
	WalkEntries entries = {NULL, 0, 0};
	SvStatus	status = read_directory(walk, &entries, err);

	for (size_t i = 0; i < entries.count && status == SV_OK && !walk->stopped; i++)
	{
		const WalkEntry *entry = &entries.items[i];
		size_t		len = strlen(entry->name);
		bool		is_directory = entry->name[len - 1] == '/';

		if (path_len - walk->root_len + len > STORE_MAX_NAME_BYTES)
			continue;
		memcpy(walk->path + path_len, entry->name, len + 1);
		status = store_check_cancel(walk->call, walk->prefix, err);
		if (status != SV_OK || !is_wanted(walk, is_directory))
			continue;
		if (!is_directory)
		{
			StoreListed object = {walk->path + walk->root_len, entry->bytes, entry->modified_s};

			walk->stopped = !walk->callback(walk->state, &object);
		}
		else
		{
			status = walk_directory(walk, path_len + len, err);
			if (status == SV_NOT_FOUND)
				status = SV_OK;		/* the directory has vanished */
		}
	}
	free_entries(&entries);
	return status;
}

SvStatus
store_walk(const char *root, StoreWalkWhat what, const char *prefix, const char *after, StoreListCallback callback,
		   void *state, const StoreCall *call, SvError *err)
{
	size_t		len = strlen(root);
	Walk		walk = {
		.what = what,
		.prefix = prefix,
		.prefix_len = strlen(prefix),
		.after = after,
		.callback = callback,
		.state = state,
		.call = call,
		.root_len = len + 1
	};
	SvStatus	status;

	walk.path = malloc(walk.root_len + STORE_MAX_NAME_BYTES + 1);
	if (walk.path == NULL)
		return sv_fail(err, SV_NO_MEMORY, "out of memory: a listing of \"%s\"", root);
	memcpy(walk.path, root, len);
	memcpy(walk.path + len, "/", 2);
	status = walk_directory(&walk, walk.root_len, err);
	free(walk.path);
	return status;
}
