/*
 * test_store_crash.c
 *		The directory driver's system calls: their order, and what is left when
 *		the process dies or a call fails at any of them.
 *
 * The system calls that a put makes are defined here and so come before the C
 * library's: they record what was called, and at a chosen call kill the
 * process, fail, or do half their work.
 */
#include "unit.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>

#include "store_scratch.h"

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
	if (meet((flags & O_CREAT) != 0 ? "create" :
			 (flags & O_DIRECTORY) != 0 ? "opendir" : "open", NULL))
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
rename(const char *from, const char *to)
{
	if (meet("rename", NULL))
		return -1;
	return (int) syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
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
 * Tests
 * ------------------------------------------------------------------------- */

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
		StoreObject object;
		SvStatus	status;
		SvError		err;

		c.root = new_root();
		c.at++;
		result = in_child(put_until_killed, &c);
		store = open_root(c.root, true, 4);
		status = store_head(store, "x/y/a", &object, NULL, &err);
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

/* Replaces an object of another handle, or makes one. */
static int
replace_until_killed(void *state)
{
	CrashCase  *c = state;
	ObjectStore *store = open_root(c->root, true, 4);
	StoreObject object = {0};
	SvStatus	status;
	SvError		err;

	(void) store_head(store, "x/y/o", &object, NULL, &err);
	script(EVENT_KILL, c->at, 0);
	status = store_put_if_match(store, "x/y/o", sv_slice("second", 6), object.etag, NULL, NULL, &err);
	end_script();
	store_close(store);
	return (int) status;
}

static void
test_replacing_killed(bool with_old)
{
	bool		old_or_new = true;
	bool		again = true;
	int			with_new = 0;
	int			without = 0;
	CrashCase	c = {NULL, 0};
	int			result;

	do
	{
		ObjectStore *store;
		StoreObject object = {0};
		SvError		err;

		c.root = new_root();
		c.at++;
		store = open_root(c.root, true, 4);
		if (with_old)
			store_put_if_match(store, "x/y/o", sv_slice("first", 5), "", NULL, NULL, &err);
		result = in_child(replace_until_killed, &c);
		if (holds(store, "x/y/o", "second"))
			with_new++;
		else
		{
			without++;
			old_or_new = old_or_new && listed(store) == with_old && (!with_old || holds(store, "x/y/o", "first"));
		}
		(void) store_head(store, "x/y/o", &object, NULL, &err);
		again = again && store_put_if_match(store, "x/y/o", sv_slice("third", 5), object.etag, NULL, NULL,
											&err) == SV_OK;
		store_close(store);
	} while (result == 99);
	CHECK(result == SV_OK && c.at > 8, "a replacement was killed before each of its system calls");
	CHECK(old_or_new && with_new > 1 && without > 5, "it left the old object or the new one");
	CHECK(again, "and holds no lock");
}

/* -------------------------------------------------------------------------
 * Uploads
 * ------------------------------------------------------------------------- */

#define PIECES 3
static const size_t piece_bytes[PIECES] = {5, 1500000, 3};	/* the second takes two writes */

/* An object that is written in pieces while it is made. */
static SvStatus
upload_pieces(ObjectStore *store, const char *name, SvError *err)
{
	static uint8_t bytes[1500000];
	StoreUpload *upload;
	SvStatus	status = store_upload_begin(store, name, &upload, NULL, err);

	if (status != SV_OK)
		return status;
	for (int i = 0; i < PIECES && status == SV_OK; i++)
	{
		memset(bytes, 'a' + i, piece_bytes[i]);
		status = store_upload_append(upload, bytes, piece_bytes[i], NULL, err);
	}
	if (status == SV_OK)
		return store_upload_finish(upload, NULL, err);
	store_upload_abort(upload, NULL);
	return status;
}

static bool
holds_pieces(ObjectStore *store, const char *name)
{
	static uint8_t bytes[1500000];
	StoreRange	range = {.name = name,.dst = bytes};
	StoreObject object;
	bool		right;
	SvError		err;

	right = store_head(store, name, &object, NULL, &err) == SV_OK;
	for (int i = 0; i < PIECES && right; i++)
	{
		range.len = piece_bytes[i];
		right = store_get(store, &range, 1, NULL, NULL, &err) == SV_OK;
		for (size_t at = 0; at < range.len && right; at++)
			right = bytes[at] == 'a' + i;
		range.offset += range.len;
	}
	return right && object.bytes == range.offset;
}

static int
upload_until_killed(void *state)
{
	CrashCase  *c = state;
	ObjectStore *store = open_root(c->root, true, 4);
	SvStatus	status;
	SvError		err;

	script(EVENT_KILL, c->at, 0);
	status = upload_pieces(store, "x/y/a", &err);
	end_script();
	store_close(store);
	return (int) status;
}

/* Sweeps, and says how many temporary files are left beside an object x/y/...; -1: what sweep says is not true. */
static int
swept(ObjectStore *store, const char *root, int min_age_s)
{
	char		directory[600];
	int			left = -1;
	int			files;
	SvError		err;
	SvStatus	status = store_sweep(store, "", min_age_s, &left, NULL, &err);

	snprintf(directory, sizeof(directory), "%s/x/y", root);
	files = files_in(directory, "~");
	return status == SV_OK && left == files ? files : -1;
}

static void
test_upload_killed(void)
{
	bool		whole_or_absent = true;
	bool		again = true;
	bool		cleaned = true;
	int			with = 0;
	int			without = 0;
	int			leftovers = 0;
	CrashCase	c = {NULL, 0};
	int			result;

	do
	{
		ObjectStore *store;
		StoreObject object;
		SvStatus	status;
		int			files;
		SvError		err;

		c.root = new_root();
		c.at++;
		result = in_child(upload_until_killed, &c);
		store = open_root(c.root, true, 4);
		status = store_head(store, "x/y/a", &object, NULL, &err);
		files = swept(store, c.root, 3600);
		leftovers += files;
		cleaned = cleaned && files >= 0 && files <= 1 && swept(store, c.root, 0) == 0;
		if (status == SV_OK)
		{
			with++;
			whole_or_absent = whole_or_absent && holds_pieces(store, "x/y/a") && listed(store) == 1;
			again = again && upload_pieces(store, "x/y/a", &err) == SV_EXISTS;
		}
		else
		{
			without++;
			whole_or_absent = whole_or_absent && status == SV_NOT_FOUND && listed(store) == 0;
			again = again && upload_pieces(store, "x/y/a", &err) == SV_OK;
		}
		again = again && holds_pieces(store, "x/y/a") && swept(store, c.root, 3600) == 0;
		store_close(store);
	} while (result == 99);
	CHECK(result == SV_OK && c.at > 18, "an upload was killed before each of its system calls");
	CHECK(whole_or_absent && with > 1 && without > 14, "it left the object whole or not at all");
	CHECK(cleaned && leftovers > 6, "what it left beside it goes with a sweep, when it is old");
	CHECK(again, "and a later upload finds the same, and leaves nothing");
}

/* What is swept, and what is not. */
static void
test_sweep(void)
{
	static const char *const files[] = {
		"x/~12.0", "x/y/~3.45", "x/~12", "x/~12.", "x/~.1", "x/~1.2x", "~12.0", "x/12.0"
	};
	const char *root = new_root();
	ObjectStore *store = open_root(root, true, 4);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},{.tv_sec = time(NULL) - 100}};
	char		path[600];
	int			there = 0;
	int			left;
	SvError		err = {0};

	CHECK(store_sweep(store, "", 0, &left, NULL, &err) == SV_OK && left == 0, "a sweep where nothing is");
	store_put_if_match(store, "x/y/OWNER", sv_slice("o", 1), "", NULL, NULL, &err);
	for (int i = 0; i < 8; i++)
	{
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		fclose(fopen(path, "w"));
	}
	snprintf(path, sizeof(path), "%s/%s", root, files[0]);
	CHECK(utimensat(AT_FDCWD, path, times, 0) == 0, "one is older");
	CHECK(store_sweep(store, "x/y/", 0, &left, NULL, &err) == SV_OK && left == 0 && access(path, F_OK) == 0,
		  "a sweep of another directory leaves it alone");
	script(EVENT_FAIL, 1, EIO);
	CHECK(store_sweep(store, "x/", 50, &left, NULL, &err) == SV_IO && err.os_errno == EIO &&
		  strstr(err.message, "/x/~12.0") != NULL && strcmp(trace, "unlink ") == 0, "what cannot be removed is told");
	end_script();
	script(EVENT_FAIL, 1, EACCES);
	CHECK(store_sweep(store, "x/", 50, &left, NULL, &err) == SV_OK && left == 0 && access(path, F_OK) == 0 &&
		  strcmp(trace, "unlink ") == 0, "what may not be removed stays, uncounted");
	end_script();
	snprintf(path, sizeof(path), "%s/%s", root, files[1]);
	fclose(fopen(path, "w"));
	CHECK(store_sweep(store, "x/", 50, &left, NULL, &err) == SV_OK && left == 1, "what is young is left");
	for (int i = 0; i < 8; i++)
	{
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		there |= (access(path, F_OK) == 0) << i;
	}
	CHECK(there == 0xFE, "nothing goes that is not a temporary file");
	snprintf(path, sizeof(path), "%s/x/y", root);
	CHECK(files_in(path, "~lock") == 1 && holds(store, "x/y/OWNER", "o"), "the lock stays, and what it guards");
	store_close(store);
}

