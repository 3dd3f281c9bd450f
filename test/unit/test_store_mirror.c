/*
 * test_store_mirror.c
 *		A store whose whole content is kept on local disk.
 */
#include "unit.h"

#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "cache/disk_files.h"
#include "cache_fixture.h"
#include "store/store_fault.h"
#include "store/store_mirror.h"
#include "store_conformance.h"
#include "store_scratch.h"

/* Some ranges of pages, the last page short. */
#define OBJECT_BYTES ((size_t) 3 * DISK_RANGE_BYTES + 5000)

typedef struct Mirrored
{
	char		path[512];
	ObjectStore *faults;
	ObjectStore *store;
} Mirrored;

static void
open_over(Mirrored *mirrored, const char *path, const char *inner)
{
	StoreMirrorOptions options = {.path = mirrored->path,.identity = "here",.max_open_files = 2};
	SvError		err;

	snprintf(mirrored->path, sizeof(mirrored->path), "%s", path);
	if (store_fault_open(&mirrored->faults, open_root(inner, true, 8), &err) != SV_OK ||
		store_mirror_open(&mirrored->store, mirrored->faults, &options, &err) != SV_OK)
		exit(1);
}

static void
open_mirrored(Mirrored *mirrored)
{
	char		path[520];

	snprintf(path, sizeof(path), "%s/mirror", new_root());
	open_over(mirrored, path, new_root());
	(void) mkdir(scratch, 0700);
	*strrchr(path, '/') = '\0';
	(void) mkdir(path, 0700);
}

static uint64_t
gets(const Mirrored *mirrored)
{
	return store_fault_calls(mirrored->faults, STORE_GET);
}

static const uint8_t *
content_of(const char *name)
{
	static uint8_t bytes[OBJECT_BYTES];

	fixture_content(fixture_run((uint64_t) name[0]), 0, 0, OBJECT_BYTES, bytes);
	return bytes;
}

static SvStatus
put(ObjectStore *store, const char *name)
{
	SvSlice		parts[2] = {sv_slice(content_of(name), 100), sv_slice(content_of(name) + 100, OBJECT_BYTES - 100)};
	SvError		err;

	return store_put_if_absent(store, name, parts, 2, NULL, &err);
}

static bool
reads_right(const Mirrored *mirrored, const char *name, uint64_t offset, size_t len)
{
	static uint8_t bytes[OBJECT_BYTES];
	StoreRange	range = {.name = name,.offset = offset,.len = len,.dst = bytes};
	SvError		err;

	return store_get(mirrored->store, &range, 1, NULL, NULL, &err) == SV_OK &&
		memcmp(bytes, content_of(name) + offset, len) == 0;
}

static bool
fills(const Mirrored *mirrored, const char *name)
{
	bool		filled;
	SvError		err;

	return store_mirror_fill(mirrored->store, name, OBJECT_BYTES, &filled, NULL, &err) == SV_OK && filled;
}

/* The only file of the mirror, or one of them; "" if there is none. */
static char found_file[PATH_MAX];
static int	found_files;

static int
find_one(const char *path, const struct stat *st, int type, struct FTW *position)
{
	(void) st;
	(void) position;
	if (type == FTW_F)
	{
		snprintf(found_file, sizeof(found_file), "%s", path);
		found_files++;
	}
	return 0;
}

static int
count_files(const Mirrored *mirrored)
{
	found_files = 0;
	found_file[0] = '\0';
	nftw(mirrored->path, find_one, 16, FTW_PHYS);
	return found_files;
}

static void
test_conformance(void)
{
	Mirrored	mirrored;
	int			before = open_descriptors();

	open_mirrored(&mirrored);
	CHECK(store_conformance(mirrored.store, "mirror") == 0, "a store with a mirror conforms");
	CHECK(count_files(&mirrored) == 0, "and leaves no file behind");
	CHECK(store_is_mirror(mirrored.store) && !store_is_mirror(mirrored.faults), "it knows what it is");
	store_close(mirrored.store);
	CHECK(open_descriptors() == before, "nor a descriptor");
}

