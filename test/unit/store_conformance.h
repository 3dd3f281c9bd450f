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
	StoreObject object;
	char		a[3];
	char		b[4];
	StoreRange	ranges[3] = {{"one", 5, 3, a}, {"one", 0, 0, NULL}, {"one", 0, 4, b}};

	EXPECT(store_head(store, "one", &object, NULL, &err) == SV_NOT_FOUND, "head before the put");
	EXPECT(store_get(store, ranges, 3, NULL, NULL, &err) == SV_NOT_FOUND, "get before the put");
	EXPECT(err.status == SV_OK && err.message[0] == '\0', "an error is left alone by SV_NOT_FOUND");
	EXPECT(store_remove(store, "one", NULL, &err) == SV_OK, "remove before the put");
	EXPECT(store_put_if_absent(store, "one", parts, 4, NULL, &err) == SV_OK, "put");
	EXPECT(holds(store, "one", "abcdefgh"), "parts in order");
	EXPECT(store_get(store, ranges, 3, NULL, NULL, &err) == SV_OK && memcmp(a, "fgh", 3) == 0 &&
		   memcmp(b, "abcd", 4) == 0, "ranges in any order");
	EXPECT(store_get(store, NULL, 0, NULL, NULL, &err) == SV_OK, "no ranges");

	EXPECT(store_put_if_absent(store, "one", parts, 1, NULL, &err) == SV_EXISTS &&
		   err.status == SV_EXISTS, "a second put");
	EXPECT(holds(store, "one", "abcdefgh"), "the first object stays");

	EXPECT(store_remove(store, "one", NULL, &err) == SV_OK, "remove");
	EXPECT(store_head(store, "one", &object, NULL, &err) == SV_NOT_FOUND, "head after the remove");
	EXPECT(store_get(store, ranges, 3, NULL, NULL, &err) == SV_NOT_FOUND, "get after the remove");
	EXPECT(store_remove(store, "one", NULL, &err) == SV_OK, "a second remove");

	EXPECT(store_put_if_absent(store, "empty", NULL, 0, NULL, &err) == SV_OK &&
		   holds(store, "empty", ""), "an empty object");
	EXPECT(store_remove(store, "empty", NULL, &err) == SV_OK, "remove the empty object");
}

