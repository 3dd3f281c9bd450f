/*
 * engine_data.h
 *		The keys and values that the engine's benchmarks work on.
 *
 * Everything follows from the name of the set, the number of keys and a seed.
 * Values are a function of their keys, so that every answer can be checked
 * without keeping them.
 */
#ifndef ENGINE_DATA_H
#define ENGINE_DATA_H

#include "base/sv_slice.h"

#ifdef __cplusplus
extern "C"
{
#endif

typedef enum EngineSet
{
	ENGINE_UNIFORM,				/* random 8-byte keys */
	ENGINE_STRINGS,				/* user:00001234567:feature_07, with gaps */
	ENGINE_LOGNORMAL,			/* 8-byte keys, their logarithm normal */
	ENGINE_DENSE,				/* 8-byte keys, one after the other */
	ENGINE_SETS
} EngineSet;

#define ENGINE_VALUE_BYTES 100
#define ENGINE_MAX_KEY_BYTES 32

typedef struct EngineData
{
	const char *name;
	uint32_t	count;
	uint32_t	key_bytes;		/* all keys of a set are equally long */
	uint8_t    *keys;			/* ascending, without repeats */
	uint32_t   *order;			/* all positions in keys, in random order */
	uint32_t	missing_count;
	uint8_t    *missing;		/* random order; like the keys, below the largest, not among them */
} EngineData;

extern const char *engine_set_name(EngineSet set);

/* At least 1,000 keys.  Exits when there is no memory. */
extern void engine_data_make(EngineData *data, EngineSet set, uint32_t count, uint64_t seed);
extern void engine_data_free(EngineData *data);

static inline SvSlice
engine_key(const EngineData *data, uint32_t position)
{
	return sv_slice(data->keys + (size_t) position * data->key_bytes, data->key_bytes);
}

static inline SvSlice
engine_missing_key(const EngineData *data, uint32_t i)
{
	return sv_slice(data->missing + (size_t) i * data->key_bytes, data->key_bytes);
}

/* Half of the value are random bytes, half of it is always the same. */
extern void engine_value(SvSlice key, uint8_t *value);

/* Of a value's two ends and its length: what a benchmark reads of each answer. */
static inline uint64_t
engine_digest(SvSlice value)
{
	uint64_t	first;
	uint64_t	last;

	if (value.len < sizeof(first))
		return value.len;
	memcpy(&first, value.data, sizeof(first));
	memcpy(&last, value.data + value.len - sizeof(last), sizeof(last));
	return first * 3 + last + value.len;
}

/* A failed allocation or a broken peer ends the program with a message. */
extern void engine_die(const char *fmt,...)
			__attribute__((format(printf, 1, 2), noreturn));
extern void *engine_allocate(size_t bytes);

/* The next number of a sequence of random ones. */
extern uint64_t engine_random(uint64_t *state);

#ifdef __cplusplus
}
#endif

#endif							/* ENGINE_DATA_H */