static void
test_writes(void)
{
	Mirrored	mirrored;
	StoreUpload *upload;
	StoreCall	call = {.caller = STORE_SNAPSHOT};
	SvSlice		part = sv_slice("x", 1);
	SvError		err;
	bool		right = true;
	uint64_t	random = 1;

	open_mirrored(&mirrored);
	CHECK(put(mirrored.store, "a") == SV_OK && reads_right(&mirrored, "a", 0, OBJECT_BYTES) && gets(&mirrored) == 0,
		  "what was put is read locally");
	for (int i = 0; i < 500; i++)
	{
		uint64_t	offset = fixture_random(&random) % OBJECT_BYTES;

		right = right && reads_right(&mirrored, "a", offset, 1 + fixture_random(&random) % (OBJECT_BYTES - offset));
	}
	CHECK(right && gets(&mirrored) == 0, "any piece of it");
	CHECK(store_upload_begin(mirrored.store, "b", &upload, NULL, &err) == SV_OK, "an upload");
	for (size_t at = 0; at < OBJECT_BYTES; at += 7777)
		right = right && store_upload_append(upload, content_of("b") + at, OBJECT_BYTES - at < 7777 ?
											 OBJECT_BYTES - at : 7777, NULL, &err) == SV_OK;
	CHECK(right && store_upload_finish(upload, NULL, &err) == SV_OK && reads_right(&mirrored, "b", 0, OBJECT_BYTES) &&
		  gets(&mirrored) == 0, "what was uploaded is read locally");
	CHECK(put(mirrored.store, "b") == SV_EXISTS &&
		  store_upload_begin(mirrored.store, "c", &upload, NULL, &err) == SV_OK &&
		  store_upload_append(upload, "x", 1, NULL, &err) == SV_OK, "a put that fails, and an upload");
	store_upload_abort(upload, NULL);
	CHECK(store_put_if_absent(mirrored.store, "snapshot", &part, 1, &call, &err) == SV_OK &&
		  count_files(&mirrored) == 2, "that is aborted, and a snapshot, leave no file");
	CHECK(store_remove(mirrored.store, "a", NULL, &err) == SV_OK && count_files(&mirrored) == 1 &&
		  !reads_right(&mirrored, "a", 0, 1), "what is removed is removed locally");
	store_close(mirrored.store);
}

static void
test_fill(void)
{
	Mirrored	mirrored;
	bool		filled;
	SvError		err;

	open_mirrored(&mirrored);
	put(mirrored.faults, "a");
	CHECK(reads_right(&mirrored, "a", 10, 100) && gets(&mirrored) == 1 && count_files(&mirrored) == 0,
		  "what is not there is read from the store");
	CHECK(fills(&mirrored, "a") && count_files(&mirrored) == 1, "it is fetched when somebody says so");
	CHECK(store_mirror_fill(mirrored.store, "a", OBJECT_BYTES, &filled, NULL, &err) == SV_OK && !filled &&
		  gets(&mirrored) == 2 && reads_right(&mirrored, "a", 0, OBJECT_BYTES) && gets(&mirrored) == 2, "once");
	CHECK(store_mirror_fill(mirrored.store, "z", OBJECT_BYTES, &filled, NULL, &err) == SV_NOT_FOUND && !filled &&
		  count_files(&mirrored) == 1, "an object that is not there");
	store_close(mirrored.store);
}

/* The file as damage leaves it: read right, and fetched again when somebody says so. */
static void
check_mended(const Mirrored *mirrored, uint64_t offset, const char *name)
{
	uint64_t	before = gets(mirrored);

	CHECK(reads_right(mirrored, "a", offset, 10) && gets(mirrored) == before + 1, name);
	CHECK(fills(mirrored, "a") && reads_right(mirrored, "a", 0, OBJECT_BYTES) && gets(mirrored) == before + 2,
		  "it is mended");
}

static void
flip(const char *path, off_t at)
{
	int			fd = open(path, O_RDWR);
	uint8_t		byte = 0;

	if (pread(fd, &byte, 1, at) != 1 || (byte ^= 1, pwrite(fd, &byte, 1, at)) != 1)
		printf("# could not flip a byte of %s\n", path);
	close(fd);
}

