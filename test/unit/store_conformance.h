/*
 * store_conformance.h
 *		What every object store must do, as tests of object_store.h alone.
 *
 * A test program of a driver calls store_conformance once for each kind of
 * store that it has.  It counts on its own: each failure is told in a comment,
 * and the number of them is returned.
 */
#ifndef STORE_CONFORMANCE_H
#define STORE_CONFORMANCE_H

#include <stdio.h>
#include <stdlib.h>

#include "store_calls.h"

static int	conformance_failures;

static void
expect(bool ok, int line, const char *name)
{
	if (ok)
		return;
	conformance_failures++;
	printf("# conformance, line %d: %s\n", line, name);
}

#define EXPECT(condition, name) expect((condition), __LINE__, (name))

static SvSlice
text(const char *s)
{
	return sv_slice(s, strlen(s));
}

/* ---- putting, reading, removing ---- */

static void
conformance_put_get(ObjectStore *store)
{
	SvSlice		parts[4] = {text("abc"), sv_slice(NULL, 0), text("defg"), text("h")};
	SvError		err = {0};
	uint64_t	bytes;
	char		a[3];
	char		b[4];
	StoreRange	ranges[3] = {{5, 3, a}, {0, 0, NULL}, {0, 4, b}};

	EXPECT(store_head(store, "one", &bytes, NULL, &err) == SV_NOT_FOUND, "head before the put");
	EXPECT(store_get(store, "one", ranges, 3, NULL, &err) == SV_NOT_FOUND, "get before the put");
	EXPECT(err.status == SV_OK && err.message[0] == '\0', "an error is left alone by SV_NOT_FOUND");
	EXPECT(store_remove(store, "one", NULL, &err) == SV_OK, "remove before the put");
	EXPECT(store_put_if_absent(store, "one", parts, 4, NULL, &err) == SV_OK, "put");
	EXPECT(holds(store, "one", "abcdefgh"), "parts in order");
	EXPECT(store_get(store, "one", ranges, 3, NULL, &err) == SV_OK && memcmp(a, "fgh", 3) == 0 &&
		   memcmp(b, "abcd", 4) == 0, "ranges in any order");
	EXPECT(store_get(store, "one", NULL, 0, NULL, &err) == SV_OK, "no ranges");

	EXPECT(store_put_if_absent(store, "one", parts, 1, NULL, &err) == SV_EXISTS &&
		   err.status == SV_EXISTS, "a second put");
	EXPECT(holds(store, "one", "abcdefgh"), "the first object stays");

	EXPECT(store_remove(store, "one", NULL, &err) == SV_OK, "remove");
	EXPECT(store_head(store, "one", &bytes, NULL, &err) == SV_NOT_FOUND, "head after the remove");
	EXPECT(store_get(store, "one", ranges, 3, NULL, &err) == SV_NOT_FOUND, "get after the remove");
	EXPECT(store_remove(store, "one", NULL, &err) == SV_OK, "a second remove");

	EXPECT(store_put_if_absent(store, "empty", NULL, 0, NULL, &err) == SV_OK &&
		   holds(store, "empty", ""), "an empty object");
	EXPECT(store_remove(store, "empty", NULL, &err) == SV_OK, "remove the empty object");
}

static void
conformance_past_end(ObjectStore *store)
{
	char		buf[16];
	StoreRange	across = {4, 5, buf};
	StoreRange	beyond = {100, 1, buf};
	SvError		err = {0};

	EXPECT(put_text(store, "dir/short", "12345678", &err) == SV_OK, "put of eight bytes");
	EXPECT(store_get(store, "dir/short", &across, 1, NULL, &err) == SV_CORRUPT &&
		   strstr(err.message, "dir/short") != NULL, "a range across the end");
	EXPECT(store_get(store, "dir/short", &beyond, 1, NULL, &err) == SV_CORRUPT,
		   "a range beyond the end");
	across.len = 4;
	EXPECT(store_get(store, "dir/short", &across, 1, NULL, &err) == SV_OK &&
		   memcmp(buf, "5678", 4) == 0, "a range up to the end");
	EXPECT(store_remove(store, "dir/short", NULL, &err) == SV_OK, "remove of eight bytes");
}

