/*
 * test_disk_tier.c
 *		The disk tier: restarts, damage, disks that are full or read-only.
 */
#include "disk_fixture.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Takes the place of libc's: what happens between finding a slot and reading it. */
static void (*before_read) (void);

ssize_t		pread(int fd, void *dst, size_t len, off_t offset);

ssize_t
pread(int fd, void *dst, size_t len, off_t offset)
{
	if (before_read != NULL)
		before_read();
	return syscall(SYS_pread64, fd, dst, len, offset);
}

static void
test_reads(void)
{
	TierFixture fixture;
	DiskTierStats stats;
	DiskFill	fill;
	DiskFill	other;
	DiskRange	range = tier_range(1, 0);
	uint64_t	random = 1;
	int			right = 0;

	tier_start(&fixture, new_root(), 100);
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_ON, "an empty directory is fine");
	CHECK(tier_has(&fixture.tier, 1, 0) == 0, "nothing is there");
	CHECK(disk_tier_claim(&fixture.tier, &range, &fill) == CACHE_LOAD &&
		  disk_tier_claim(&fixture.tier, &range, &other) == CACHE_LOADING, "one of two loads");
	disk_tier_fill(&fixture.tier, &fill, tier_content(&range));
	CHECK(disk_tier_claim(&fixture.tier, &range, &other) == CACHE_PRESENT && tier_has(&fixture.tier, 1, 0) == 1,
		  "and then it is there");
	for (uint32_t i = 0; i < 10; i++)
		tier_put(&fixture.tier, 2, i);
	for (int i = 0; i < 2000; i++)
	{
		DiskRange	wanted = tier_range(2, (uint32_t) (fixture_random(&random) % 10));
		size_t		bytes = tier_range_bytes(&wanted);
		size_t		at = fixture_random(&random) % bytes;

		right += tier_look(&fixture.tier, &wanted, at, 1 + fixture_random(&random) % (bytes - at)) == 1;
	}
	CHECK(right == 2000, "any piece of any range");
	range = tier_range(2, 4);
	CHECK(tier_look(&fixture.tier, &range, tier_range_bytes(&range) - 1, 2) == 0, "none past the end");
	stats = tier_stats(&fixture.tier);
	CHECK(stats.hits == 2001 && stats.misses == 2 && stats.fills == 1 && stats.written_through == 10 &&
		  stats.damaged == 0 && stats.index.ranges == 11, "counts");
	disk_tier_clear(&fixture.tier);
	CHECK(tier_has(&fixture.tier, 1, 0) == 0 && tier_stats(&fixture.tier).index.ranges == 0, "cleared");
	tier_stop(&fixture);
}

static TierFixture *taken_from;

/* Another process gives the only slot to another range. */
static void
take_slot(void)
{
	DiskTier	other = taken_from->tier;

	before_read = NULL;
	other.pages = NULL;
	tier_put(&other, 2, 0);
	free(other.pages);
}

static void
test_taken_while_read(void)
{
	TierFixture fixture;

	tier_start(&fixture, new_root(), 1);
	tier_put(&fixture.tier, 1, 0);
	taken_from = &fixture;
	before_read = take_slot;
	CHECK(tier_has(&fixture.tier, 1, 0) == 0, "a range whose slot is taken away while it is read is a miss");
	CHECK(tier_stats(&fixture.tier).damaged == 0 && tier_has(&fixture.tier, 2, 0) == 1,
		  "not damage, and the range that took it stays");
	tier_stop(&fixture);
}

static int
has_all(DiskTier *tier, uint64_t objects, uint32_t numbers)
{
	int			found = 0;

	for (uint64_t object = 0; object < objects; object++)
		for (uint32_t number = 0; number < numbers; number++)
		{
			int			has = tier_has(tier, object, number);

			if (has < 0)
				return -1;
			found += has;
		}
	return found;
}

static void
put_all(DiskTier *tier, uint64_t objects, uint32_t numbers)
{
	for (uint64_t object = 0; object < objects; object++)
		for (uint32_t number = 0; number < numbers; number++)
			tier_put(tier, object, number);
}

static off_t
size_of(const TierFixture *fixture, const char *name)
{
	char		path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	return stat(path, &st) == 0 ? st.st_size : -1;
}

static int
open_file(const TierFixture *fixture, const char *name)
{
	char		path[600];

	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	return open(path, O_RDWR);
}

