/*
 * test_store.c
 *		The store interface, the directory driver and the fault wrapper.
 *
 * The system calls that a put makes are defined here and so come before the C
 * library's: they record what was called, and at a chosen call kill the
 * process, fail, or do half their work.
 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/object_store.h"
#include "store/store_directory.h"
#include "store/store_fault.h"
#include "store_conformance.h"

/* -------------------------------------------------------------------------
 * System calls with a script
 * ------------------------------------------------------------------------- */

typedef enum CallEvent
{
	EVENT_NONE,
	EVENT_KILL,					/* the process ends before the call */
	EVENT_FAIL,					/* the call fails with event_errno */
	EVENT_SHORT					/* a write or read does a part of its bytes */
} CallEvent;

static bool counting;
static int	calls;				/* while counting */
static int	event_at;			/* the call, from 1, at which the event happens */
static CallEvent event;
static int	event_errno;
static char trace[4096];

static void
script(CallEvent what, int at, int os_errno)
{
	counting = true;
	calls = 0;
	event = what;
	event_at = at;
	event_errno = os_errno;
	trace[0] = '\0';
}

static void
end_script(void)
{
	counting = false;
	event = EVENT_NONE;
}

/* True if the call is to fail, with errno set; *len is what is left of a write's length. */
static bool
meet(const char *name, size_t *len)
{
	if (!counting)
		return false;
	calls++;
	strncat(trace, name, sizeof(trace) - strlen(trace) - 1);
	strncat(trace, " ", sizeof(trace) - strlen(trace) - 1);
	if (calls != event_at)
		return false;
	if (event == EVENT_KILL)
		_exit(99);
	if (event == EVENT_SHORT && len != NULL && *len > 1)
		*len /= 2;
	if (event != EVENT_FAIL)
		return false;
	errno = event_errno;
	return true;
}