static void
conformance_large(ObjectStore *store)
{
	size_t		len = 3 * 1024 * 1024 + 17;
	uint8_t    *written = malloc(2 * len);
	uint8_t    *read = written + len;
	SvSlice		parts[2] = {{written, len / 3}, {written + len / 3, len - len / 3}};
	StoreRange	range = {1, len - 1, read + 1};
	SvError		err;

	for (size_t i = 0; i < len; i++)
		written[i] = (uint8_t) (i * 2654435761u >> 13);
	EXPECT(store_put_if_absent(store, "large", parts, 2, NULL, &err) == SV_OK, "a large put");
	EXPECT(store_get(store, "large", &range, 1, NULL, &err) == SV_OK &&
		   memcmp(read + 1, written + 1, len - 1) == 0, "a large get");
	EXPECT(store_remove(store, "large", NULL, &err) == SV_OK, "a large remove");
	free(written);
}

/* ---- names ---- */

static void
conformance_names(ObjectStore *store)
{
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a b", "a~", "a\\b", "a:b",
		"a\nb", "\xc3\xa4", "a?", "a%2e"
	};
	static const char *const good[] = {
		"a", ".a", "...", "a.b", "A-Z_0.9", "-", "_", "v/1/2/3/run-7.sst", "..a/b"
	};
	char		name[2048];
	uint64_t	bytes;
	SvError		err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		char		c;
		StoreRange	range = {0, 1, &c};

		EXPECT(put_text(store, bad[i], "x", &err) == SV_INVALID, bad[i]);
		EXPECT(store_head(store, bad[i], &bytes, NULL, &err) == SV_INVALID, bad[i]);
		EXPECT(store_get(store, bad[i], &range, 1, NULL, &err) == SV_INVALID, bad[i]);
		EXPECT(store_remove(store, bad[i], NULL, &err) == SV_INVALID, bad[i]);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
	{
		EXPECT(put_text(store, good[i], good[i], &err) == SV_OK && holds(store, good[i], good[i]), good[i]);
		EXPECT(store_remove(store, good[i], NULL, &err) == SV_OK, good[i]);
	}

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	EXPECT(put_text(store, name, "x", &err) == SV_INVALID, "a name that is far too long");
	name[256] = '\0';
	EXPECT(put_text(store, name, "x", &err) == SV_INVALID, "a part of 256 bytes");
	name[255] = '\0';
	EXPECT(put_text(store, name, "x", &err) == SV_OK && holds(store, name, "x"), "a part of 255 bytes");
	EXPECT(store_remove(store, name, NULL, &err) == SV_OK, "remove of a long name");
}

static void
conformance_bad_ranges(ObjectStore *store)
{
	char		c;
	StoreRange	range = {UINT64_MAX, 1, &c};
	SvError		err;

	EXPECT(store_get(store, "a", &range, 1, NULL, &err) == SV_INVALID, "an offset too large");
	range.offset = 1;
	range.len = SIZE_MAX;
	EXPECT(store_get(store, "a", &range, 1, NULL, &err) == SV_INVALID, "a length that wraps around");
	EXPECT(store_get(store, "a", NULL, -1, NULL, &err) == SV_INVALID, "minus one ranges");
	EXPECT(store_put_if_absent(store, "a", NULL, -1, NULL, &err) == SV_INVALID, "minus one parts");
}

/* ---- listing ---- */

typedef struct Listing
{
	char		text[4096];		/* "name=bytes " for each object */
	int			left;			/* ends the listing when it reaches 0 */
	ObjectStore *remove_from;	/* removes each object it is told of */
} Listing;

static bool
collect(void *state, const char *name, uint64_t bytes)
{
	Listing    *listing = state;
	size_t		used = strlen(listing->text);
	SvError		err;

	snprintf(listing->text + used, sizeof(listing->text) - used, "%s=%d ", name, (int) bytes);
	if (listing->remove_from != NULL)
		EXPECT(store_remove(listing->remove_from, name, NULL, &err) == SV_OK,
			   "remove while listing");
	return --listing->left != 0;
}

static bool
lists(ObjectStore *store, const char *prefix, const char *expected)
{
	Listing		listing = {.left = -1};
	SvError		err;

	return store_list(store, prefix, collect, &listing, NULL, &err) == SV_OK &&
		strcmp(listing.text, expected) == 0;
}

