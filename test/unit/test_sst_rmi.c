/*
 * test_sst_rmi.c
 *		The learned index: every rank is within the range answered, for key sets
 *		of many kinds.
 */
#include <math.h>

#include "rmi_fixture.h"

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

/* What lookups of all keys meet in leaves of 16 bytes. */
typedef struct Met
{
	double		models;			/* keys in leaves that are models */
	double		searched;		/* and in others, of more than one key */
	double		error;			/* of the former, all together */
	uint32_t	max_error;
	double		steps;
} Met;

/* False if a key comes to no leaf. */
static bool
meet_leaves(const SstRmi *rmi, const KeySet *set, Met *met)
{
	memset(met, 0, sizeof(*met));
	for (uint32_t i = 0; i < set->count; i++)
	{
		SstRmiProbe probe = sst_rmi_start(rmi, set->keys[i]);
		SstRmiRange range;
		uint32_t	keys;
		uint32_t	width;

		sst_rmi_descend(rmi, &probe, set->keys[i]);
		if (probe.leaf == NULL)
			return false;
		range = sst_rmi_leaf_range(probe.leaf, probe.fraction, rmi->count);
		keys = sst_rmi_leaf_keys(probe.leaf);
		width = range.high - range.low < keys ? range.high - range.low : keys;
		met->steps += log2((double) width + 1);
		if (sst_rmi_leaf_kind(probe.leaf) != SST_RMI_MODEL)
		{
			met->searched += keys > 1;
			continue;
		}
		met->models++;
		met->error += width - 1;
		if (width - 1 > met->max_error)
			met->max_error = width - 1;
	}
	return true;
}

/* A little less, as ranges are cut off where the index begins and ends. */
static bool
is_about(double met, double told)
{
	return met <= told + 1e-6 && met >= told * 0.9 - 0.01;
}

/* Whether what skyvault_index shows is what lookups meet. */
static bool
stats_are_true(const SstRmi *rmi, const KeySet *set, const SstRmiStats *stats)
{
	Met			met;

	if (rmi->knots || set->count < 1000)
		return true;
	if (meet_leaves(rmi, set, &met) &&
		fabs(met.searched / set->count - stats->fallback_share) < 1e-9 &&
		met.max_error == stats->max_error &&
		is_about(met.models > 0 ? met.error / met.models : 0, stats->mean_error) &&
		is_about(met.steps / set->count, stats->probes))
		return true;
	printf("# met: errors up to %u, mean %f, searched %f, steps %f; told: %u, %f, %f, %f\n",
		   met.max_error, met.error / met.models, met.searched / set->count, met.steps / set->count,
		   stats->max_error, stats->mean_error, stats->fallback_share, stats->probes);
	return false;
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
			stats.depth <= SST_RMI_MAX_DEPTH && stats.fallback_share <= 1 &&
			stats_are_true(&rmi, set, &stats);
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
check_quality(void (*make) (KeySet *set), double bytes_per_key, double steps, const char *root, const char *name)
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
	stats.root_kind = "none";
	if (build(&set, 0, false, &out, &err) == SV_OK &&
		sst_rmi_parse(&rmi, sv_buffer_slice(&out), set.count) == NULL)
		sst_rmi_stats(&rmi, &stats);
	printf("# %s, %.2f bytes per key, %.2f steps, %.3f searched\n", stats.root_kind,
		   (double) stats.bytes / set.count, stats.probes, stats.fallback_share);
	CHECK((double) stats.bytes / set.count < bytes_per_key && stats.probes < steps &&
		  stats.fallback_share < 0.1 && strncmp(stats.root_kind, root, strlen(root)) == 0, name);
	sv_buffer_free(&out);
	free_keys(&set);
}

static void
test_quality(void)
{
	check_quality(make_uniform, 0.4, 4.1, "linear", "uniform keys: few bytes, few steps");
	check_quality(make_dense, 0.4, 1.1, "linear", "dense keys: few bytes, one step");
	check_quality(make_lognormal, 0.4, 4.1, "logarithmic", "lognormal keys: few bytes, few steps");
	check_quality(make_clustered, 0.75, 5, "linear", "clustered keys: few bytes, few steps");
	check_quality(make_features, 0.5, 5.1, "linear", "features: few bytes, few steps");
}

/* ------------------------------------------------------------------ knots */

/* Leaves are knots where these fit nearly all of the keys, and of those they do not fit ranges are made. */
static void
check_knots(void (*make) (KeySet *set), uint32_t keys_per_leaf, bool fences, bool expected,
			const char *name)
{
	KeySet		set = {0};
	SvBuffer	out;
	SvError		err;
	SstRmi		rmi;
	SstRmiStats stats;
	bool		ok;

	make(&set);
	sort_keys(&set);
	sv_buffer_init(&out, &sv_malloc_alloc);
	ok = build(&set, keys_per_leaf, fences, &out, &err) == SV_OK &&
		sst_rmi_parse(&rmi, sv_buffer_slice(&out), set.count) == NULL;
	if (ok)
	{
		sst_rmi_stats(&rmi, &stats);
		printf("# %.2f bytes per key, errors up to %u, %.3f searched\n",
			   (double) stats.bytes / set.count, stats.max_error, stats.fallback_share);
		for (uint32_t i = 0; ok && expected && i < set.count; i++)
		{
			SstRmiProbe probe = sst_rmi_probe(&rmi, set.keys[i]);
			int64_t		off = (int64_t) sst_rmi_guess(&rmi, &probe) - i;

			ok = off > -(int64_t) set.count / 10 && off < set.count / 10;
		}
		ok = ok && rmi.knots == expected &&
			(!expected || (stats.fallback_share > 0 && stats.fallback_share <= 0.05));
	}
	CHECK(ok, name);
	sv_buffer_free(&out);
	free_keys(&set);
}

static void
test_knots(void)
{
	check_knots(make_uniform, 0, false, true, "uniform keys: knots, and a few ranges");
	check_knots(make_lognormal, 0, false, true, "lognormal keys: knots, and a few ranges");
	check_knots(make_uniform, 0, true, false, "no knots with fences");
	check_knots(make_uniform, 5000, false, false, "no knots where they do not fit");
	check_knots(make_long_prefixes, 0, false, false, "no knots where there are children");
}

int
main(void)
{
	seed_random();
	test_ranges();
	test_contract();
	test_quality();
	test_knots();
	return unit_done();
}
