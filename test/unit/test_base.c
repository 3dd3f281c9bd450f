/*
 * test_base.c
 *		Status, allocator, slices and buffers.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/sv_alloc.h"
#include "base/sv_buffer.h"
#include "base/sv_slice.h"
#include "base/sv_status.h"

static void
test_fail(void)
{
	SvError		err = {0};
	char		long_text[2 * SV_ERROR_MESSAGE_BYTES];

	CHECK(sv_fail(&err, SV_CORRUPT, "block %d of \"%s\"", 7, "x") == SV_CORRUPT,
		  "sv_fail returns the status");
	CHECK(err.status == SV_CORRUPT && err.os_errno == 0, "sv_fail records the status");
	CHECK(strcmp(err.message, "block 7 of \"x\"") == 0, "sv_fail formats the message");
	CHECK(sv_fail(NULL, SV_IO, "nobody reads this") == SV_IO, "sv_fail works without an error");
	CHECK(sv_fail_os(NULL, EACCES, "nor this") == SV_DENIED, "sv_fail_os works without an error");

	sv_fail(&err, SV_IO, "outer: %s", err.message);
	CHECK(strcmp(err.message, "outer: block 7 of \"x\"") == 0, "an error may wrap its own message");

	memset(long_text, 'a', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	sv_fail(&err, SV_IO, "%s", long_text);
	CHECK(strlen(err.message) == SV_ERROR_MESSAGE_BYTES - 1, "a long message is cut");
	sv_fail_os(&err, ENOSPC, "%s", long_text);
	CHECK(strlen(err.message) < SV_ERROR_MESSAGE_BYTES &&
		  strstr(err.message, strerror(ENOSPC)) != NULL,
		  "a long message is cut before the reason");

	sv_fail_os(&err, ENOSPC, "could not write \"%s\"", "f");
	CHECK(err.status == SV_NO_SPACE && err.os_errno == ENOSPC, "sv_fail_os records the errno");
	CHECK(strncmp(err.message, "could not write \"f\": ", 21) == 0 &&
		  strcmp(err.message + 21, strerror(ENOSPC)) == 0, "sv_fail_os appends the reason");
}

static void
test_errno_map(void)
{
	static const struct
	{
		int			os_errno;
		SvStatus	status;
		const char *name;
	}			cases[] = {
		{0, SV_OK, "errno 0"},
		{ENOENT, SV_NOT_FOUND, "ENOENT"},
		{EEXIST, SV_EXISTS, "EEXIST"},
		{EACCES, SV_DENIED, "EACCES"},
		{EPERM, SV_DENIED, "EPERM"},
		{EROFS, SV_DENIED, "EROFS"},
		{ENOSPC, SV_NO_SPACE, "ENOSPC"},
		{EDQUOT, SV_NO_SPACE, "EDQUOT"},
		{EFBIG, SV_NO_SPACE, "EFBIG"},
		{ENOMEM, SV_NO_MEMORY, "ENOMEM"},
		{EIO, SV_IO, "EIO"},
		{EMFILE, SV_IO, "EMFILE"},
		{ENOTDIR, SV_IO, "ENOTDIR"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(sv_status_of_errno(cases[i].os_errno) == cases[i].status, cases[i].name);
}

static void
test_slices(void)
{
	SvSlice		empty = sv_slice(NULL, 0);
	SvSlice		a = sv_slice("a", 1);
	SvSlice		ab = sv_slice("ab", 2);
	SvSlice		high = sv_slice("\xff", 1);
	SvSlice		a_zero = sv_slice("a\0", 2);

	CHECK(sv_slice_compare(empty, a) < 0 && sv_slice_compare(a, empty) > 0, "empty comes first");
	CHECK(sv_slice_compare(empty, empty) == 0 && sv_slice_equal(empty, empty), "empty equals empty");
	CHECK(sv_slice_compare(a, ab) < 0 && sv_slice_compare(ab, a) > 0, "a prefix comes first");
	CHECK(sv_slice_compare(a, a_zero) < 0 && sv_slice_compare(a_zero, ab) < 0, "zero bytes count");
	CHECK(sv_slice_compare(ab, high) < 0, "bytes are unsigned");
	CHECK(sv_slice_equal(ab, sv_slice("ab", 2)) && !sv_slice_equal(ab, a), "equality");
}

/* An allocator that has memory for so many more calls. */
static void *
scarce_allocate(void *state, size_t bytes)
{
	int		   *left = state;

	return (*left)-- > 0 ? malloc(bytes) : NULL;
}

