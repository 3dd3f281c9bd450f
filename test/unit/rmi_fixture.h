/*
 * rmi_fixture.h
 *		Sets of keys of many kinds, and a learned index of them.
 *
 * RMI_SEED in the environment changes the random keys.
 */
#ifndef RMI_FIXTURE_H
#define RMI_FIXTURE_H

#include <stdlib.h>

#include "sst/sst_rmi.h"
#include "sst/sst_rmi_build.h"
#include "unit.h"

#define MAX_KEY_BYTES	512

/* ------------------------------------------------------------ sets of keys */

typedef struct KeySet
{
	const char *name;
	SvSlice    *keys;
	uint32_t	count;
	uint32_t	capacity;
} KeySet;

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t
random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static void
seed_random(void)
{
	const char *seed = getenv("RMI_SEED");

	if (seed != NULL)
		random_state = (strtoull(seed, NULL, 10) + 2) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static void
add_key(KeySet *set, const void *data, size_t len)
{
	uint8_t    *copy = malloc(len + 1);

	memcpy(copy, data, len);
	if (set->count == set->capacity)
	{
		set->capacity = set->capacity * 2 + 16;
		set->keys = realloc(set->keys, set->capacity * sizeof(SvSlice));
	}
	set->keys[set->count++] = sv_slice(copy, len);
}

static void
add_number(KeySet *set, uint64_t v)
{
	uint8_t		bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t) (v >> (8 * (7 - i)));
	add_key(set, bytes, 8);
}

static int
compare_keys(const void *a, const void *b)
{
	return sv_slice_compare(*(const SvSlice *) a, *(const SvSlice *) b);
}

static void
sort_keys(KeySet *set)
{
	uint32_t	n = 0;

	if (set->count == 0)
		return;
	qsort(set->keys, set->count, sizeof(SvSlice), compare_keys);
	for (uint32_t i = 1; i < set->count; i++)
	{
		if (sv_slice_equal(set->keys[n], set->keys[i]))
			free((void *) set->keys[i].data);
		else
			set->keys[++n] = set->keys[i];
	}
	set->count = n + 1;
}

static void
free_keys(KeySet *set)
{
	for (uint32_t i = 0; i < set->count; i++)
		free((void *) set->keys[i].data);
	free(set->keys);
	memset(set, 0, sizeof(*set));
}

static void
make_none(KeySet *set)
{
	(void) set;
}

static void
make_one(KeySet *set)
{
	add_key(set, "one", 3);
}

static void
make_empty_key(KeySet *set)
{
	add_key(set, "", 0);
}

static void
make_two(KeySet *set)
{
	add_key(set, "", 0);
	add_key(set, "\0", 1);
}

static void
make_uniform(KeySet *set)
{
	for (int i = 0; i < 20000; i++)
		add_number(set, random_u64());
}

static void
make_dense(KeySet *set)
{
	for (uint64_t i = 0; i < 20000; i++)
		add_number(set, 1000 + i);
}

/* Between 2^0 and 2^60, as many in each doubling. */
static void
make_lognormal(KeySet *set)
{
	for (int i = 0; i < 20000; i++)
		add_number(set, random_u64() >> 4 >> random_u64() % 60);
}

static void
make_clustered(KeySet *set)
{
	for (int i = 0; i < 40; i++)
	{
		uint64_t	center = random_u64();

		for (int j = 0; j < 700; j++)
			add_number(set, center + random_u64() % (UINT64_C(1) << (i % 20 + 10)));
	}
}

static void
make_doubling(KeySet *set)
{
	for (int i = 0; i < 64; i++)
	{
		add_number(set, UINT64_C(1) << i);
		add_number(set, (UINT64_C(1) << i) - 1);
		add_number(set, ~(UINT64_C(1) << i));
	}
}

/* Each key is a prefix of the next, and so for every byte. */
static void
make_nested(KeySet *set)
{
	uint8_t		bytes[400];

	for (int b = 0; b < 256; b += 51)
	{
		memset(bytes, b, sizeof(bytes));
		for (size_t n = 0; n <= sizeof(bytes); n++)
			add_key(set, bytes, n);
	}
}

/* Zero-padded they are all alike. */
static void
make_padding(KeySet *set)
{
	static const uint8_t zeroes[300] = {0};

	for (size_t n = 1; n <= sizeof(zeroes); n++)
		add_key(set, zeroes, n);
}

static void
make_features(KeySet *set)
{
	char		text[64];

	for (uint64_t user = 0; set->count < 30000; user += 1 + random_u64() % 3)
	{
		for (uint64_t f = random_u64() % 4; f < 20; f += 1 + random_u64() % 4)
			add_key(set, text, (size_t) snprintf(text, sizeof(text), "user:%011lu:feature_%02lu",
												 (unsigned long) user, (unsigned long) f));
	}
}