static void
conformance_list(ObjectStore *store)
{
	/* In no order, and such that '/' sorts between '.' and '0'. */
	static const char *const names[] = {
		"b/x", "a0", "a/z", "a.b", "a/b/c", "a-b", "b/xy", "a/b.c", "c", "b/y"
	};
	static const char *const bad[] = {"/", "a//", "./", "../a", "a b", "~", "a/../"};
	Listing		listing = {.left = 2};
	SvError		err;

	EXPECT(lists(store, "", "") && lists(store, "a/", ""), "an empty store lists nothing");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		EXPECT(put_text(store, names[i], names[i], &err) == SV_OK, names[i]);
	EXPECT(lists(store, "", "a-b=3 a.b=3 a/b.c=5 a/b/c=5 a/z=3 a0=2 b/x=3 b/xy=4 b/y=3 c=1 "),
		   "all objects in order");
	EXPECT(lists(store, "a", "a-b=3 a.b=3 a/b.c=5 a/b/c=5 a/z=3 a0=2 "), "prefix a");
	EXPECT(lists(store, "a/", "a/b.c=5 a/b/c=5 a/z=3 "), "prefix a/");
	EXPECT(lists(store, "a/b", "a/b.c=5 a/b/c=5 "), "prefix a/b");
	EXPECT(lists(store, "a/b/", "a/b/c=5 "), "prefix a/b/");
	EXPECT(lists(store, "b/x", "b/x=3 b/xy=4 "), "an object's name as a prefix");
	EXPECT(lists(store, "b/xz", "") && lists(store, "c/", "") && lists(store, ".", ""),
		   "prefixes of nothing");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(store_list(store, bad[i], collect, &listing, NULL, &err) == SV_INVALID, bad[i]);

	EXPECT(store_list(store, "b", collect, &listing, NULL, &err) == SV_OK &&
		   strcmp(listing.text, "b/x=3 b/xy=4 ") == 0, "a listing that its callback ends");

	memset(&listing, 0, sizeof(listing));
	listing.left = -1;
	listing.remove_from = store;
	EXPECT(store_list(store, "", collect, &listing, NULL, &err) == SV_OK, "removing all that is listed");
	EXPECT(lists(store, "", ""), "nothing is left");
}

/* ---- cancelling ---- */

static void
conformance_cancel(ObjectStore *store)
{
	size_t		len = 4 * 1024 * 1024;
	uint8_t    *bytes = calloc(1, len);
	SvSlice		part = {bytes, len};
	StoreRange	range = {0, len, bytes};
	Listing		listing = {.left = -1};
	int			left = 0;
	StoreCall	call = {cancel_after, &left};
	uint64_t	size;
	SvError		err = {0};

	EXPECT(store_put_if_absent(store, "c", &part, 1, &call, &err) == SV_CANCELLED &&
		   err.status == SV_CANCELLED, "a put cancelled at once");
	EXPECT(store_head(store, "c", &size, NULL, &err) == SV_NOT_FOUND, "it put nothing");
	EXPECT(store_put_if_absent(store, "c", &part, 1, NULL, &err) == SV_OK, "a put without a call");
	left = 0;
	EXPECT(store_get(store, "c", &range, 1, &call, &err) == SV_CANCELLED, "a get cancelled at once");
	EXPECT(store_head(store, "c", &size, &call, &err) == SV_CANCELLED, "a head cancelled");
	EXPECT(store_list(store, "", collect, &listing, &call, &err) == SV_CANCELLED &&
		   listing.text[0] == '\0', "a listing cancelled at once");
	EXPECT(store_remove(store, "c", &call, &err) == SV_CANCELLED &&
		   store_head(store, "c", &size, NULL, &err) == SV_OK, "a remove cancelled");
	left = 2;
	EXPECT(store_get(store, "c", &range, 1, &call, &err) == SV_CANCELLED, "a get cancelled halfway");
	left = 1000000;
	EXPECT(store_get(store, "c", &range, 1, &call, &err) == SV_OK, "a get not cancelled");
	EXPECT(store_remove(store, "c", NULL, &err) == SV_OK, "remove after cancelling");
	free(bytes);
}

/* Runs the tests against an empty store, and leaves it empty.  The number of failures. */
static int
store_conformance(ObjectStore *store, const char *driver)
{
	int			before = conformance_failures;

	conformance_put_get(store);
	conformance_past_end(store);
	conformance_large(store);
	conformance_names(store);
	conformance_bad_ranges(store);
	conformance_list(store);
	conformance_cancel(store);
	if (conformance_failures != before)
		printf("# %d failures of %s\n", conformance_failures - before, driver);
	return conformance_failures - before;
}

#endif							/* STORE_CONFORMANCE_H */