static void
test_restart(void)
{
	TierFixture fixture;

	tier_start(&fixture, new_root(), 40);
	put_all(&fixture.tier, 6, 5);
	tier_restart(&fixture, 40);
	CHECK(has_all(&fixture.tier, 6, 5) == 30, "a restart keeps what is there");
	tier_restart(&fixture, 80);
	CHECK(has_all(&fixture.tier, 6, 5) == 30, "a larger budget too");
	tier_restart(&fixture, 10);
	CHECK(has_all(&fixture.tier, 6, 5) == 10 && size_of(&fixture, "ranges") <= 10 * DISK_SLOT_BYTES,
		  "a smaller one keeps what fits, and gives the disk back");
	put_all(&fixture.tier, 6, 5);
	CHECK(has_all(&fixture.tier, 6, 5) == 10 && size_of(&fixture, "ranges") <= 10 * DISK_SLOT_BYTES,
		  "the budget holds");
	tier_restart(&fixture, 0);
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_OFF && tier_has(&fixture.tier, 1, 1) == 0,
		  "no budget, no tier");
	tier_stop(&fixture);
}

/* Another process finds the directory taken while this one has it. */
static int
start_in_child(void *state)
{
	TierFixture *fixture = state;
	TierFixture other;
	SvError		err;
	bool		off;

	tier_start(&other, fixture->directory, 40);
	off = disk_tier_state(&other.tier) == DISK_TIER_OFF && disk_tier_warning(&other.tier, &err) &&
		strstr(err.message, "in use by another server") != NULL;
	tier_stop(&other);
	return off ? 0 : 1;
}

static void
test_two_servers(void)
{
	TierFixture fixture;

	tier_start(&fixture, new_root(), 40);
	CHECK(in_child(start_in_child, &fixture) == 0, "a second server does not use the directory of a first");
	tier_put(&fixture.tier, 1, 1);
	CHECK(tier_has(&fixture.tier, 1, 1) == 1, "and the first goes on");
	tier_stop(&fixture);
}

/* Every byte of a slot, one after the other, flipped. */
static void
test_flips(void)
{
	TierFixture fixture;
	DiskRange	range = tier_range(3, 4);
	size_t		bytes = tier_range_bytes(&range);
	size_t		end = (size_t) disk_pages(bytes) * DISK_PAGE_BYTES;
	size_t		noticed = 0;
	size_t		wrong = 0;
	int			fd;

	tier_start(&fixture, new_root(), 1);
	tier_put(&fixture.tier, 3, 4);
	fd = open_file(&fixture, "ranges");
	for (size_t at = 0; at < end; at++)
	{
		uint8_t		byte;
		uint8_t		flipped;
		int			has;

		if (pread(fd, &byte, 1, (off_t) at) != 1)
			break;
		flipped = byte ^ 0x10;
		if (pwrite(fd, &flipped, 1, (off_t) at) != 1)
			break;
		/* The page at hand and its neighbour: reading all of them each time takes long. */
		has = tier_look(&fixture.tier, &range, at / DISK_PAGE_BYTES * DISK_PAGE_DATA, 10);
		noticed += has == 0;
		wrong += has == -1;
		if (pwrite(fd, &byte, 1, (off_t) at) != 1)
			break;
		if (has == 0)
			tier_put(&fixture.tier, 3, 4);
	}
	CHECK(noticed == end && wrong == 0, "each flipped byte is noticed");
	CHECK(tier_stats(&fixture.tier).damaged == end && tier_has(&fixture.tier, 3, 4) == 1,
		  "is counted, and the range can be fetched again");
	close(fd);
	tier_stop(&fixture);
}