int
open(const char *path, int flags,...)
{
	va_list		args;
	mode_t		mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (meet((flags & O_CREAT) != 0 ? "create" : (flags & O_DIRECTORY) != 0 ? "opendir" : "open", NULL))
		return -1;
	return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t
write(int fd, const void *data, size_t len)
{
	if (meet("write", &len))
		return -1;
	return syscall(SYS_write, fd, data, len);
}

int
fsync(int fd)
{
	struct stat st;
	bool		is_directory = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	if (meet(is_directory ? "syncdir" : "fsync", NULL))
		return -1;
	return (int) syscall(SYS_fsync, fd);
}

int
close(int fd)
{
	bool		fail = meet("close", NULL);
	int			os_errno = errno;
	int			rc = (int) syscall(SYS_close, fd);

	if (!fail)
		return rc;
	errno = os_errno;
	return -1;
}

int
link(const char *from, const char *to)
{
	if (meet("link", NULL))
		return -1;
	return (int) syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int
unlink(const char *path)
{
	if (meet("unlink", NULL))
		return -1;
	return (int) syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int
mkdir(const char *path, mode_t mode)
{
	if (meet("mkdir", NULL))
		return -1;
	return (int) syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

/* -------------------------------------------------------------------------
 * Helpers
 * ------------------------------------------------------------------------- */

static char scratch[256];
static int	scratch_roots;

/* A path for a new root below the scratch directory; nothing is there yet. */
static const char *
new_root(void)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/root%d", scratch, ++scratch_roots);
	return path;
}

static ObjectStore *
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

static SvStatus
put_text(ObjectStore *store, const char *name, const char *content, SvError *err)
{
	SvSlice		part = sv_slice(content, strlen(content));

	return store_put_if_absent(store, name, &part, 1, NULL, err);
}

static bool
holds(ObjectStore *store, const char *name, const char *content)
{
	char		buf[256];
	StoreRange	range = {0, strlen(content), buf};
	uint64_t	bytes;
	SvError		err;

	return store_head(store, name, &bytes, NULL, &err) == SV_OK && bytes == strlen(content) &&
		store_get(store, name, &range, 1, NULL, &err) == SV_OK &&
		memcmp(buf, content, strlen(content)) == 0;
}

static bool
count_one(void *state, const char *name, uint64_t bytes)
{
	(void) name;
	(void) bytes;
	++*(int *) state;
	return true;
}

static int
listed(ObjectStore *store)
{
	int			count = 0;
	SvError		err;

	return store_list(store, "", count_one, &count, NULL, &err) == SV_OK ? count : -1;
}

/* Files in a directory whose names begin so. */
static int
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

static int
open_descriptors(void)
{
	int			count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Runs body in a child process and returns what it returns, or -1. */
static int
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

/* Removes everything below path, and path. */
static void
remove_tree(const char *path)
{
	DIR		   *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
	{
		char		below[1024];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (entry->d_type == DT_DIR)
			remove_tree(below);
		else
			unlink(below);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

/* -------------------------------------------------------------------------
 * The directory driver
 * ------------------------------------------------------------------------- */

static void
test_conformance(void)
{
	int			before = open_descriptors();
	ObjectStore *store = open_root(new_root(), true, 2);
	ObjectStore *wrapper;
	SvError		err;

	CHECK(store_conformance(store, "directory") == 0, "the directory driver conforms");
	store_close(store);

	store = open_root(new_root(), true, 100);
	CHECK(store_fault_open(&wrapper, store, &err) == SV_OK &&
		  store_conformance(wrapper, "fault wrapper") == 0, "the fault wrapper conforms");
	store_close(wrapper);
	CHECK(open_descriptors() == before, "no descriptor is left open");
}

static void
test_options(void)
{
	StoreDirectoryOptions options = {"", true, 1};
	ObjectStore *store;
	SvError		err;

	CHECK(store_directory_open(&store, &options, &err) == SV_INVALID && store == NULL, "no path");
	options.path = "///";
	CHECK(store_directory_open(&store, &options, &err) == SV_INVALID, "the root of all is refused");
	options.path = "x";
	options.max_open_files = 0;
	CHECK(store_directory_open(&store, &options, &err) == SV_INVALID, "no open files");
	store_close(NULL);
}

static void
test_missing_root(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, false, 4);
	ObjectStore *maker;
	char		expected[600];
	char		deep[600];
	char		c;
	StoreRange	range = {0, 1, &c};
	uint64_t	bytes;
	int			count = 0;
	struct stat st;
	SvError		err;

	snprintf(expected, sizeof(expected), "store directory \"%s\" does not exist", root);
	CHECK(put_text(store, "a", "x", &err) == SV_IO && strcmp(err.message, expected) == 0,
		  "put without a root");
	CHECK(put_text(store, "d/a", "x", &err) == SV_IO && stat(root, &st) != 0,
		  "put without a root makes no directory");
	err.message[0] = '\0';
	CHECK(store_get(store, "a", &range, 1, NULL, &err) == SV_IO &&
		  strcmp(err.message, expected) == 0, "get without a root");
	CHECK(store_head(store, "a", &bytes, NULL, &err) == SV_IO, "head without a root");
	CHECK(store_remove(store, "a", NULL, &err) == SV_IO, "remove without a root");
	CHECK(store_list(store, "", count_one, &count, NULL, &err) == SV_IO, "list without a root");

	snprintf(deep, sizeof(deep), "%s/x//y/", root);
	maker = open_root(deep, true, 4);
	CHECK(listed(maker) == 0 && store_head(maker, "a", &bytes, NULL, &err) == SV_NOT_FOUND &&
		  store_remove(maker, "a", NULL, &err) == SV_OK && stat(root, &st) != 0,
		  "a root to be made is empty, and not made for reading");
	CHECK(put_text(maker, "d/a", "x", &err) == SV_OK && holds(maker, "d/a", "x"),
		  "put makes the root with all above it");
	CHECK(stat(deep, &st) == 0 && (st.st_mode & 0777) == 0700, "directories are private");
	snprintf(deep, sizeof(deep), "%s/x/y/d/a", root);
	CHECK(stat(deep, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_nlink == 1,
		  "files are private, under one name");
	store_close(maker);
	CHECK(put_text(store, "d/a", "x", &err) == SV_OK && holds(store, "x/y/d/a", "x"),
		  "a root that is there is used");

	/* The volume goes away under an open handle. */
	remove_tree(root);
	CHECK(put_text(store, "d/b", "x", &err) == SV_IO && strcmp(err.message, expected) == 0,
		  "put after the root has gone");
	store_close(store);
}

static void
test_relative_root(void)
{
	char		here[512];
	ObjectStore *store;
	SvError		err;

	if (getcwd(here, sizeof(here)) == NULL || chdir(scratch) != 0)
		exit(1);
	store = open_root("relative", true, 1);
	CHECK(put_text(store, "a/b", "x", &err) == SV_OK && holds(store, "a/b", "x"),
		  "a root relative to the working directory");
	store_close(store);
	if (chdir(here) != 0)
		exit(1);
}

static void
test_not_objects(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	char		path[600];
	uint64_t	bytes;
	char		c;
	StoreRange	range = {0, 1, &c};
	SvError		err;

	CHECK(put_text(store, "d/a", "x", &err) == SV_OK, "an object in a directory");
	CHECK(store_head(store, "d", &bytes, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, "d", &range, 1, NULL, &err) == SV_NOT_FOUND &&
		  store_remove(store, "d", NULL, &err) == SV_OK, "a directory is no object");
	CHECK(store_head(store, "d/a/b", &bytes, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, "d/a/b", &range, 1, NULL, &err) == SV_NOT_FOUND &&
		  store_remove(store, "d/a/b", NULL, &err) == SV_OK, "an object is no directory");
	CHECK(put_text(store, "d/a/b", "x", &err) == SV_IO && holds(store, "d/a", "x"),
		  "an object does not become a directory");

	snprintf(path, sizeof(path), "%s/~1.0", root);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/not an object", root);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/loop", root);
	CHECK(symlink(".", path) == 0 && listed(store) == 1, "listings tell objects only");
	store_close(store);
}

/* A temporary file that a crash of a process with the same id left is passed over. */
static void
test_temporary_taken(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	char		path[600];
	SvError		err;

	mkdir(root, 0700);
	snprintf(path, sizeof(path), "%s/~%ld.0", root, (long) getpid());
	close(open(path, O_CREAT | O_WRONLY, 0600));
	CHECK(put_text(store, "a", "x", &err) == SV_OK && holds(store, "a", "x") &&
		  files_in(root, "~") == 1, "a temporary name that is taken");
	store_close(store);
}

static void
test_descriptors(void)
{
	int			before = open_descriptors();
	ObjectStore *store = open_root(new_root(), true, 3);
	char		name[16];
	bool		all_read = true;
	bool		bounded = true;
	bool		close_on_exec = true;
	bool		inherited[1024];
	struct rlimit limit;
	struct rlimit low;
	int			fillers[64];
	int			nfillers = 0;
	SvError		err;

	for (int fd = 0; fd < 1024; fd++)
		inherited[fd] = fcntl(fd, F_GETFD) >= 0;
	for (int i = 0; i < 10; i++)
	{
		snprintf(name, sizeof(name), "o%d", i);
		all_read = all_read && put_text(store, name, name, &err) == SV_OK;
	}
	CHECK(all_read && open_descriptors() == before, "puts leave no descriptor open");
	for (int i = 0; i < 100; i++)
	{
		snprintf(name, sizeof(name), "o%d", i * 7 % 10);
		all_read = all_read && holds(store, name, name);
		bounded = bounded && open_descriptors() <= before + 3;
	}
	CHECK(all_read && bounded && open_descriptors() == before + 3,
		  "reading keeps as many descriptors as it may");
	for (int fd = 0; fd < 1024; fd++)
	{
		if (!inherited[fd] && fcntl(fd, F_GETFD) >= 0)
			close_on_exec = close_on_exec && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
	}
	CHECK(close_on_exec, "no descriptor survives an exec");

	/* With no descriptor free, one of the set has to go. */
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = 64;
	setrlimit(RLIMIT_NOFILE, &low);
	while (nfillers < 64 && (fillers[nfillers] = dup(STDOUT_FILENO)) >= 0)
		nfillers++;
	all_read = true;
	for (int i = 0; i < 10; i++)
	{
		snprintf(name, sizeof(name), "o%d", i);
		all_read = all_read && holds(store, name, name);
	}
	while (nfillers > 0)
		close(fillers[--nfillers]);
	setrlimit(RLIMIT_NOFILE, &limit);
	CHECK(all_read, "reading works when the process may open no more files");
	store_close(store);
	CHECK(open_descriptors() == before, "close leaves no descriptor open");
}

/* The least recently used one goes: what is read in between stays open. */
static void
test_least_recently_used(void)
{
	ObjectStore *store = open_root(new_root(), true, 2);
	SvError		err;

	put_text(store, "a", "a", &err);
	put_text(store, "b", "b", &err);
	put_text(store, "c", "c", &err);
	holds(store, "a", "a");
	holds(store, "b", "b");
	holds(store, "a", "a");
	holds(store, "c", "c");
	script(EVENT_NONE, 0, 0);
	CHECK(holds(store, "a", "a") && trace[0] == '\0', "the file used last is still open");
	CHECK(holds(store, "b", "b") && strcmp(trace, "open close ") == 0,
		  "the least recently used one was closed");
	end_script();
	store_close(store);
}

/* -------------------------------------------------------------------------
 * Crashes and failures during a put
 * ------------------------------------------------------------------------- */

static void
test_call_order(void)
{
	ObjectStore *store = open_root(new_root(), true, 4);
	SvSlice		parts[2] = {sv_slice("ab", 2), sv_slice("cd", 2)};
	SvError		err;

	script(EVENT_NONE, 0, 0);
	CHECK(store_put_if_absent(store, "d/a", parts, 2, NULL, &err) == SV_OK &&
		  strstr(trace, "mkdir opendir syncdir close mkdir opendir syncdir close create write write "
				 "fsync close link unlink opendir syncdir close ") != NULL,
		  "a first put: directories with their parents, file, name, directory");
	script(EVENT_NONE, 0, 0);
	CHECK(store_put_if_absent(store, "d/b", parts, 2, NULL, &err) == SV_OK &&
		  strcmp(trace, "create write write fsync close link unlink opendir syncdir close ") == 0,
		  "a second put into the directory");
	end_script();
	store_close(store);

	/* Another handle cannot know whether those directories are durable. */
	store = open_root(new_root(), true, 4);
	put_text(store, "d/a", "x", &err);
	store_close(store);
	scratch_roots--;
	store = open_root(new_root(), true, 4);
	script(EVENT_NONE, 0, 0);
	CHECK(put_text(store, "d/b", "x", &err) == SV_OK &&
		  strcmp(trace, "mkdir opendir syncdir close mkdir opendir syncdir close create write "
				 "fsync close link unlink opendir syncdir close ") == 0,
		  "the first put of a second handle fsyncs directories that it did not make");
	end_script();
	store_close(store);
}

typedef struct CrashCase
{
	const char *root;
	int			at;
} CrashCase;

static int
put_until_killed(void *state)
{
	CrashCase  *c = state;
	ObjectStore *store = open_root(c->root, true, 4);
	SvSlice		parts[2] = {sv_slice("first ", 6), sv_slice("second", 6)};
	SvStatus	status;
	SvError		err;

	script(EVENT_KILL, c->at, 0);
	status = store_put_if_absent(store, "x/y/a", parts, 2, NULL, &err);
	end_script();
	store_close(store);
	return (int) status;
}

static void
test_killed(void)
{
	bool		whole_or_absent = true;
	bool		again = true;
	int			with = 0;
	int			without = 0;
	CrashCase	c = {NULL, 0};
	int			result;

	do
	{
		ObjectStore *store;
		uint64_t	bytes;
		SvStatus	status;
		SvError		err;

		c.root = new_root();
		c.at++;
		result = in_child(put_until_killed, &c);
		store = open_root(c.root, true, 4);
		status = store_head(store, "x/y/a", &bytes, NULL, &err);
		if (status == SV_OK)
		{
			with++;
			whole_or_absent = whole_or_absent && holds(store, "x/y/a", "first second") &&
				listed(store) == 1;
			again = again && put_text(store, "x/y/a", "other", &err) == SV_EXISTS;
		}
		else
		{
			without++;
			whole_or_absent = whole_or_absent && status == SV_NOT_FOUND && listed(store) == 0;
			again = again && put_text(store, "x/y/a", "other", &err) == SV_OK &&
				holds(store, "x/y/a", "other");
		}
		store_close(store);
	} while (result == 99);
	CHECK(result == SV_OK && c.at > 15, "a put was killed before each of its system calls");
	CHECK(whole_or_absent && with > 1 && without > 10, "it left the object whole or not at all");
	CHECK(again, "and a later put finds the same");
}

/* Fails each system call of a put in turn. */
static void
test_failing_calls(int os_errno, SvStatus expected)
{
	bool		told = true;
	bool		clean = true;
	bool		truthful = true;
	SvStatus	status;
	int			failed = 0;

	for (int at = 1;; at++)
	{
		const char *root = new_root();
		ObjectStore *store = open_root(root, true, 4);
		int			before = open_descriptors();
		char		below[600];
		const char *last;
		bool		may_fail;
		bool		temporary_may_stay;
		SvError		err = {0};

		mkdir(root, 0700);
		script(EVENT_FAIL, at, os_errno);
		status = put_text(store, "x/a", "content", &err);
		if (calls < at)
		{
			end_script();
			store_close(store);
			break;
		}
		/* The call that failed is the at-th word. */
		last = trace;
		for (int i = 1; i < at; i++)
			last = strchr(last, ' ') + 1;
		temporary_may_stay = strncmp(last, "unlink", 6) == 0;

		/*
		 * Closing a directory decides nothing, nor does removing the
		 * temporary name, nor, first of all, making the root that is there.
		 */
		may_fail = at > 1 && !temporary_may_stay &&
			(strncmp(last, "close", 5) != 0 || strncmp(last, "close unlink", 12) == 0);
		end_script();

		failed += status != SV_OK;
		told = told && status == (may_fail ? expected : SV_OK) &&
			(status == SV_OK || (err.status == expected && err.os_errno == os_errno));
		snprintf(below, sizeof(below), "%s/x", root);
		clean = clean && open_descriptors() == before &&
			(temporary_may_stay || files_in(below, "~") == 0);
		truthful = truthful && (status != SV_OK || holds(store, "x/a", "content")) &&
			(listed(store) == 0 || holds(store, "x/a", "content"));
		store_close(store);
	}
	CHECK(told && failed > 8, strerror(os_errno));
	CHECK(clean, "a failed put leaves neither temporary file nor descriptor");
	CHECK(truthful && status == SV_OK, "a put that says so has put, and none leaves half an object");
}

static void
test_interrupted_calls(void)
{
	static const char *const retried[] = {"create", "write", "fsync", "syncdir"};
	ObjectStore *store = open_root(new_root(), true, 4);
	SvError		err;
	char		name[16];

	put_text(store, "warm", "x", &err);
	for (int i = 0; i < 4; i++)
	{
		static const int at[] = {1, 2, 3, 8};

		snprintf(name, sizeof(name), "i%d", i);
		script(EVENT_FAIL, at[i], EINTR);
		CHECK(put_text(store, name, "content", &err) == SV_OK && strstr(trace, retried[i]) != NULL &&
			  calls == 10, retried[i]);
		end_script();
		CHECK(holds(store, name, "content"), "an interrupted put is whole");
	}
	script(EVENT_SHORT, 2, 0);
	CHECK(put_text(store, "short", "content", &err) == SV_OK && calls == 10 &&
		  holds(store, "short", "content"), "a short write is continued");
	end_script();
	store_close(store);
}

/* A directory that somebody removes while the handle knows it as durable. */
static void
test_directory_removed(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	char		below[600];
	SvError		err;

	put_text(store, "d/a", "x", &err);
	snprintf(below, sizeof(below), "%s/d", root);
	remove_tree(below);
	CHECK(put_text(store, "d/a", "y", &err) == SV_OK && holds(store, "d/a", "y"),
		  "a directory that has gone is made again");
	store_close(store);
}

static bool
cancel_after(void *state)
{
	int		   *left = state;

	return (*left)-- <= 0;
}

static void
test_cancelled_put(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	size_t		len = 4 * 1024 * 1024;
	void	   *bytes = calloc(1, len);
	SvSlice		part = sv_slice(bytes, len);
	SvStatus	status = SV_CANCELLED;
	bool		clean = true;
	int			asked = 0;
	SvError		err;

	while (status == SV_CANCELLED)
	{
		int			left = asked++;
		StoreCall	call = {cancel_after, &left};

		status = store_put_if_absent(store, "a", &part, 1, &call, &err);
		clean = clean && files_in(root, "~") == 0 && (status == SV_OK || listed(store) <= 0);
	}
	CHECK(status == SV_OK && asked > 5, "a put asks whether to stop at each MiB");
	CHECK(clean, "a cancelled put leaves nothing");
	store_close(store);
	free(bytes);
}

/* -------------------------------------------------------------------------
 * Limits that the system sets
 * ------------------------------------------------------------------------- */

static int
put_over_limit(void *state)
{
	struct rlimit limit = {100 * 1024, 100 * 1024};
	size_t		len = 1024 * 1024;
	SvSlice		part = sv_slice(calloc(1, len), len);
	ObjectStore *store = open_root(state, true, 4);
	SvStatus	status;
	SvError		err;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	status = store_put_if_absent(store, "a", &part, 1, NULL, &err);
	store_close(store);
	free((void *) part.data);
	return (int) status;
}

static void
test_no_space(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);

	CHECK(in_child(put_over_limit, (void *) root) == SV_NO_SPACE, "a full disk is SV_NO_SPACE");
	CHECK(files_in(root, "") == 0 && listed(store) == 0, "and leaves nothing");
	store_close(store);
}

/* An ordinary user's put into, and remove from, a directory that is read-only. */
static int
change_read_only(void *state)
{
	ObjectStore *store = open_root(state, false, 4);
	SvStatus	put_status;
	SvStatus	remove_status;
	SvError		err;

	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
		return 98;
	put_status = put_text(store, "b", "x", &err);
	remove_status = store_remove(store, "a", NULL, &err);
	if (!holds(store, "a", "x"))
		return 97;
	store_close(store);
	return put_status == remove_status ? (int) put_status : 96;
}

static void
test_read_only(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	char		path[600];
	SvError		err;

	put_text(store, "a", "x", &err);
	snprintf(path, sizeof(path), "%s/a", root);
	chmod(path, 0644);
	chmod(root, 0555);
	CHECK(in_child(change_read_only, (void *) root) == SV_DENIED,
		  "a read-only directory is SV_DENIED, and can be read");
	chmod(root, 0700);
	CHECK(files_in(root, "") == 1, "and stays as it was");
	store_close(store);
}

/* -------------------------------------------------------------------------
 * The fault wrapper
 * ------------------------------------------------------------------------- */

static void
test_fault_refusals(ObjectStore *store)
{
	StoreFault	fault = {STORE_FAULT_FAIL, STORE_PUT, 0, 1, SV_IO};
	SvError		err;

	CHECK(store_fault_add(store, &fault, &err) == SV_INVALID, "calls are counted from 1");
	fault.first = 2;
	CHECK(store_fault_add(store, &fault, &err) == SV_INVALID, "the last call before the first");
	fault.first = 1;
	fault.status = SV_OK;
	CHECK(store_fault_add(store, &fault, &err) == SV_INVALID, "a failure that is none");
	fault.kind = STORE_FAULT_TORN_READ;
	CHECK(store_fault_add(store, &fault, &err) == SV_INVALID, "a torn read of a put");
}

static void
test_faults(void)
{
	static const StoreFault faults[] = {
		{STORE_FAULT_FAIL, STORE_PUT, 2, 2, SV_IO},
		{STORE_FAULT_LOST_REPLY, STORE_PUT, 3, 3, SV_IO},
		{STORE_FAULT_TORN_READ, STORE_GET, 2, 2, SV_OK},
		{STORE_FAULT_FAIL, STORE_GET, 3, 4, SV_NOT_FOUND},
		{STORE_FAULT_FAIL, STORE_HEAD, 4, UINT64_MAX, SV_DENIED},
		{STORE_FAULT_LOST_REPLY, STORE_REMOVE, 1, 1, SV_IO},
		{STORE_FAULT_FAIL, STORE_LIST, 1, 1, SV_IO},
		{STORE_FAULT_LOST_REPLY, STORE_LIST, 2, 2, SV_IO},
	};
	ObjectStore *inner = open_root(new_root(), true, 4);
	ObjectStore *store;
	char		buf[8];
	StoreRange	ranges[2] = {{0, 8, buf}, {8, 0, NULL}};
	uint64_t	bytes;
	int			count = 0;
	SvError		err = {0};

	CHECK(store_fault_open(&store, inner, &err) == SV_OK, "a wrapper");
	test_fault_refusals(store);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		CHECK(store_fault_add(store, &faults[i], &err) == SV_OK, "a fault");

	CHECK(put_text(store, "a", "12345678", &err) == SV_OK, "the first put works");
	CHECK(put_text(store, "b", "b", &err) == SV_IO && err.status == SV_IO &&
		  strstr(err.message, "\"b\"") != NULL &&
		  store_head(inner, "b", &bytes, NULL, &err) == SV_NOT_FOUND, "the second does nothing");
	CHECK(put_text(store, "c", "c", &err) == SV_IO && holds(inner, "c", "c"),
		  "the third is done, and its reply is lost");
	CHECK(put_text(store, "c", "c", &err) == SV_EXISTS && store_fault_calls(store, STORE_PUT) == 4,
		  "the fourth finds it");

	CHECK(store_get(store, "a", ranges, 2, NULL, &err) == SV_OK && memcmp(buf, "12345678", 8) == 0,
		  "the first get works");
	CHECK(store_get(store, "a", ranges, 2, NULL, &err) == SV_OK && memcmp(buf, "1234", 4) == 0 &&
		  buf[4] != '5' && buf[5] != '6' && buf[6] != '7' && buf[7] != '8', "the second is torn");
	CHECK(store_get(store, "a", ranges, 2, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, "a", ranges, 2, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, "a", ranges, 2, NULL, &err) == SV_OK, "the third and fourth find nothing");

	for (int i = 0; i < 3; i++)
		CHECK(store_head(store, "a", &bytes, NULL, &err) == SV_OK && bytes == 8, "a head works");
	CHECK(store_head(store, "a", &bytes, NULL, &err) == SV_DENIED &&
		  store_head(store, "a", &bytes, NULL, &err) == SV_DENIED, "from the fourth on heads fail");
	CHECK(store_remove(store, "c", NULL, &err) == SV_IO &&
		  store_head(inner, "c", &bytes, NULL, &err) == SV_NOT_FOUND,
		  "a remove is done, and its reply is lost");
	CHECK(store_list(store, "", count_one, &count, NULL, &err) == SV_IO && count == 0,
		  "a listing fails");
	CHECK(store_list(store, "", count_one, &count, NULL, &err) == SV_IO && count == 1,
		  "a listing fails at its end");
	CHECK(listed(store) == 1 && store_fault_calls(store, STORE_LIST) == 3, "the next one works");
	store_close(store);
}

int
main(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(scratch, sizeof(scratch), "%s/test_store_XXXXXX", base != NULL ? base : "/tmp");
	if (mkdtemp(scratch) == NULL || chmod(scratch, 0755) != 0)
	{
		printf("Bail out! no scratch directory\n");
		return 1;
	}
	test_conformance();
	test_options();
	test_missing_root();
	test_relative_root();
	test_not_objects();
	test_temporary_taken();
	test_descriptors();
	test_least_recently_used();
	test_call_order();
	test_killed();
	test_failing_calls(EIO, SV_IO);
	test_failing_calls(ENOSPC, SV_NO_SPACE);
	test_failing_calls(EROFS, SV_DENIED);
	test_interrupted_calls();
	test_directory_removed();
	test_cancelled_put();
	test_no_space();
	test_read_only();
	test_faults();
	remove_tree(scratch);
	return unit_done();
}