/* -------------------------------------------------------------------------
 * Failures
 * ------------------------------------------------------------------------- */

/* Two ways to write an object, and what it has then. */
typedef struct Way
{
	SvStatus	(*put) (ObjectStore *store, const char *name, SvError *err);
	bool		(*is_there) (ObjectStore *store, const char *name);
} Way;

static SvStatus
put_content(ObjectStore *store, const char *name, SvError *err)
{
	return put_text(store, name, "content", err);
}

static bool
holds_content(ObjectStore *store, const char *name)
{
	return holds(store, name, "content");
}

static const Way by_put = {put_content, holds_content};
static const Way by_upload = {upload_pieces, holds_pieces};

/* Fails each system call of a put in turn. */
static void
test_failing_calls(const Way *way, int os_errno, SvStatus expected)
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
		status = way->put(store, "x/a", &err);
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
		truthful = truthful && (status != SV_OK || way->is_there(store, "x/a")) &&
			(listed(store) == 0 || way->is_there(store, "x/a"));
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
		CHECK(put_text(store, name, "content", &err) == SV_OK && calls == 10 &&
			  strstr(trace, retried[i]) != NULL, retried[i]);
		end_script();
		CHECK(holds(store, name, "content"), "an interrupted put is whole");
	}
	script(EVENT_SHORT, 2, 0);
	CHECK(put_text(store, "short", "content", &err) == SV_OK && calls == 10 &&
		  holds(store, "short", "content"), "a short write is continued");
	end_script();
	store_close(store);
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
		StoreCall	call = {.cancelled = cancel_after,.state = &left};

		status = store_put_if_absent(store, "a", &part, 1, &call, &err);
		clean = clean && files_in(root, "~") == 0 && (status == SV_OK || listed(store) <= 0);
	}
	CHECK(status == SV_OK && asked > 5, "a put asks whether to stop at each MiB");
	CHECK(clean, "a cancelled put leaves nothing");
	store_close(store);
	free(bytes);
}

int
main(void)
{
	make_scratch();
	test_least_recently_used();
	test_call_order();
	test_killed();
	test_replacing_killed(true);
	test_replacing_killed(false);
	test_upload_killed();
	test_sweep();
	test_failing_calls(&by_put, EIO, SV_IO);
	test_failing_calls(&by_put, ENOSPC, SV_NO_SPACE);
	test_failing_calls(&by_put, EROFS, SV_DENIED);
	test_failing_calls(&by_upload, EIO, SV_IO);
	test_failing_calls(&by_upload, ENOSPC, SV_NO_SPACE);
	test_interrupted_calls();
	test_cancelled_put();
	remove_tree(scratch);
	return unit_done();
}