/* Every byte of the record file flipped, with a restart each time. */
static void
test_record_flips(void)
{
	TierFixture fixture;
	off_t		end;
	int			wrong = 0;
	int			lost = 0;
	int			fd;

	tier_start(&fixture, new_root(), 4);
	put_all(&fixture.tier, 1, 4);
	end = size_of(&fixture, "slots");
	for (off_t at = 32; at < end; at++)
	{
		uint8_t		byte;
		uint8_t		flipped;
		int			found;

		fd = open_file(&fixture, "slots");
		if (pread(fd, &byte, 1, at) != 1 || (flipped = byte ^ 0x01, pwrite(fd, &flipped, 1, at)) != 1)
			lost = -1000;
		tier_restart(&fixture, 4);
		found = has_all(&fixture.tier, 1, 4);
		wrong += found < 0;
		lost += 4 - found;
		if (pwrite(fd, &byte, 1, at) != 1)
			lost = -1000;
		close(fd);
		tier_restart(&fixture, 4);
	}
	CHECK(end == 5 * 32 && wrong == 0 && lost == 4 * 32, "a damaged record costs its range");
	fd = open_file(&fixture, "slots");
	CHECK(pwrite(fd, "SVDISK 2", 8, 0) == 8, "another form");
	close(fd);
	tier_restart(&fixture, 4);
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_ON && has_all(&fixture.tier, 1, 4) == 0 &&
		  size_of(&fixture, "ranges") == 0, "files of another form are emptied");
	tier_stop(&fixture);
}

static void
copy_bytes(const TierFixture *fixture, const char *name, off_t from, off_t to, size_t len)
{
	static uint8_t bytes[DISK_SLOT_BYTES];
	int			fd = open_file(fixture, name);

	if (pread(fd, bytes, len, from) != (ssize_t) len || pwrite(fd, bytes, len, to) != (ssize_t) len)
		printf("# could not copy bytes of %s\n", name);
	close(fd);
}

static void
test_damage(void)
{
	TierFixture fixture;
	char		path[600];
	SvError		err;

	tier_start(&fixture, new_root(), 8);
	put_all(&fixture.tier, 2, 4);
	copy_bytes(&fixture, "ranges", 0, DISK_SLOT_BYTES, DISK_SLOT_BYTES);
	CHECK(has_all(&fixture.tier, 2, 4) == 7, "a slot with another range's bytes is not an answer");
	put_all(&fixture.tier, 2, 4);
	CHECK(has_all(&fixture.tier, 2, 4) == 8, "and is filled again");

	snprintf(path, sizeof(path), "%s/ranges", fixture.directory);
	CHECK(truncate(path, 3 * DISK_SLOT_BYTES + 5000) == 0, "the file is cut");
	CHECK(has_all(&fixture.tier, 2, 4) == 3, "a range that is cut off is not an answer");
	put_all(&fixture.tier, 2, 4);
	CHECK(has_all(&fixture.tier, 2, 4) == 8, "and is filled again");
	CHECK(truncate(path, 3 * DISK_SLOT_BYTES + 5000) == 0, "the file is cut while no server runs");
	tier_restart(&fixture, 8);
	CHECK(tier_stats(&fixture.tier).index.ranges == 3 && has_all(&fixture.tier, 2, 4) == 3,
		  "the next knows nothing of what is cut off");
	put_all(&fixture.tier, 2, 4);
	copy_bytes(&fixture, "slots", 8 * 32, 32, 32);
	tier_restart(&fixture, 8);
	CHECK(has_all(&fixture.tier, 2, 4) == 7, "the record of another slot is none");
	put_all(&fixture.tier, 2, 4);

	CHECK(truncate(path, 0) == 0 && truncate(path, 8 * DISK_SLOT_BYTES) == 0 && has_all(&fixture.tier, 2, 4) == 0,
		  "zeros are not an answer");
	put_all(&fixture.tier, 2, 4);
	remove_tree(fixture.directory);
	CHECK(has_all(&fixture.tier, 2, 4) == 8, "files deleted under a running server are used to its end");
	tier_restart(&fixture, 8);
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_ON && has_all(&fixture.tier, 2, 4) == 0,
		  "and are new after it");
	CHECK(!disk_tier_warning(&fixture.tier, &err), "nobody is warned of all that");
	tier_stop(&fixture);
}

/* -------------------------------------------------------------------------
 * Disks that do not play along
 * ------------------------------------------------------------------------- */

static int
fill_over_limit(void *state)
{
	TierFixture *fixture = state;
	struct rlimit limit = {2 * DISK_SLOT_BYTES + 10000, 2 * DISK_SLOT_BYTES + 10000};
	SvError		err;
	bool		well;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	put_all(&fixture->tier, 2, 4);
	well = has_all(&fixture->tier, 2, 4) == 2 && disk_tier_state(&fixture->tier) == DISK_TIER_READ_ONLY &&
		tier_stats(&fixture->tier).write_errors == 1;
	return well && disk_tier_warning(&fixture->tier, &err) && !disk_tier_warning(&fixture->tier, &err) &&
		strstr(err.message, "could not write to the disk cache") != NULL ? 0 : 1;
}