static void *
scarce_resize(void *state, void *ptr, size_t bytes)
{
	int		   *left = state;

	return (*left)-- > 0 ? realloc(ptr, bytes) : NULL;
}

static void
scarce_release(void *state, void *ptr)
{
	(void) state;
	free(ptr);
}

static void
test_buffer(void)
{
	SvBuffer	buf;
	SvError		err;
	bool		same = true;

	sv_buffer_init(&buf, &sv_malloc_alloc);
	CHECK(sv_buffer_slice(&buf).len == 0 && buf.data == NULL, "a new buffer is empty");
	CHECK(sv_buffer_append(&buf, NULL, 0, &err) == SV_OK && buf.data == NULL,
		  "appending nothing allocates nothing");
	for (int i = 0; i < 10000; i++)
	{
		uint8_t		byte = (uint8_t) i;

		if (sv_buffer_append(&buf, &byte, 1, &err) != SV_OK)
			same = false;
	}
	for (size_t i = 0; i < buf.len; i++)
		same = same && buf.data[i] == (uint8_t) i;
	CHECK(same && buf.len == 10000, "a buffer keeps what was appended while it grows");

	sv_buffer_reset(&buf);
	CHECK(buf.len == 0 && buf.capacity >= 10000, "reset keeps the memory");
	CHECK(sv_buffer_append(&buf, "x", 1, &err) == SV_OK &&
		  sv_buffer_reserve(&buf, SIZE_MAX, &err) == SV_NO_MEMORY && buf.len == 1,
		  "a length that wraps around is refused");
	sv_buffer_free(&buf);
	CHECK(buf.data == NULL && buf.capacity == 0, "free forgets the memory");
}

static void
test_buffer_no_memory(void)
{
	int			left = 1;
	SvAlloc		scarce = {scarce_allocate, scarce_resize, scarce_release, &left};
	SvBuffer	buf;
	SvError		err = {0};
	char		large[1000] = {0};

	sv_buffer_init(&buf, &scarce);
	CHECK(sv_buffer_append(&buf, "abc", 3, &err) == SV_OK, "the first allocation works");
	CHECK(sv_buffer_append(&buf, large, sizeof(large), &err) == SV_NO_MEMORY &&
		  err.status == SV_NO_MEMORY, "running out of memory is told");
	CHECK(sv_slice_equal(sv_buffer_slice(&buf), sv_slice("abc", 3)),
		  "and leaves the buffer as it was");
	sv_buffer_free(&buf);
}

static void
test_malloc_alloc(void)
{
	void	   *ptr = sv_allocate(&sv_malloc_alloc, 0);
	void	   *grown;

	CHECK(ptr != NULL, "allocating nothing is not running out of memory");
	grown = sv_malloc_alloc.resize(sv_malloc_alloc.state, ptr, 100);
	CHECK(grown != NULL, "resize grows");
	ptr = sv_malloc_alloc.resize(sv_malloc_alloc.state, grown, 0);
	CHECK(ptr != NULL, "resize to nothing keeps a pointer");
	sv_release(&sv_malloc_alloc, ptr);
	sv_release(&sv_malloc_alloc, NULL);
}

int
main(void)
{
	test_fail();
	test_errno_map();
	test_slices();
	test_malloc_alloc();
	test_buffer();
	test_buffer_no_memory();
	return unit_done();
}
