/*
 * test_store.c
 *		The store interface, the directory driver and the fault wrapper.
 */
#include "unit.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/resource.h>

#include "store/store_fault.h"
#include "store_conformance.h"
#include "store_scratch.h"

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
	StoreRange	range = {"a", 0, 1, &c};
	StoreObject object;
	int			count = 0;
	struct stat st;
	SvError		err;

	snprintf(expected, sizeof(expected), "store directory \"%s\" does not exist", root);
	CHECK(put_text(store, "a", "x", &err) == SV_IO && strcmp(err.message, expected) == 0,
		  "put without a root");
	CHECK(put_text(store, "d/a", "x", &err) == SV_IO && stat(root, &st) != 0,
		  "put without a root makes no directory");
	err.message[0] = '\0';
	CHECK(store_get(store, &range, 1, NULL, NULL, &err) == SV_IO &&
		  strcmp(err.message, expected) == 0, "get without a root");
	CHECK(store_head(store, "a", &object, NULL, &err) == SV_IO, "head without a root");
	CHECK(store_remove(store, "a", NULL, &err) == SV_IO, "remove without a root");
	CHECK(store_list(store, "", NULL, count_one, &count, NULL, &err) == SV_IO, "list without a root");

	snprintf(deep, sizeof(deep), "%s/x//y/", root);
	maker = open_root(deep, true, 4);
	CHECK(listed(maker) == 0 && store_head(maker, "a", &object, NULL, &err) == SV_NOT_FOUND &&
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
	StoreObject object;
	char		c;
	StoreRange	range = {"d", 0, 1, &c};
	StoreRange	below = {"d/a/b", 0, 1, &c};
	SvError		err;

	CHECK(put_text(store, "d/a", "x", &err) == SV_OK, "an object in a directory");
	CHECK(store_head(store, "d", &object, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, &range, 1, NULL, NULL, &err) == SV_NOT_FOUND &&
		  store_remove(store, "d", NULL, &err) == SV_OK, "a directory is no object");
	CHECK(store_head(store, "d/a/b", &object, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, &below, 1, NULL, NULL, &err) == SV_NOT_FOUND &&
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

/* -------------------------------------------------------------------------
 * Replacing
 * ------------------------------------------------------------------------- */

#define INCREMENTS 60

/* Adds one to the number in an object, so often, whoever else does. */
static int
increment(void *state)
{
	ObjectStore *store = open_root(state, true, 4);
	int			done = 0;
	SvBuffer	content;
	SvError		err;

	sv_buffer_init(&content, &sv_malloc_alloc);
	while (done < INCREMENTS)
	{
		StoreObject object = {0};
		char		number[32] = "0";
		SvStatus	status;

		sv_buffer_reset(&content);
		status = store_get_small(store, "d/n", 20, &content, &object, NULL, &err);
		if (status != SV_OK && status != SV_NOT_FOUND)
			return 1;
		if (status == SV_OK)
			snprintf(number, sizeof(number), "%.*s", (int) content.len, (const char *) content.data);
		snprintf(number, sizeof(number), "%010d", atoi(number) + 1);
		status = store_put_if_match(store, "d/n", sv_slice(number, 10), object.etag, NULL, NULL, &err);
		if (status != SV_OK && status != SV_EXISTS)
			return 2;
		done += status == SV_OK;
	}
	sv_buffer_free(&content);
	store_close(store);
	return 0;
}

static void
test_replacing_races(void)
{
	enum { NPROCESSES = 4 };
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	pid_t		pids[NPROCESSES];
	bool		all_done = true;
	char		below[600];
	char		expected[32];

	fflush(stdout);
	for (int i = 0; i < NPROCESSES; i++)
		if ((pids[i] = fork()) == 0)
			_exit(increment((void *) root));
	for (int i = 0; i < NPROCESSES; i++)
	{
		int			wait_status;

		all_done = waitpid(pids[i], &wait_status, 0) == pids[i] && WIFEXITED(wait_status) &&
			WEXITSTATUS(wait_status) == 0 && all_done;
	}
	snprintf(expected, sizeof(expected), "%010d", NPROCESSES * INCREMENTS);
	CHECK(all_done && holds(store, "d/n", expected), "no replacement by four processes is lost");
	snprintf(below, sizeof(below), "%s/d", root);
	CHECK(files_in(below, "~") == 1 && files_in(below, "~lock") == 1 && listed(store) == 1,
		  "and nothing stays but the lock file");
	store_close(store);
}

/* Inodes are used again and clocks stand still: so times of modification have to tell contents apart. */
static void
test_etags_never_return(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {4000000000, 999999999}};
	char		path[600];
	StoreObject object;
	struct stat st;
	SvError		err;

	snprintf(path, sizeof(path), "%s/o", root);
	CHECK(store_put_if_match(store, "o", sv_slice("same", 4), "", NULL, NULL, &err) == SV_OK &&
		  utimensat(AT_FDCWD, path, times, 0) == 0 && store_head(store, "o", &object, NULL, &err) == SV_OK &&
		  store_put_if_match(store, "o", sv_slice("same", 4), object.etag, NULL, NULL, &err) == SV_OK &&
		  stat(path, &st) == 0 && st.st_mtim.tv_sec == 4000000001 && st.st_mtim.tv_nsec == 0,
		  "what replaces an object is later, whatever the clock says");
	store_close(store);
}

/* An open file of the object that was replaced is not what is read. */
static void
test_replaced_is_read(void)
{
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	ObjectStore *other = open_root(root, true, 4);
	char		etag[STORE_ETAG_BYTES];
	SvBuffer	content;
	SvError		err;

	sv_buffer_init(&content, &sv_malloc_alloc);
	CHECK(store_put_if_match(store, "o", sv_slice("one", 3), "", etag, NULL, &err) == SV_OK &&
		  holds(store, "o", "one") &&
		  store_put_if_match(other, "o", sv_slice("two", 3), etag, etag, NULL, &err) == SV_OK &&
		  store_get_small(store, "o", 3, &content, NULL, NULL, &err) == SV_OK && memcmp(content.data, "two", 3) == 0,
		  "get_small reads what another handle has put");
	CHECK(holds(other, "o", "two") &&
		  store_put_if_match(other, "o", sv_slice("six", 3), etag, etag, NULL, &err) == SV_OK &&
		  holds(other, "o", "six"), "a handle reads what it has put itself");
	sv_buffer_free(&content);
	store_close(store);
	store_close(other);
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
	StoreRange	ranges[2] = {{"a", 0, 8, buf}, {"a", 8, 0, NULL}};
	StoreObject object;
	int			count = 0;
	SvError		err = {0};

	CHECK(store_fault_open(&store, inner, &err) == SV_OK, "a wrapper");
	test_fault_refusals(store);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		CHECK(store_fault_add(store, &faults[i], &err) == SV_OK, "a fault");

	CHECK(put_text(store, "a", "12345678", &err) == SV_OK, "the first put works");
	CHECK(put_text(store, "b", "b", &err) == SV_IO && err.status == SV_IO &&
		  strstr(err.message, "\"b\"") != NULL &&
		  store_head(inner, "b", &object, NULL, &err) == SV_NOT_FOUND, "the second does nothing");
	CHECK(put_text(store, "c", "c", &err) == SV_IO && holds(inner, "c", "c"),
		  "the third is done, and its reply is lost");
	CHECK(put_text(store, "c", "c", &err) == SV_EXISTS && store_fault_calls(store, STORE_PUT) == 4,
		  "the fourth finds it");

	CHECK(store_get(store, ranges, 2, NULL, NULL, &err) == SV_OK && memcmp(buf, "12345678", 8) == 0,
		  "the first get works");
	CHECK(store_get(store, ranges, 2, NULL, NULL, &err) == SV_OK && memcmp(buf, "1234", 4) == 0 &&
		  buf[4] != '5' && buf[5] != '6' && buf[6] != '7' && buf[7] != '8', "the second is torn");
	CHECK(store_get(store, ranges, 2, NULL, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, ranges, 2, NULL, NULL, &err) == SV_NOT_FOUND &&
		  store_get(store, ranges, 2, NULL, NULL, &err) == SV_OK, "the third and fourth find nothing");

	for (int i = 0; i < 3; i++)
		CHECK(store_head(store, "a", &object, NULL, &err) == SV_OK && object.bytes == 8, "a head works");
	CHECK(store_head(store, "a", &object, NULL, &err) == SV_DENIED &&
		  store_head(store, "a", &object, NULL, &err) == SV_DENIED, "from the fourth on heads fail");
	CHECK(store_remove(store, "c", NULL, &err) == SV_IO &&
		  store_head(inner, "c", &object, NULL, &err) == SV_NOT_FOUND,
		  "a remove is done, and its reply is lost");
	CHECK(store_list(store, "", NULL, count_one, &count, NULL, &err) == SV_IO && count == 0,
		  "a listing fails");
	CHECK(store_list(store, "", NULL, count_one, &count, NULL, &err) == SV_IO && count == 1,
		  "a listing fails at its end");
	CHECK(listed(store) == 1 && store_fault_calls(store, STORE_LIST) == 3, "the next one works");
	store_close(store);
}

int
main(void)
{
	make_scratch();
	test_conformance();
	test_options();
	test_missing_root();
	test_relative_root();
	test_not_objects();
	test_temporary_taken();
	test_directory_removed();
	test_descriptors();
	test_replacing_races();
	test_etags_never_return();
	test_replaced_is_read();
	test_no_space();
	test_read_only();
	test_faults();
	remove_tree(scratch);
	return unit_done();
}