static void
test_full(void)
{
	TierFixture fixture;

	tier_start(&fixture, new_root(), 8);
	CHECK(in_child(fill_over_limit, &fixture) == 0, "a disk that takes no more is read on, with one warning");
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_READ_ONLY && has_all(&fixture.tier, 2, 4) == 2,
		  "by all processes");
	tier_restart(&fixture, 8);
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_ON && has_all(&fixture.tier, 2, 4) == 2,
		  "the next start tries again");
	tier_stop(&fixture);
}

/* One warning, and no other: that the disk is full. */
static bool
warned_of(DiskTier *tier, int os_errno)
{
	SvError		err;

	return disk_tier_warning(tier, &err) && err.os_errno == os_errno && !disk_tier_warning(tier, &err);
}

/* The kernel's own "no space left on device", which /dev/full has for everybody. */
static void
test_full_device(void)
{
	TierFixture fixture;
	int			full = open("/dev/full", O_RDWR);
	int			ranges;

	tier_start(&fixture, new_root(), 8);
	put_all(&fixture.tier, 1, 4);
	ranges = dup(fixture.tier.files.ranges);
	CHECK(full >= 0 && dup2(full, fixture.tier.files.ranges) >= 0, "a disk that is full from one moment to the next");
	tier_put(&fixture.tier, 2, 0);
	CHECK(disk_tier_state(&fixture.tier) == DISK_TIER_READ_ONLY && warned_of(&fixture.tier, ENOSPC), "is warned of");
	tier_put(&fixture.tier, 2, 1);
	CHECK(tier_has(&fixture.tier, 2, 0) == 0 && tier_has(&fixture.tier, 2, 1) == 0 &&
		  tier_stats(&fixture.tier).write_errors == 1 && !warned_of(&fixture.tier, ENOSPC),
		  "and not written to again");
	CHECK(dup2(ranges, fixture.tier.files.ranges) >= 0 && has_all(&fixture.tier, 1, 4) == 4, "what it has is there");
	close(ranges);
	close(full);
	tier_stop(&fixture);
}

