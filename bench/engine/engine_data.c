/*
 * engine_data.c
 *		Keys are drawn as numbers that sort as the keys do, and written out as
 *		bytes at the end.
 */
#include "engine_data.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sv_coding.h"
#include "base/sv_hash.h"

#define FEATURES 16
#define MISSING_MAX (1024 * 1024)

static const char *const set_names[ENGINE_SETS] = {"uniform", "strings", "lognormal", "dense"};

const char *
engine_set_name(EngineSet set)
{
	return set_names[set];
}

void
engine_die(const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void *
engine_allocate(size_t bytes)
{
	void	   *memory = malloc(bytes > 0 ? bytes : 1);

	if (memory == NULL)
		engine_die("out of memory for %zu bytes", bytes);
	return memory;
}

/* splitmix64 (Steele, Lea and Flood 2014) */
uint64_t
engine_random(uint64_t *state)
{
	uint64_t	z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* In (0, 1]. */
static double
random_fraction(uint64_t *state)
{
	return (double) ((engine_random(state) >> 11) + 1) / 9007199254740992.0;
}

/* exp(N(0, 2)) * 1e9, as the papers on learned indexes have it. */
static uint64_t
random_lognormal(uint64_t *state)
{
	for (;;)
	{
		double		radius = sqrt(-2.0 * log(random_fraction(state)));
		double		drawn = exp(2.0 * radius * cos(2.0 * M_PI * random_fraction(state))) * 1e9;

		if (drawn < 9e18)
			return (uint64_t) drawn;
	}
}

static uint64_t
draw(EngineSet set, uint64_t *state)
{
	return set == ENGINE_LOGNORMAL ? random_lognormal(state) : engine_random(state);
}

static int
compare_codes(const void *a, const void *b)
{
	uint64_t	x = *(const uint64_t *) a;
	uint64_t	y = *(const uint64_t *) b;

	return (x > y) - (x < y);
}

/* Sorts, and answers how many are left without repeats. */
static size_t
sort_unique(uint64_t *codes, size_t n)
{
	size_t		kept = 1;

	qsort(codes, n, sizeof(uint64_t), compare_codes);
	for (size_t i = 1; i < n; i++)
		if (codes[i] != codes[kept - 1])
			codes[kept++] = codes[i];
	return kept;
}

/* Draws a few more than needed, as some will be equal, and leaves some out all over the range. */
static uint64_t *
draw_codes(EngineSet set, uint32_t count, uint64_t *state)
{
	size_t		capacity = (size_t) count + count / 16 + 64;
	uint64_t   *codes = engine_allocate(capacity * sizeof(uint64_t));
	size_t		have = 0;

	while (have < count)
	{
		for (; have < capacity; have++)
			codes[have] = draw(set, state);
		have = sort_unique(codes, have);
	}
	for (size_t i = 0; i < count; i++)
		codes[i] = codes[i * have / count];
	return codes;
}

/* Most users are near their neighbours, some far away; each has most of the features. */
static uint64_t *
make_string_codes(uint32_t count, uint64_t *state)
{
	uint64_t   *codes = engine_allocate((size_t) count * sizeof(uint64_t));
	uint64_t	user = 0;
	uint32_t	n = 0;

	while (n < count)
	{
		uint64_t	r = engine_random(state);

		user += 1 + (r & 63);
		if (((r >> 6) & 1023) == 0)
			user += (r >> 16) % 1000000;
		for (uint64_t feature = 0; feature < FEATURES && n < count; feature++)
			if (engine_random(state) % 5 != 0)
				codes[n++] = user * FEATURES + feature;
	}
	return codes;
}

static uint64_t *
make_codes(EngineSet set, uint32_t count, uint64_t *state)
{
	uint64_t   *codes;

	if (set == ENGINE_STRINGS)
		return make_string_codes(count, state);
	if (set != ENGINE_DENSE)
		return draw_codes(set, count, state);
	codes = engine_allocate((size_t) count * sizeof(uint64_t));
	for (uint32_t i = 0; i < count; i++)
		codes[i] = i;
	return codes;
}

static void
write_key(EngineSet set, uint64_t code, uint8_t *dst)
{
	char		text[ENGINE_MAX_KEY_BYTES];

	if (set != ENGINE_STRINGS)
	{
		for (int i = 0; i < 8; i++)
			dst[i] = (uint8_t) (code >> (56 - 8 * i));
		return;
	}
	snprintf(text, sizeof(text), "user:%011llu:feature_%02u",
			 (unsigned long long) (code / FEATURES % UINT64_C(100000000000)), (unsigned) (code % FEATURES));
	memcpy(dst, text, strlen(text));
}

/* Something that could be a key, as the keys are distributed. */
static uint64_t
draw_candidate(EngineSet set, const uint64_t *codes, uint32_t count, uint64_t *state)
{
	uint64_t	near;

	if (set == ENGINE_UNIFORM || set == ENGINE_LOGNORMAL)
		return draw(set, state);
	near = codes[engine_random(state) % count];
	if (set == ENGINE_DENSE)
		return near;
	/* Half of the time a feature that a user may lack, else one of somebody who may not exist. */
	if ((engine_random(state) & 1) == 0)
		return near / FEATURES * FEATURES + engine_random(state) % FEATURES;
	return near + engine_random(state) % (64 * FEATURES);
}

/* A dense set has no gaps, and so nothing is missing inside its range. */
static void
make_missing(EngineData *data, EngineSet set, const uint64_t *codes, uint64_t *state)
{
	data->missing_count = set == ENGINE_DENSE ? 0 :
		data->count < MISSING_MAX ? data->count : MISSING_MAX;
	data->missing = engine_allocate((size_t) data->missing_count * data->key_bytes);
	for (uint32_t i = 0; i < data->missing_count;)
	{
		uint64_t	code = draw_candidate(set, codes, data->count, state);

		if (code > codes[data->count - 1] || code < codes[0] ||
			bsearch(&code, codes, data->count, sizeof(uint64_t), compare_codes) != NULL)
			continue;
		write_key(set, code, data->missing + (size_t) i * data->key_bytes);
		i++;
	}
}

static void
shuffle(uint32_t *order, uint32_t count, uint64_t *state)
{
	for (uint32_t i = 0; i < count; i++)
		order[i] = i;
	for (uint32_t i = count - 1; i > 0; i--)
	{
		uint32_t	j = (uint32_t) (engine_random(state) % (i + 1));
		uint32_t	kept = order[i];

		order[i] = order[j];
		order[j] = kept;
	}
}

void
engine_data_make(EngineData *data, EngineSet set, uint32_t count, uint64_t seed)
{
	uint64_t	state = seed * ENGINE_SETS + set;
	uint64_t   *codes = make_codes(set, count, &state);

	data->name = set_names[set];
	data->count = count;
	data->key_bytes = set == ENGINE_STRINGS ? sizeof("user:00001234567:feature_07") - 1 : 8;
	data->keys = engine_allocate((size_t) count * data->key_bytes);
	for (uint32_t i = 0; i < count; i++)
		write_key(set, codes[i], data->keys + (size_t) i * data->key_bytes);
	make_missing(data, set, codes, &state);
	free(codes);
	data->order = engine_allocate((size_t) count * sizeof(uint32_t));
	shuffle(data->order, count, &state);
}

void
engine_data_free(EngineData *data)
{
	free(data->keys);
	free(data->missing);
	free(data->order);
}

#define RANDOM_FRONT 42
#define RANDOM_BACK 8

void
engine_value(SvSlice key, uint8_t *value)
{
	uint64_t	state = sv_hash64(key);
	uint8_t		random[RANDOM_FRONT + RANDOM_BACK + 8];

	for (size_t at = 0; at < RANDOM_FRONT + RANDOM_BACK; at += 8)
		sv_put_u64(random + at, engine_random(&state));
	memset(value, '*', ENGINE_VALUE_BYTES);
	memcpy(value, random, RANDOM_FRONT);
	memcpy(value + ENGINE_VALUE_BYTES - RANDOM_BACK, random + RANDOM_FRONT, RANDOM_BACK);
}