static void
conformance_past_end(ObjectStore *store)
{
	char		buf[16];
	StoreRange	across = {"dir/short", 4, 5, buf};
	StoreRange	beyond = {"dir/short", 100, 1, buf};
	SvError		err = {0};

	EXPECT(put_text(store, "dir/short", "12345678", &err) == SV_OK, "put of eight bytes");
	EXPECT(store_get(store, &across, 1, NULL, NULL, &err) == SV_CORRUPT &&
		   strstr(err.message, "dir/short") != NULL, "a range across the end");
	EXPECT(store_get(store, &beyond, 1, NULL, NULL, &err) == SV_CORRUPT,
		   "a range beyond the end");
	across.len = 4;
	EXPECT(store_get(store, &across, 1, NULL, NULL, &err) == SV_OK &&
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
	StoreRange	range = {"large", 1, len - 1, read + 1};
	SvError		err;

	for (size_t i = 0; i < len; i++)
		written[i] = (uint8_t) (i * 2654435761u >> 13);
	EXPECT(store_put_if_absent(store, "large", parts, 2, NULL, &err) == SV_OK, "a large put");
	EXPECT(store_get(store, &range, 1, NULL, NULL, &err) == SV_OK &&
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
	StoreObject object;
	SvError		err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		char		c;
		StoreRange	range = {bad[i], 0, 1, &c};

		EXPECT(put_text(store, bad[i], "x", &err) == SV_INVALID, bad[i]);
		EXPECT(store_head(store, bad[i], &object, NULL, &err) == SV_INVALID, bad[i]);
		EXPECT(store_get(store, &range, 1, NULL, NULL, &err) == SV_INVALID, bad[i]);
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
	StoreRange	range = {"a", UINT64_MAX, 1, &c};
	SvError		err;

	EXPECT(store_get(store, &range, 1, NULL, NULL, &err) == SV_INVALID, "an offset too large");
	range.offset = 1;
	range.len = SIZE_MAX;
	EXPECT(store_get(store, &range, 1, NULL, NULL, &err) == SV_INVALID, "a length that wraps around");
	EXPECT(store_get(store, NULL, -1, NULL, NULL, &err) == SV_INVALID, "minus one ranges");
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
collect(void *state, const StoreListed *object)
{
	Listing    *listing = state;
	size_t		used = strlen(listing->text);
	SvError		err;

	snprintf(listing->text + used, sizeof(listing->text) - used, "%s=%d ", object->name, (int) object->bytes);
	if (listing->remove_from != NULL)
		EXPECT(store_remove(listing->remove_from, object->name, NULL, &err) == SV_OK,
			   "remove while listing");
	return --listing->left != 0;
}

static bool
lists_after(ObjectStore *store, const char *prefix, const char *after, const char *expected)
{
	Listing		listing = {.left = -1};
	SvError		err;

	return store_list(store, prefix, after, collect, &listing, NULL, &err) == SV_OK &&
		strcmp(listing.text, expected) == 0;
}

static bool
lists(ObjectStore *store, const char *prefix, const char *expected)
{
	return lists_after(store, prefix, NULL, expected);
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
	EXPECT(lists_after(store, "", "", "a-b=3 a.b=3 a/b.c=5 a/b/c=5 a/z=3 a0=2 b/x=3 b/xy=4 b/y=3 c=1 ") &&
		   lists_after(store, "", "a.b", "a/b.c=5 a/b/c=5 a/z=3 a0=2 b/x=3 b/xy=4 b/y=3 c=1 ") &&
		   lists_after(store, "", "a/b/c", "a/z=3 a0=2 b/x=3 b/xy=4 b/y=3 c=1 ") &&
		   lists_after(store, "", "a/b/b", "a/b/c=5 a/z=3 a0=2 b/x=3 b/xy=4 b/y=3 c=1 "), "after a name");
	EXPECT(lists_after(store, "", "a/", "a/b.c=5 a/b/c=5 a/z=3 a0=2 b/x=3 b/xy=4 b/y=3 c=1 ") &&
		   lists_after(store, "a/", "a/b.c", "a/b/c=5 a/z=3 ") && lists_after(store, "a/", "b", "") &&
		   lists_after(store, "b", "a/zz", "b/x=3 b/xy=4 b/y=3 ") && lists_after(store, "", "c", ""),
		   "after what is no name, and with a prefix");
	EXPECT(store_list(store, "", "../a", collect, &listing, NULL, &err) == SV_INVALID, "after a bad name");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(store_list(store, bad[i], NULL, collect, &listing, NULL, &err) == SV_INVALID, bad[i]);

	EXPECT(store_list(store, "b", NULL, collect, &listing, NULL, &err) == SV_OK &&
		   strcmp(listing.text, "b/x=3 b/xy=4 ") == 0, "a listing that its callback ends");

	memset(&listing, 0, sizeof(listing));
	listing.left = -1;
	listing.remove_from = store;
	EXPECT(store_list(store, "", NULL, collect, &listing, NULL, &err) == SV_OK, "removing all that is listed");
	EXPECT(lists(store, "", ""), "nothing is left");
}

/* ---- many objects at once ---- */

/* The i-th byte of the object "many/<n>". */
static uint8_t
many_byte(int n, size_t i)
{
	return (uint8_t) ((i + (size_t) n * 7) * 2654435761u >> 11);
}

static void
conformance_get_many(ObjectStore *store)
{
	enum { NOBJECTS = 5, BYTES = 70000, NRANGES = 200 };
	static char names[NOBJECTS][32];
	StoreRange	ranges[NRANGES + 1];
	uint8_t    *bytes = malloc(BYTES);
	uint8_t    *read = calloc(NRANGES, 1000);
	bool		right = true;
	int			failed = -2;
	SvError		err;

	for (int n = 0; n < NOBJECTS; n++)
	{
		SvSlice		part = {bytes, BYTES};

		snprintf(names[n], sizeof(names[n]), "many/%d", n);
		for (size_t i = 0; i < BYTES; i++)
			bytes[i] = many_byte(n, i);
		EXPECT(store_put_if_absent(store, names[n], &part, 1, NULL, &err) == SV_OK, names[n]);
	}
	/* Neighbours, distant ones, overlapping ones, the same one twice, some of no bytes, in no order. */
	for (int i = 0; i < NRANGES; i++)
		ranges[i] = (StoreRange) {names[i * 13 % NOBJECTS], (uint64_t) (i * i * 331 % (BYTES - 1000)),
			(size_t) (i % 9 == 8 ? 0 : i * 5 + 1), read + i * 1000};
	EXPECT(store_get(store, ranges, NRANGES, &failed, NULL, &err) == SV_OK, "ranges of many objects");
	for (int i = 0; i < NRANGES; i++)
		for (size_t k = 0; k < 1000; k++)
			right = right && read[(size_t) i * 1000 + k] ==
				(k < ranges[i].len ? many_byte(i * 13 % NOBJECTS, ranges[i].offset + k) : 0);
	EXPECT(right, "each range its own bytes");

	ranges[NRANGES] = (StoreRange) {"many/none", 3, 4, read};
	EXPECT(store_get(store, ranges, NRANGES + 1, &failed, NULL, &err) == SV_NOT_FOUND && failed == NRANGES,
		   "the range whose object is missing");
	ranges[NRANGES] = (StoreRange) {names[2], BYTES - 1, 2, read};
	EXPECT(store_get(store, ranges + NRANGES, 1, &failed, NULL, &err) == SV_CORRUPT && failed == 0,
		   "the range that is past the end");
	ranges[NRANGES].name = "many//";
	EXPECT(store_get(store, ranges, NRANGES + 1, &failed, NULL, &err) == SV_INVALID && failed == NRANGES,
		   "the range with a bad name");
	free(read);
	free(bytes);
}

/* ---- being told what has come ---- */

enum { TOLD_RANGES = 40, TOLD_BYTES = 150000 };

typedef struct Told
{
	StoreRange	ranges[TOLD_RANGES];
	bool		there[TOLD_RANGES];
	bool		was_there[TOLD_RANGES];
	bool		wrong;
} Told;

/* What is told to be there is there, and stays. */
static void
look_at_told(void *state)
{
	Told	   *told = state;

	for (int i = 0; i < TOLD_RANGES; i++)
	{
		const StoreRange *range = &told->ranges[i];
		const uint8_t *dst = range->dst;

		told->wrong = told->wrong || (told->was_there[i] && !told->there[i]);
		for (size_t k = 0; told->there[i] && k < range->len; k++)
			told->wrong = told->wrong || dst[k] != many_byte(9, range->offset + k);
		told->was_there[i] = told->there[i];
	}
}

static void
conformance_told(ObjectStore *store)
{
	Told	   *told = calloc(1, sizeof(Told));
	uint8_t    *bytes = malloc(TOLD_BYTES);
	uint8_t    *read = calloc(TOLD_RANGES, 20000);
	SvSlice		part = {bytes, TOLD_BYTES};
	StoreCall	call = {.progress = look_at_told,.progress_state = told};
	SvError		err;

	for (size_t i = 0; i < TOLD_BYTES; i++)
		bytes[i] = many_byte(9, i);
	EXPECT(store_put_if_absent(store, "told", &part, 1, NULL, &err) == SV_OK, "an object");
	for (int pass = 0; pass < 2; pass++)
	{
		call.passing = pass == 1;
		memset(read, 0, (size_t) TOLD_RANGES * 20000);
		memset(told, 0, sizeof(Told));
		for (int i = 0; i < TOLD_RANGES; i++)
			told->ranges[i] = (StoreRange) {
				.name = "told",.offset = (uint64_t) (i * 3331 % (TOLD_BYTES - 20000)),.len = (size_t) (i * 487),
				.dst = read + (size_t) i * 20000,.object_bytes = TOLD_BYTES,.there = &told->there[i]
			};
		EXPECT(store_get(store, told->ranges, TOLD_RANGES, NULL, &call, &err) == SV_OK, "ranges that are told of");
		look_at_told(told);
		EXPECT(!told->wrong, "what is told is there");
		memset(told->there, true, sizeof(told->there));
		look_at_told(told);
		EXPECT(!told->wrong, "all is there in the end");
	}
	EXPECT(store_remove(store, "told", NULL, &err) == SV_OK, "it goes");
	free(read);
	free(bytes);
	free(told);
}

/* ---- ranges that are asked for before they are needed ---- */

#define FETCHES 6
#define FETCH_BYTES 300000

/* Each range by whatever way there is; those that were begun are waited for, or dropped. */
static void
conformance_fetch(ObjectStore *store)
{
	size_t		len = FETCHES * FETCH_BYTES;
	uint8_t    *bytes = malloc(len);
	uint8_t    *read = calloc(1, len);
	StoreFetch *fetches[FETCHES];
	StoreRange	ranges[FETCHES];
	StoreRange	one = {"fetched", 5, 10, read,.object_bytes = len};
	StoreRange	missing = {"not-there", 0, 10, read,.object_bytes = 10};
	StoreFetch *fetch;
	SvSlice		part = {bytes, len};
	bool		right = true;
	int			left = 0;
	StoreCall	call = {.cancelled = cancel_after,.state = &left};
	SvError		err;

	for (size_t i = 0; i < len; i++)
		bytes[i] = many_byte(11, i);
	EXPECT(store_put_if_absent(store, "fetched", &part, 1, NULL, &err) == SV_OK, "an object");
	for (int i = 0; i < FETCHES; i++)
	{
		ranges[i] = (StoreRange) {
			"fetched", (uint64_t) i * FETCH_BYTES, FETCH_BYTES, read + (size_t) i * FETCH_BYTES,.object_bytes = len
		};
		EXPECT(store_fetch_begin(store, &ranges[i], &fetches[i], NULL, &err) == SV_OK, "a fetch that may begin");
	}
	EXPECT(store_get(store, &ranges[5], 1, NULL, NULL, &err) == SV_OK, "a get beside them");
	for (int i = 0; i < FETCHES; i++)
	{
		if (fetches[i] == NULL)
			right = store_get(store, &ranges[i], 1, NULL, NULL, &err) == SV_OK && right;
		else if (i % 3 < 2)
		{
			store_fetch_drive(fetches[i]);
			right = store_fetch_finish(fetches[i], NULL, &err) == SV_OK && right;
		}
		else
		{
			store_fetch_drop(fetches[i]);
			right = store_get(store, &ranges[i], 1, NULL, NULL, &err) == SV_OK && right;
		}
		right = right && memcmp(ranges[i].dst, bytes + ranges[i].offset, FETCH_BYTES) == 0;
	}
	EXPECT(right, "brings what a get brings");

	EXPECT(store_fetch_begin(store, &one, &fetch, &call, &err) == SV_CANCELLED || fetch == NULL,
		   "a fetch that is cancelled at once");
	EXPECT(store_fetch_begin(store, &one, &fetch, NULL, &err) == SV_OK, "another one");
	EXPECT(fetch == NULL || store_fetch_finish(fetch, &call, &err) == SV_CANCELLED, "that nobody waits for");
	EXPECT(store_fetch_begin(store, &missing, &fetch, NULL, &err) != SV_OK || fetch == NULL ||
		   store_fetch_finish(fetch, NULL, &err) == SV_NOT_FOUND, "of what is not there");
	missing.name = "../x";
	EXPECT(store_fetch_begin(store, &missing, &fetch, NULL, &err) != SV_OK || fetch == NULL, "of a bad name");
	store_fetch_drop(NULL);
	EXPECT(store_remove(store, "fetched", NULL, &err) == SV_OK, "it goes");
	free(read);
	free(bytes);
}

static void
conformance_remove_many(ObjectStore *store)
{
	const char *names[] = {"many/0", "many/none", "many/1", "many/2", "many/3", "many/4"};
	const char *bad[] = {"many/0", "many//"};
	int			removed = -1;
	SvError		err;

	EXPECT(store_remove_many(store, bad, 2, &removed, NULL, &err) == SV_INVALID && removed == 0 &&
		   lists(store, "many/", "many/0=70000 many/1=70000 many/2=70000 many/3=70000 many/4=70000 "),
		   "a bad name among many removes none");
	EXPECT(store_remove_many(store, names, 6, &removed, NULL, &err) == SV_OK && removed == 6 &&
		   lists(store, "", ""), "remove of many, one of which is not there");
	EXPECT(store_remove_many(store, names, 0, NULL, NULL, &err) == SV_OK, "remove of none");
}

/* ---- small objects and etags ---- */

static void
conformance_get_small(ObjectStore *store)
{
	SvBuffer	content;
	StoreObject object;
	StoreObject read;
	SvError		err = {0};

	sv_buffer_init(&content, &sv_malloc_alloc);
	EXPECT(store_get_small(store, "s", 100, &content, &read, NULL, &err) == SV_NOT_FOUND,
		   "a small one that is missing");
	EXPECT(put_text(store, "s", "12345678", &err) == SV_OK && put_text(store, "e", "", &err) == SV_OK, "small ones");
	EXPECT(store_get_small(store, "s", 8, &content, &read, NULL, &err) == SV_OK && content.len == 8 &&
		   memcmp(content.data, "12345678", 8) == 0 && read.bytes == 8, "a small one");
	EXPECT(store_head(store, "s", &object, NULL, &err) == SV_OK && object.bytes == 8 &&
		   strcmp(object.etag, read.etag) == 0, "head and get agree");
	EXPECT(store_get_small(store, "s", 7, &content, NULL, NULL, &err) == SV_CORRUPT && content.len == 8,
		   "a small one that is too large");
	EXPECT(store_get_small(store, "e", 0, &content, &read, NULL, &err) == SV_OK && content.len == 8 &&
		   read.bytes == 0, "an empty one");
	EXPECT(store_get_small(store, "s", 100, &content, NULL, NULL, &err) == SV_OK && content.len == 16 &&
		   memcmp(content.data, "1234567812345678", 16) == 0, "it is appended");
	EXPECT(store_remove(store, "s", NULL, &err) == SV_OK && store_remove(store, "e", NULL, &err) == SV_OK, "remove");
	sv_buffer_free(&content);
}

static void
conformance_put_if_match(ObjectStore *store)
{
	char		first[STORE_ETAG_BYTES];
	char		second[STORE_ETAG_BYTES];
	char		third[STORE_ETAG_BYTES];
	StoreObject object;
	SvError		err;

	if ((store_capabilities(store) & STORE_CAN_PUT_IF_MATCH) == 0)
	{
		EXPECT(store_put_if_match(store, "d/o", text("x"), "", NULL, NULL, &err) == SV_UNSUPPORTED, "no put_if_match");
		return;
	}
	EXPECT(store_put_if_match(store, "d/o", text("one"), "none", first, NULL, &err) == SV_EXISTS,
		   "nothing is there to be replaced");
	EXPECT(store_put_if_match(store, "d/o", text("one"), "", first, NULL, &err) == SV_OK && holds(store, "d/o", "one"),
		   "it makes one");
	EXPECT(store_put_if_match(store, "d/o", text("two"), "", second, NULL, &err) == SV_EXISTS, "but only one");
	EXPECT(store_put_if_match(store, "d/o", text("two"), first, second, NULL, &err) == SV_OK &&
		   strcmp(first, second) != 0 && holds(store, "d/o", "two"), "it replaces");
	EXPECT(store_head(store, "d/o", &object, NULL, &err) == SV_OK && strcmp(object.etag, second) == 0,
		   "and tells the new etag");
	EXPECT(store_put_if_match(store, "d/o", text("six"), first, third, NULL, &err) == SV_EXISTS &&
		   holds(store, "d/o", "two"), "an old etag replaces nothing");
	EXPECT(store_put_if_match(store, "d/o", text("six"), second, NULL, NULL, &err) == SV_OK &&
		   holds(store, "d/o", "six"), "the new one does");
	EXPECT(put_text(store, "d/o", "x", &err) == SV_EXISTS, "put_if_absent finds it");
	EXPECT(store_remove(store, "d/o", NULL, &err) == SV_OK && lists(store, "", ""), "remove, and nothing else is left");
}

/* ---- streaming ---- */

/* Appends len bytes in steps that grow, and ends the upload. */
static SvStatus
stream(ObjectStore *store, const char *name, const uint8_t *bytes, size_t len, SvError *err)
{
	StoreUpload *upload;
	size_t		step = 1;
	SvStatus	status = store_upload_begin(store, name, &upload, NULL, err);

	if (status != SV_OK)
		return status;
	for (size_t done = 0; done < len; done += step, step = step * 3 + 1)
	{
		if (step > len - done)
			step = len - done;
		if (store_upload_append(upload, bytes + done, step, NULL, err) != SV_OK)
			break;
	}
	return store_upload_finish(upload, NULL, err);
}

/* Large enough for an upload in several parts. */
#define STREAM_BYTES ((size_t) 20 * 1024 * 1024 + 3)

static void
conformance_upload(ObjectStore *store)
{
	uint8_t    *bytes = malloc(2 * STREAM_BYTES);
	uint8_t    *read = bytes + STREAM_BYTES;
	StoreRange	range = {"up/large", 0, STREAM_BYTES, read};
	StoreUpload *upload;
	StoreObject object;
	int			left = 0;
	StoreCall	call = {.cancelled = cancel_after,.state = &left};
	SvError		err;

	for (size_t i = 0; i < STREAM_BYTES; i++)
		bytes[i] = (uint8_t) (i * 2654435761u >> 13);
	EXPECT(stream(store, "up/small", (const uint8_t *) "12345678", 8, &err) == SV_OK &&
		   holds(store, "up/small", "12345678"), "a small upload");
	EXPECT(stream(store, "up/small", (const uint8_t *) "xx", 2, &err) == SV_EXISTS &&
		   holds(store, "up/small", "12345678"), "an upload whose name is taken");
	EXPECT(stream(store, "up/empty", bytes, 0, &err) == SV_OK && holds(store, "up/empty", ""), "an empty upload");
	EXPECT(stream(store, "up/large", bytes, STREAM_BYTES, &err) == SV_OK &&
		   store_get(store, &range, 1, NULL, NULL, &err) == SV_OK && memcmp(bytes, read, STREAM_BYTES) == 0,
		   "a large upload");
	EXPECT(stream(store, "up/large", bytes, STREAM_BYTES, &err) == SV_EXISTS, "a large upload whose name is taken");

	EXPECT(store_upload_begin(store, "up/none", &upload, NULL, &err) == SV_OK &&
		   store_upload_append(upload, bytes, STREAM_BYTES - 1, NULL, &err) == SV_OK &&
		   store_head(store, "up/none", &object, NULL, &err) == SV_NOT_FOUND, "nothing is there before the end");
	store_upload_abort(upload, NULL);
	EXPECT(store_head(store, "up/none", &object, NULL, &err) == SV_NOT_FOUND, "nor after an abort");
	EXPECT(store_upload_begin(store, "up/none", &upload, NULL, &err) == SV_OK &&
		   store_upload_append(upload, "x", 1, &call, &err) == SV_CANCELLED &&
		   store_upload_append(upload, "x", 1, NULL, &err) == SV_CANCELLED &&
		   store_upload_finish(upload, NULL, &err) == SV_CANCELLED &&
		   store_head(store, "up/none", &object, NULL, &err) == SV_NOT_FOUND, "a cancelled append spoils all");
	EXPECT(store_upload_begin(store, "up//", &upload, NULL, &err) == SV_INVALID && upload == NULL, "a bad name");
	EXPECT(store_sweep(store, "", 0, &left, NULL, &err) == SV_OK && left == 0 &&
		   store_head(store, "up/large", &object, NULL, &err) == SV_OK, "a sweep leaves objects alone");
	EXPECT(store_remove(store, "up/small", NULL, &err) == SV_OK &&
		   store_remove(store, "up/empty", NULL, &err) == SV_OK &&
		   store_remove(store, "up/large", NULL, &err) == SV_OK && lists(store, "", ""), "remove of uploads");
	free(bytes);
}

/* ---- accounts ---- */

typedef struct Account
{
	int			requests[STORE_OPERATIONS];
	uint64_t	bytes_in;
	uint64_t	bytes_out;
	bool		wrong;
} Account;

static void
count_request(void *state, const StoreRequest *request)
{
	Account    *account = state;

	account->requests[request->operation]++;
	account->bytes_in += request->bytes_in;
	account->bytes_out += request->bytes_out;
	account->wrong = account->wrong || request->caller != STORE_GC || request->latency_us > UINT64_C(3600000000) ||
		request->retry || request->hedge;
}

static void
conformance_account(ObjectStore *store)
{
	Account		account = {0};
	StoreCall	call = {.account = count_request,.state = &account,.caller = STORE_GC};
	char		buf[8];
	StoreRange	ranges[2] = {{"acc/1", 0, 8, buf}, {"acc/2", 2, 3, buf}};
	SvSlice		part = text("12345678");
	Listing		listing = {.left = -1};
	StoreObject object;
	SvError		err;

	EXPECT(store_put_if_absent(store, "acc/1", &part, 1, &call, &err) == SV_OK &&
		   store_put_if_absent(store, "acc/2", &part, 1, &call, &err) == SV_OK &&
		   account.requests[STORE_PUT] >= 2 && account.bytes_out == 16, "puts are counted");
	account.requests[STORE_GET] = 0;
	account.bytes_in = 0;
	EXPECT(store_get(store, ranges, 2, NULL, &call, &err) == SV_OK && account.requests[STORE_GET] == 2 &&
		   account.bytes_in == 11, "gets are counted");
	account.requests[STORE_HEAD] = 0;
	EXPECT(store_head(store, "acc/1", &object, &call, &err) == SV_OK && account.requests[STORE_HEAD] == 1 &&
		   store_list(store, "acc", NULL, collect, &listing, &call, &err) == SV_OK &&
		   account.requests[STORE_LIST] >= 1, "heads and listings are counted");
	EXPECT(store_remove(store, "acc/1", &call, &err) == SV_OK && store_remove(store, "acc/2", &call, &err) == SV_OK &&
		   account.requests[STORE_REMOVE] == 2 && !account.wrong, "removals are counted, for their caller");
}

/* ---- cancelling ---- */

static void
conformance_cancel(ObjectStore *store)
{
	size_t		len = 4 * 1024 * 1024;
	uint8_t    *bytes = calloc(1, len);
	SvSlice		part = {bytes, len};
	StoreRange	range = {"c", 0, len, bytes};
	Listing		listing = {.left = -1};
	int			left = 0;
	StoreCall	call = {.cancelled = cancel_after,.state = &left};
	StoreObject object;
	SvError		err = {0};

	EXPECT(store_put_if_absent(store, "c", &part, 1, &call, &err) == SV_CANCELLED &&
		   err.status == SV_CANCELLED, "a put cancelled at once");
	EXPECT(store_head(store, "c", &object, NULL, &err) == SV_NOT_FOUND, "it put nothing");
	EXPECT(store_put_if_absent(store, "c", &part, 1, NULL, &err) == SV_OK, "a put without a call");
	left = 0;
	EXPECT(store_get(store, &range, 1, NULL, &call, &err) == SV_CANCELLED, "a get cancelled at once");
	EXPECT(store_head(store, "c", &object, &call, &err) == SV_CANCELLED, "a head cancelled");
	EXPECT(store_list(store, "", NULL, collect, &listing, &call, &err) == SV_CANCELLED &&
		   listing.text[0] == '\0', "a listing cancelled at once");
	EXPECT(store_remove(store, "c", &call, &err) == SV_CANCELLED &&
		   store_head(store, "c", &object, NULL, &err) == SV_OK, "a remove cancelled");
	left = 2;
	EXPECT(store_get(store, &range, 1, NULL, &call, &err) == SV_CANCELLED, "a get cancelled halfway");
	left = 1000000;
	EXPECT(store_get(store, &range, 1, NULL, &call, &err) == SV_OK, "a get not cancelled");
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
	conformance_get_many(store);
	conformance_told(store);
	conformance_fetch(store);
	conformance_remove_many(store);
	conformance_get_small(store);
	conformance_put_if_match(store);
	conformance_upload(store);
	conformance_account(store);
	conformance_cancel(store);
	if (conformance_failures != before)
		printf("# %d failures of %s\n", conformance_failures - before, driver);
	return conformance_failures - before;
}

#endif							/* STORE_CONFORMANCE_H */
