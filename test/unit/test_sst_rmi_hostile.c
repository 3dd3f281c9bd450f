/*
 * test_sst_rmi_hostile.c
 *		Any bytes as a learned index are refused or answered within bounds.
 */
#include "rmi_fixture.h"

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
	check_damage(make_uniform, 100, 8, false, 1, "damaged bytes: knots");
	check_damage(make_lognormal, 60, 1, false, 1, "damaged bytes: knots of a logarithmic root");
	check_damage(make_nested, 200, 4, false, 1, "damaged bytes: records, no fences");
	check_damage(make_lognormal, 60, 8, true, 1, "damaged bytes: fences");
	check_damage(make_nested, 200, 4, true, 2, "damaged bytes: children");
	check_damage(make_features, 400, 16, true, 1, "damaged bytes: an alphabet");
}

int
main(void)
{
	seed_random();
	test_damage();
	return unit_done();
}
