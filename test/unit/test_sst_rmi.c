/*
 * test_sst_rmi.c
 *		The learned index: every rank is within the range answered, for key sets
 *		of many kinds, and any bytes are refused or answered within bounds.
 *
 * RMI_SEED in the environment changes the random keys.
 */
#include <stdlib.h>

#include "base/sv_coding.h"
#include "sst/sst_rmi.h"
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

/* ----------------------------------------------------------------- lookups */

/* How many keys are not above key. */
static uint32_t
rank_of(const KeySet *set, SvSlice key)
{
	uint32_t	low = 0;
	uint32_t	high = set->count;

	while (low < high)
	{
		uint32_t	middle = low + (high - low) / 2;

		if (sv_slice_compare(set->keys[middle], key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
finds(const SstRmi *rmi, const KeySet *set, SvSlice key)
{
	uint32_t	rank = rank_of(set, key);
	SstRmiRange range = sst_rmi_locate(rmi, key);
	SstRmiProbe probe = sst_rmi_start(rmi, key);
	SstRmiRange again;

	sst_rmi_aim(rmi, &probe);
	again = sst_rmi_finish(rmi, &probe, key);
	if (range.low <= rank && rank <= range.high && range.high <= set->count &&
		again.low == range.low && again.high == range.high)
		return true;
	printf("# key of %zu bytes, rank %u: %u to %u, then %u to %u\n", key.len, rank,
		   range.low, range.high, again.low, again.high);
	return false;
}

/* The key, its neighbours just below and above, cut, extended, and with a byte changed. */
static bool
finds_around(const SstRmi *rmi, const KeySet *set, SvSlice key)
{
	uint8_t		bytes[MAX_KEY_BYTES + 1];
	size_t		at;
	bool		ok = finds(rmi, set, key);

	/* an exact copy, so that reading beyond the end is noticed */
	memcpy(bytes, key.data, key.len);
	bytes[key.len] = 0;
	ok = ok && finds(rmi, set, sv_slice(bytes, key.len + 1));
	bytes[key.len] = 0xff;
	ok = ok && finds(rmi, set, sv_slice(bytes, key.len + 1));
	if (key.len == 0)
		return ok;
	ok = ok && finds(rmi, set, sv_slice(bytes, key.len - 1));
	ok = ok && finds(rmi, set, sv_slice(bytes, random_u64() % key.len));
	at = key.len - 1;
	bytes[at]--;
	ok = ok && finds(rmi, set, sv_slice(bytes, key.len));
	bytes[at] += 2;
	ok = ok && finds(rmi, set, sv_slice(bytes, key.len));
	bytes[at]--;
	at = random_u64() % key.len;
	bytes[at] = (uint8_t) random_u64();
	return ok && finds(rmi, set, sv_slice(bytes, key.len));
}

static bool
finds_random(const SstRmi *rmi, const KeySet *set)
{
	uint8_t		bytes[32];

	if (!finds(rmi, set, sv_slice(NULL, 0)))
		return false;
	for (int i = 0; i < 2000; i++)
	{
		size_t		n = random_u64() % sizeof(bytes);

		for (size_t j = 0; j < n; j++)
			bytes[j] = (uint8_t) random_u64();
		if (!finds(rmi, set, sv_slice(bytes, n)))
			return false;
	}
	return true;
}

static bool
index_holds(const KeySet *set, uint32_t keys_per_leaf, bool fences)
{
	SvBuffer	out;
	SvError		err;
	SstRmi		rmi;
	SstRmiStats stats;
	const char *wrong;
	uint8_t    *copy;
	bool		ok = true;

	sv_buffer_init(&out, &sv_malloc_alloc);
	if (build(set, keys_per_leaf, fences, &out, &err) != SV_OK)
	{
		printf("# %s\n", err.message);
		return false;
	}
	/* where reading beyond either end is noticed */
	copy = malloc(out.len);
	memcpy(copy, out.data, out.len);
	wrong = sst_rmi_parse(&rmi, sv_slice(copy, out.len), set->count);
	if (wrong != NULL)
	{
		printf("# %s\n", wrong);
		ok = false;
	}
	for (uint32_t i = 0; ok && i < set->count; i++)
		ok = finds_around(&rmi, set, set->keys[i]);
	ok = ok && finds_random(&rmi, set);
	if (ok)
	{
		sst_rmi_stats(&rmi, &stats);
		printf("# %u keys, %s, %s: %u nodes, %u leaves, depth %u, %zu bytes, "
			   "errors up to %u, mean %.1f, searched %.3f, steps %.2f\n",
			   set->count, stats.root_kind, stats.code_kind, stats.nodes, stats.leaves,
			   stats.depth, stats.bytes, stats.max_error, stats.mean_error,
			   stats.fallback_share, stats.probes);
		ok = stats.bytes == out.len && stats.nodes == rmi.node_count &&
			stats.depth <= SST_RMI_MAX_DEPTH && stats.fallback_share <= 1;
	}
	free(copy);
	sv_buffer_free(&out);
	return ok;
}

static void
test_ranges(void)
{
	for (size_t i = 0; i < KINDS; i++)
	{
		KeySet		set = {0};
		char		name[128];

		kinds[i].make(&set);
		sort_keys(&set);
		snprintf(name, sizeof(name), "%s: ranks are in range", kinds[i].name);
		CHECK(index_holds(&set, 0, false), name);
		snprintf(name, sizeof(name), "%s: ranks are in range, with fences", kinds[i].name);
		CHECK(index_holds(&set, 0, true), name);
		snprintf(name, sizeof(name), "%s: ranks are in range, large and small leaves", kinds[i].name);
		CHECK(index_holds(&set, 5000, false) && index_holds(&set, 1, true), name);
		free_keys(&set);
	}
}

/* ------------------------------------------------------------ hostile bytes */

/* Any key gets an answer within bounds, in both ways. */
static bool
answers_in_bounds(const SstRmi *rmi, const KeySet *set)
{
	for (uint32_t i = 0; i < set->count; i += 1 + set->count / 40)
	{
		SvSlice		key = set->keys[i];
		SstRmiRange range = sst_rmi_locate(rmi, key);
		SstRmiRange cut = sst_rmi_locate(rmi, sv_slice(key.data, key.len / 2));
		SstRmiProbe probe = sst_rmi_start(rmi, key);
		SstRmiRange again;

		sst_rmi_aim(rmi, &probe);
		again = sst_rmi_finish(rmi, &probe, key);
		if (range.low > range.high || range.high > rmi->count || cut.low > cut.high ||
			cut.high > rmi->count || again.low != range.low || again.high != range.high)
			return false;
	}
	return true;
}

/* Parses an exact copy; when that works, lookups and statistics have to as well. */
static bool
survives(const uint8_t *bytes, size_t len, const KeySet *set, bool *accepted)
{
	uint8_t    *copy = malloc(len + 1);
	SstRmi		rmi;
	SstRmiStats stats;
	bool		ok = true;

	/* at the end of what was allocated */
	memcpy(copy + 1, bytes, len);
	*accepted = sst_rmi_parse(&rmi, sv_slice(copy + 1, len), set->count) == NULL;
	if (*accepted)
	{
		ok = answers_in_bounds(&rmi, set);
		sst_rmi_stats(&rmi, &stats);
	}
	free(copy);
	return ok;
}

static bool
survives_damage(SvSlice good, const KeySet *set)
{
	uint8_t    *bytes = malloc(good.len + 16);
	bool		accepted;
	bool		ok;

	memcpy(bytes, good.data, good.len);
	memset(bytes + good.len, 0, 16);
	ok = survives(bytes, good.len, set, &accepted) && accepted;
	for (size_t i = 0; ok && i < good.len; i++)
	{
		for (int bit = 0; ok && bit < 8; bit++)
		{
			bytes[i] ^= (uint8_t) (1 << bit);
			ok = survives(bytes, good.len, set, &accepted);
			bytes[i] ^= (uint8_t) (1 << bit);
		}
		bytes[i] = (uint8_t) ~bytes[i];
		ok = ok && survives(bytes, good.len, set, &accepted);
		bytes[i] = (uint8_t) ~bytes[i];
	}
	for (size_t len = 0; ok && len < good.len; len++)
		ok = survives(bytes, len, set, &accepted) && !accepted;
	ok = ok && survives(bytes, good.len + 16, set, &accepted) && !accepted;
	for (int i = 0; ok && i < 20000; i++)
	{
		memcpy(bytes, good.data, good.len);
		for (int j = 0; j < 4; j++)
			bytes[random_u64() % good.len] = (uint8_t) random_u64();
		ok = survives(bytes, good.len, set, &accepted);
	}
	free(bytes);
	return ok;
}

static void
thin_out(KeySet *set, uint32_t most)
{
	uint32_t	step = set->count / most + 1;
	uint32_t	n = 0;

	for (uint32_t i = 0; i < set->count; i++)
	{
		if (i % step == 0)
			set->keys[n++] = set->keys[i];
		else
			free((void *) set->keys[i].data);
	}
	set->count = n;
}

static void
check_damage(void (*make) (KeySet *set), uint32_t most, uint32_t keys_per_leaf, bool fences,
			 uint32_t least_nodes, const char *name)
{
	KeySet		set = {0};
	SvBuffer	out;
	SvError		err;

	make(&set);
	sort_keys(&set);
	thin_out(&set, most);
	sv_buffer_init(&out, &sv_malloc_alloc);
	CHECK(build(&set, keys_per_leaf, fences, &out, &err) == SV_OK &&
		  sv_get_u32(out.data + 8) >= least_nodes &&
		  survives_damage(sv_buffer_slice(&out), &set), name);
	sv_buffer_free(&out);
	free_keys(&set);
}

static void
test_damage(void)
{
	check_damage(make_none, 1, 0, false, 0, "damaged bytes: no keys");
	check_damage(make_uniform, 100, 8, false, 1, "damaged bytes: bytes as code");
	check_damage(make_lognormal, 60, 8, true, 1, "damaged bytes: fences");
	check_damage(make_nested, 200, 4, true, 2, "damaged bytes: children");
	check_damage(make_features, 400, 16, true, 1, "damaged bytes: an alphabet");
}

/* ---------------------------------------------------------------- contract */

static void
test_contract(void)
{
	KeySet		set = {0};
	SvBuffer	out;
	SvError		err;
	SstRmi		rmi;
	SstRmiRange range;

	sv_buffer_init(&out, &sv_malloc_alloc);
	sv_buffer_append(&out, "before", 6, &err);
	add_key(&set, "b", 1);
	add_key(&set, "a", 1);
	CHECK(build(&set, 0, false, &out, &err) == SV_INVALID && out.len == 6,
		  "keys that descend are refused, and nothing is appended");
	add_key(&set, "a", 1);
	set.keys++;
	set.count -= 1;
	CHECK(build(&set, 0, false, &out, &err) == SV_INVALID && out.len == 6,
		  "equal keys are refused");
	set.keys--;
	set.count += 1;
	free_keys(&set);

	make_clustered(&set);
	sort_keys(&set);
	CHECK(build(&set, 0, true, &out, &err) == SV_OK && memcmp(out.data, "before", 6) == 0 &&
		  sst_rmi_parse(&rmi, sv_slice(out.data + 6, out.len - 6), set.count) == NULL,
		  "an index is appended");
	CHECK(sst_rmi_parse(&rmi, sv_slice(out.data + 6, out.len - 6), set.count - 1) != NULL,
		  "an index of another number of keys is refused");
	sst_rmi_parse(&rmi, sv_slice(out.data + 6, out.len - 6), set.count);
	range = sst_rmi_locate(&rmi, set.keys[5000]);
	CHECK(range.low == 5000 && range.high == 5001, "with fences only the key itself is left");
	out.data[6]++;
	CHECK(sst_rmi_parse(&rmi, sv_slice(out.data + 6, out.len - 6), set.count) != NULL,
		  "an unknown version is refused");
	sv_buffer_free(&out);
	free_keys(&set);
}

/* Keys that 64 bits tell apart cost at most so many bytes, and are found so exactly. */
static void
check_quality(void (*make) (KeySet *set), double bytes_per_key, double steps, const char *name)
{
	KeySet		set = {0};
	SvBuffer	out;
	SvError		err;
	SstRmi		rmi;
	SstRmiStats stats;

	make(&set);
	sort_keys(&set);
	sv_buffer_init(&out, &sv_malloc_alloc);
	memset(&stats, 0xff, sizeof(stats));
	if (build(&set, 0, false, &out, &err) == SV_OK &&
		sst_rmi_parse(&rmi, sv_buffer_slice(&out), set.count) == NULL)
		sst_rmi_stats(&rmi, &stats);
	printf("# %.2f bytes per key, %.2f steps, %.3f searched\n",
		   (double) stats.bytes / set.count, stats.probes, stats.fallback_share);
	CHECK((double) stats.bytes / set.count < bytes_per_key && stats.probes < steps &&
		  stats.fallback_share < 0.1, name);
	sv_buffer_free(&out);
	free_keys(&set);
}

static void
test_quality(void)
{
	check_quality(make_uniform, 0.4, 4, "uniform keys: few bytes, few steps");
	check_quality(make_dense, 0.4, 1.1, "dense keys: few bytes, one step");
	check_quality(make_lognormal, 0.4, 4, "lognormal keys: few bytes, few steps");
	check_quality(make_clustered, 0.75, 5, "clustered keys: few bytes, few steps");
	check_quality(make_features, 0.5, 5, "features: few bytes, few steps");
}

int
main(void)
{
	const char *seed = getenv("RMI_SEED");

	if (seed != NULL)
		random_state = (strtoull(seed, NULL, 10) + 2) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	test_ranges();
	test_damage();
	test_contract();
	test_quality();
	return unit_done();
}