static void
test_damage(void)
{
	Mirrored	mirrored;
	Mirrored	other;
	char		of_a[PATH_MAX];
	char		inner[512];
	struct stat st;

	snprintf(inner, sizeof(inner), "%s", new_root());
	open_mirrored(&mirrored);
	put(mirrored.store, "a");
	count_files(&mirrored);
	snprintf(of_a, sizeof(of_a), "%s", found_file);
	stat(of_a, &st);
	flip(of_a, 2 * DISK_PAGE_BYTES + 100);
	CHECK(reads_right(&mirrored, "a", 0, 2 * DISK_PAGE_DATA) && gets(&mirrored) == 0, "damage elsewhere costs nothing");
	check_mended(&mirrored, 2 * DISK_PAGE_DATA + 500, "a flipped byte costs a get");
	flip(of_a, st.st_size - 1);
	check_mended(&mirrored, OBJECT_BYTES - 10, "in the check of a short page, too");
	CHECK(truncate(of_a, st.st_size - 1) == 0, "cut by a byte");
	check_mended(&mirrored, OBJECT_BYTES - 10, "costs a get");
	CHECK(truncate(of_a, 2 * DISK_PAGE_BYTES) == 0, "cut to some pages");
	check_mended(&mirrored, OBJECT_BYTES / 2, "costs a get");
	CHECK(truncate(of_a, 0) == 0, "emptied");
	check_mended(&mirrored, 0, "costs a get");
	CHECK(truncate(of_a, 0) == 0 && truncate(of_a, st.st_size) == 0, "all zeros");
	check_mended(&mirrored, 0, "costs a get");
	put(mirrored.store, "b");
	for (int i = 0; i < 2 && strcmp(found_file, of_a) == 0; i++)
		count_files(&mirrored);
	CHECK(unlink(of_a) == 0, "deleted");

	/* Another process, that does not have the file open. */
	open_over(&other, mirrored.path, inner);
	put(other.faults, "a");
	check_mended(&other, 0, "costs a get");
	CHECK(reads_right(&mirrored, "a", 0, OBJECT_BYTES), "the first goes on");
	store_close(other.store);
	store_close(mirrored.store);
}

/* Another object's file in the place of this one's. */
static void
test_foreign(void)
{
	Mirrored	mirrored;
	char		of_a[PATH_MAX];
	SvError		err;

	open_mirrored(&mirrored);
	put(mirrored.store, "a");
	count_files(&mirrored);
	snprintf(of_a, sizeof(of_a), "%s", found_file);
	CHECK(store_remove(mirrored.store, "a", NULL, &err) == SV_OK && put(mirrored.store, "b") == SV_OK,
		  "another object");
	count_files(&mirrored);
	put(mirrored.faults, "a");
	CHECK(rename(found_file, of_a) == 0, "with this one's name");
	check_mended(&mirrored, 0, "costs a get");
	store_close(mirrored.store);
}

/* A process that has an old, damaged file open does not remove the new one. */
static void
test_damaged_and_replaced(void)
{
	Mirrored	first;
	Mirrored	second;
	char		inner[512];

	snprintf(inner, sizeof(inner), "%s", new_root());
	open_mirrored(&first);
	store_close(first.store);
	open_over(&second, first.path, inner);
	open_over(&first, second.path, inner);
	put(first.store, "a");
	CHECK(reads_right(&second, "a", 0, 10), "a process has the file open");
	count_files(&first);
	flip(found_file, 100);
	check_mended(&first, 0, "which is damaged");
	CHECK(reads_right(&second, "a", 0, 10) && gets(&second) == 0 && count_files(&first) == 1 &&
		  reads_right(&first, "a", 0, OBJECT_BYTES), "both read the new one");
	store_close(first.store);
	store_close(second.store);
}

/* ---- disks that do not play along, and deaths ---- */

static int
put_over_limit(void *state)
{
	Mirrored   *mirrored = state;
	struct rlimit limit = {100000, 100000};
	bool		filled;
	SvError		err;

	/* The object itself lies on another disk, as it were. */
	put(mirrored->faults, "b");
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	if (store_mirror_fill(mirrored->store, "b", OBJECT_BYTES, &filled, NULL, &err) == SV_OK || filled ||
		strstr(err.message, "could not write mirror file") == NULL)
		return 1;
	return reads_right(mirrored, "b", 0, OBJECT_BYTES) && count_files(mirrored) == 0 ? 0 : 2;
}

