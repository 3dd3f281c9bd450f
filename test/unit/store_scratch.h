/*
 * store_scratch.h
 *		Directories, stores and child processes for tests of the store layer.
 */
#ifndef STORE_SCRATCH_H
#define STORE_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"
#include "store/store_directory.h"
#include "store_calls.h"

static char scratch[256];		/* the directory of this program, made by make_scratch */
static int	scratch_roots;		/* how many roots new_root has named below it */

/* A path for a new root below the scratch directory; nothing is there yet. */
static inline const char *
new_root(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/root%d", scratch, ++scratch_roots);
	return path;
}

static inline ObjectStore *
open_root(const char *path, bool create_root, int max_open_files)
{
	StoreDirectoryOptions options = {path, create_root, max_open_files};
	ObjectStore *store;
	SvError		err;

	if (store_directory_open(&store, &options, &err) != SV_OK)
	{
		printf("Bail out! %s\n", err.message);
		exit(1);
	}
	return store;
}

/* Files in a directory whose names begin so. */
static inline int
files_in(const char *path, const char *beginning)
{
	DIR		   *dir = opendir(path);
	struct dirent *entry;
	int			count = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += strncmp(entry->d_name, beginning, strlen(beginning)) == 0 &&
			entry->d_type == DT_REG;
	if (dir != NULL)
		closedir(dir);
	return count;
}

static inline int
open_descriptors(void)
{
	int			count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Runs body in a child process and returns what it returns, or -1. */
static inline int
in_child(int (*body) (void *state), void *state)
{
	int			wait_status;
	pid_t		pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(body(state));
	if (pid < 0 || waitpid(pid, &wait_status, 0) != pid || !WIFEXITED(wait_status))
		return -1;
	return WEXITSTATUS(wait_status);
}

static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *position)
{
	(void) st;
	(void) type;
	(void) position;
	return remove(path);
}

/* Removes everything below path, and path. */
static inline void
remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void
make_scratch(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(scratch, sizeof(scratch), "%s/test_store_XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(scratch) == NULL || chmod(scratch, 0755) != 0)
	{
		printf("Bail out! no scratch directory\n");
		exit(1);
	}
}

#endif							/* STORE_SCRATCH_H */