static void
make_numbers_as_text(KeySet *set)
{
	char		text[32];

	for (unsigned i = 0; i < 20000; i++)
		add_key(set, text, (size_t) snprintf(text, sizeof(text), "id%u", i * 3));
}

/* Features, cut where they differ from the one before, as low keys of blocks are. */
static void
make_separators(KeySet *set)
{
	KeySet		whole = {0};

	make_features(&whole);
	sort_keys(&whole);
	for (uint32_t i = 1; i < whole.count; i += 3)
	{
		SvSlice		key = whole.keys[i];
		SvSlice		before = whole.keys[i - 1];
		size_t		n = 0;

		while (n < before.len && before.data[n] == key.data[n])
			n++;
		add_key(set, key.data, n + 1);
	}
	free_keys(&whole);
}

/* Long prefixes in common, ties beyond the window, groups of every size. */
static void
make_long_prefixes(KeySet *set)
{
	uint8_t		bytes[200];

	for (int group = 0; group < 60; group++)
	{
		memset(bytes, 'p', sizeof(bytes));
		bytes[70] = (uint8_t) (group / 8);
		bytes[90] = (uint8_t) (group % 8);
		for (int i = 0; i < 1 << group % 12; i++)
		{
			uint64_t	tail = random_u64();

			memcpy(bytes + 150, &tail, 8);
			add_key(set, bytes, 150 + random_u64() % 50);
		}
	}
}

/* Words whose letters vary at every place, in two tables. */
static void
make_words(KeySet *set)
{
	static const char *const words[] = {"red", "green", "blue", "", "a", "ab", "abc", "zz", "0", "\xff"};
	uint8_t		bytes[64];

	for (int i = 0; i < 20000; i++)
	{
		size_t		n = 4;

		memset(bytes, 0, 4);
		bytes[3] = (uint8_t) (i % 2);
		for (int w = 0; w < 5; w++)
		{
			const char *word = words[random_u64() % 10];

			memcpy(bytes + n, word, strlen(word));
			n += strlen(word);
			bytes[n++] = '/';
		}
		add_key(set, bytes, n);
	}
}

static void
make_random_lengths(KeySet *set)
{
	uint8_t		bytes[24];

	for (int i = 0; i < 20000; i++)
	{
		size_t		n = random_u64() % sizeof(bytes);

		for (size_t j = 0; j < n; j++)
			bytes[j] = (uint8_t) (random_u64() % 3 == 0 ? random_u64() : random_u64() % 2 * 255);
		add_key(set, bytes, n);
	}
}

static void
make_all_ones(KeySet *set)
{
	uint8_t		bytes[MAX_KEY_BYTES];

	memset(bytes, 0xff, sizeof(bytes));
	for (size_t n = 0; n <= 100; n++)
		add_key(set, bytes, n);
	for (uint64_t i = 0; i < 2000; i++)
		add_number(set, UINT64_MAX - i);
}

/* A single key far from a dense crowd, on either side. */
static void
make_outliers(KeySet *set)
{
	for (uint64_t i = 0; i < 5000; i++)
		add_number(set, (UINT64_C(1) << 40) + 7 * i);
	add_number(set, 0);
	add_number(set, UINT64_MAX);
}

typedef struct Kind
{
	const char *name;
	void		(*make) (KeySet *set);
} Kind;

static const Kind kinds[] = {
	{"no keys", make_none},
	{"one key", make_one},
	{"the empty key", make_empty_key},
	{"two keys", make_two},
	{"uniform", make_uniform},
	{"dense", make_dense},
	{"lognormal", make_lognormal},
	{"clustered", make_clustered},
	{"doubling gaps", make_doubling},
	{"nested prefixes", make_nested},
	{"zeroes", make_padding},
	{"features", make_features},
	{"numbers as text", make_numbers_as_text},
	{"separators", make_separators},
	{"long prefixes", make_long_prefixes},
	{"words", make_words},
	{"random lengths", make_random_lengths},
	{"all ones", make_all_ones},
	{"outliers", make_outliers},
};

#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static SvSlice
key_of(const void *state, uint32_t i)
{
	return ((const KeySet *) state)->keys[i];
}

static SvStatus
build(const KeySet *set, uint32_t keys_per_leaf, bool fences, SvBuffer *out, SvError *err)
{
	SstRmiKeys	keys = {key_of, set, set->count};
	SstRmiOptions options = {keys_per_leaf, fences};

	return sst_rmi_build(&keys, &options, out, err);
}

#endif							/* RMI_FIXTURE_H */