static int
put_read_only(void *state)
{
	Mirrored   *mirrored = state;
	bool		filled;
	SvError		err;

	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
		return 98;
	if (put(mirrored->store, "c") != SV_OK || !reads_right(mirrored, "c", 0, OBJECT_BYTES))
		return 1;
	return store_mirror_fill(mirrored->store, "c", OBJECT_BYTES, &filled, NULL, &err) == SV_DENIED ? 0 : 2;
}

static void
test_disks(void)
{
	Mirrored	mirrored;
	char		inner[512];
	char		path[520];

	open_mirrored(&mirrored);
	CHECK(in_child(put_over_limit, &mirrored) == 0, "a full disk fails the filling, not a read, and leaves no file");
	store_close(mirrored.store);

	snprintf(inner, sizeof(inner), "%s", new_root());
	snprintf(path, sizeof(path), "%s", new_root());
	(void) mkdir(inner, 0777);
	(void) chmod(inner, 0777);
	(void) mkdir(path, 0555);
	open_over(&mirrored, path, inner);
	CHECK(in_child(put_read_only, &mirrored) == 0, "a read-only disk fails no put");
	store_close(mirrored.store);
}

static Mirrored killed;

static void
fill_for_ever(uint32_t me)
{
	SvError		err;
	bool		filled;

	(void) me;
	for (;;)
	{
		(void) store_mirror_fill(killed.store, "a", OBJECT_BYTES, &filled, NULL, &err);
		if (!reads_right(&killed, "a", 0, OBJECT_BYTES))
			_exit(3);
		/* As garbage collection would, if the object were another one. */
		count_files(&killed);
		if (found_files > 0)
			(void) unlink(found_file);
	}
}

static void
test_killed(void)
{
	bool		well = true;
	int			removed;
	char		unfinished[PATH_MAX];
	const char *names[] = {"other", "a"};
	struct timeval long_ago[2] = {{1000, 0}, {1000, 0}};
	SvError		err;

	open_mirrored(&killed);
	put(killed.faults, "a");
	for (uint32_t life = 0; life < 20; life++)
	{
		struct timespec pause = {0, (long) (fixture_mix(life) % 8000000)};
		pid_t		pid = fixture_start(fill_for_ever, 0);

		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		well = fixture_was_killed(pid) && well;
		well = reads_right(&killed, "a", 0, OBJECT_BYTES) && well;
	}
	CHECK(well, "killed while it is filled, a mirror has no wrong answer");
	(void) fills(&killed, "a");
	count_files(&killed);
	snprintf(unfinished, sizeof(unfinished), "%.*s/~1.1", (int) (strrchr(found_file, '/') - found_file), found_file);
	CHECK(close(open(unfinished, O_CREAT, 0600)) == 0, "an unfinished file");
	CHECK(store_mirror_sweep(killed.store, names, 2, 3600, &removed, &err) == SV_OK && removed == 0,
		  "a sweep leaves what is young");
	CHECK(store_mirror_sweep(killed.store, names, 2, 0, &removed, &err) == SV_OK && removed >= 1, "a later one");
	CHECK(count_files(&killed) == 1 && strchr(found_file, '~') == NULL && reads_right(&killed, "a", 0, OBJECT_BYTES),
		  "removes what is unfinished and keeps what is live");
	CHECK(utimes(found_file, long_ago) == 0 &&
		  store_mirror_sweep(killed.store, names, 1, 3600, &removed, &err) == SV_OK && removed == 1 &&
		  count_files(&killed) == 0, "and what is not live goes");
	store_close(killed.store);
}

int
main(void)
{
	make_scratch();
	test_conformance();
	test_writes();
	test_fill();
	test_damage();
	test_foreign();
	test_damaged_and_replaced();
	test_disks();
	test_killed();
	remove_tree(scratch);
	return unit_done();
}