static bool
write_text(const char *path, const char *text)
{
	int			fd = open(path, O_WRONLY | O_CREAT, 0600);
	bool		written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* Gives this process a small disk of its own at a directory, as far as it may. */
static bool
mount_small(const char *directory)
{
	uid_t		uid = geteuid();
	gid_t		gid = getegid();
	char		map[64];

	if (unshare(CLONE_NEWNS | (uid != 0 ? CLONE_NEWUSER : 0)) != 0)
		return false;
	if (uid != 0)
	{
		snprintf(map, sizeof(map), "0 %u 1", (unsigned) uid);
		if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", map))
			return false;
		snprintf(map, sizeof(map), "0 %u 1", (unsigned) gid);
		if (!write_text("/proc/self/gid_map", map))
			return false;
	}
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("tmpfs", directory, "tmpfs", 0, "size=256k,mode=700") == 0;
}

#define NO_DISK 77

/* The step at which something is wrong; NO_DISK if there can be no disk here. */
static int
use_small_disk(void *state)
{
	const char *directory = state;
	char		path[600];
	TierFixture fixture;
	int			kept;
	int			fd;

	if (!mount_small(directory))
		return NO_DISK;
	tier_start(&fixture, directory, 8);
	if (disk_tier_state(&fixture.tier) != DISK_TIER_ON)
		return 1;
	put_all(&fixture.tier, 2, 4);
	kept = has_all(&fixture.tier, 2, 4);
	if (kept < 2 || kept > 4 || disk_tier_state(&fixture.tier) != DISK_TIER_READ_ONLY ||
		tier_stats(&fixture.tier).write_errors != 1 || !warned_of(&fixture.tier, ENOSPC))
		return 2;
	put_all(&fixture.tier, 2, 4);
	if (has_all(&fixture.tier, 2, 4) != kept || warned_of(&fixture.tier, ENOSPC))
		return 3;

	/* Started anew, it tries again, to the same end. */
	tier_restart(&fixture, 8);
	if (disk_tier_state(&fixture.tier) != DISK_TIER_ON || has_all(&fixture.tier, 2, 4) != kept)
		return 4;
	put_all(&fixture.tier, 2, 4);
	if (disk_tier_state(&fixture.tier) != DISK_TIER_READ_ONLY || has_all(&fixture.tier, 2, 4) < kept ||
		!warned_of(&fixture.tier, ENOSPC))
		return 5;
	kept = has_all(&fixture.tier, 2, 4);

	/* Mounted read-only. */
	tier_stop(&fixture);
	if (mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
		return 6;
	tier_start(&fixture, directory, 8);
	if (disk_tier_state(&fixture.tier) != DISK_TIER_READ_ONLY || has_all(&fixture.tier, 2, 4) != kept ||
		!warned_of(&fixture.tier, EROFS))
		return 7;
	put_all(&fixture.tier, 2, 4);
	if (has_all(&fixture.tier, 2, 4) != kept || warned_of(&fixture.tier, EROFS))
		return 8;

	/* Nothing of the tier's there, and no room. */
	tier_stop(&fixture);
	if (mount(NULL, directory, NULL, MS_REMOUNT, "size=256k") != 0)
		return 9;
	for (int i = 0; i < 3; i++)
	{
		static const char *const names[] = {"lock", "slots", "ranges"};

		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/filler", directory);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	while (write(fd, path, sizeof(path)) > 0)
		;
	close(fd);
	tier_start(&fixture, directory, 8);
	if (disk_tier_state(&fixture.tier) == DISK_TIER_ON || !warned_of(&fixture.tier, ENOSPC))
		return 10;
	put_all(&fixture.tier, 2, 4);
	if (has_all(&fixture.tier, 2, 4) != 0 || warned_of(&fixture.tier, ENOSPC))
		return 11;
	tier_stop(&fixture);
	return 0;
}

static void
test_small_disk(void)
{
	const char *directory = new_root();
	int			result;

	mkdir(directory, 0700);
	result = in_child(use_small_disk, (void *) directory);
	if (result == NO_DISK)
		printf("# nothing can be mounted here: what a full disk does was seen with /dev/full only\n");
	else if (!CHECK(result == 0, "a full disk, and one that is mounted read-only"))
		printf("# step %d\n", result);
}

static int
start_as_nobody(void *state)
{
	TierFixture *fixture = state;
	TierFixture other;
	SvError		err;
	DiskRange	range = tier_range(9, 9);
	DiskFill	fill;
	DiskTierState tier_state;

	if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
		return 98;
	tier_start(&other, fixture->directory, 8);
	tier_state = disk_tier_state(&other.tier);
	if (!disk_tier_warning(&other.tier, &err) || disk_tier_warning(&other.tier, &err) ||
		err.status != SV_DENIED)
		return 97;
	if (tier_state == DISK_TIER_READ_ONLY && (has_all(&other.tier, 2, 4) != 8 ||
											  disk_tier_claim(&other.tier, &range, &fill) != CACHE_NO_ROOM))
		return 96;
	tier_stop(&other);
	return (int) tier_state;
}

static void
set_modes(const TierFixture *fixture, mode_t directory, mode_t files)
{
	const char *const names[] = {"lock", "slots", "ranges"};
	char		path[600];

	for (int i = 0; i < 3; i++)
	{
		snprintf(path, sizeof(path), "%s/%s", fixture->directory, names[i]);
		if (chmod(path, files) != 0)
			printf("# could not chmod %s\n", path);
	}
	if (chmod(fixture->directory, directory) != 0)
		printf("# could not chmod %s\n", fixture->directory);
}

static void
test_read_only(void)
{
	TierFixture fixture;

	tier_start(&fixture, new_root(), 8);
	put_all(&fixture.tier, 2, 4);
	disk_tier_stop(&fixture.tier);
	set_modes(&fixture, 0555, 0444);
	CHECK(in_child(start_as_nobody, &fixture) == DISK_TIER_READ_ONLY, "a read-only directory is read from");
	set_modes(&fixture, 0500, 0400);
	CHECK(in_child(start_as_nobody, &fixture) == (geteuid() == 0 ? DISK_TIER_OFF : DISK_TIER_READ_ONLY),
		  "one that cannot be read is not used");
	set_modes(&fixture, 0700, 0600);
}

int
main(void)
{
	make_scratch();
	test_reads();
	test_taken_while_read();
	test_restart();
	test_two_servers();
	test_flips();
	test_record_flips();
	test_damage();
	test_full();
	test_full_device();
	test_small_disk();
	test_read_only();
	remove_tree(scratch);
	return unit_done();
}
