/*
 * test_merge.c
 *		The merge against a model, in both directions, and its edges.
 *
 * Streams hand out entries from one buffer that the next call overwrites, so
 * that a merge which moves a stream too early reads wrong keys.
 *
 * Usage: test_merge [seed]
 */
#include "unit.h"

#include <stdlib.h>
#include <time.h>

#include "lsm/lsm_merge.h"

#define KEYS 60
#define MAX_SOURCES 20

typedef struct ArrayStream
{
	const int  *keys;			/* in the order of the stream */
	int			nkeys;
	int			next;
	int			id;
	int			fail_at;		/* -1: never */
	bool		ended;
	bool		asked_after_end;
	char		key[16];
	char		value[32];
} ArrayStream;

static SvSlice
key_slice(char *buf, size_t size, int key)
{
	/* Of several lengths, so that prefixes of one another occur. */
	int			len = key % 3 == 0 ? snprintf(buf, size, "k%02d", key)
		: snprintf(buf, size, "k%02d%c", key - key % 3, 'a' + key % 3);

	return sv_slice(buf, (size_t) len);
}

static SvStatus
array_next(void *state, SstEntry *entry, SvError *err)
{
	ArrayStream *stream = state;
	int			key;

	memset(stream->key, '#', sizeof(stream->key));
	memset(stream->value, '#', sizeof(stream->value));
	if (stream->next == stream->fail_at)
		return sv_fail(err, SV_IO, "stream %d failed", stream->id);
	if (stream->next == stream->nkeys)
	{
		stream->asked_after_end = stream->ended;
		stream->ended = true;
		return SV_NOT_FOUND;
	}
	key = stream->keys[stream->next++];
	entry->key = key_slice(stream->key, sizeof(stream->key), key);
	entry->value = sv_slice(stream->value, (size_t) snprintf(stream->value, sizeof(stream->value),
															 "%d/%d", key, stream->id));
	entry->expires_at = SST_NEVER_EXPIRES;
	entry->kind = key % 5 == 0 ? SST_TOMBSTONE : SST_VALUE;
	return SV_OK;
}

static void
init_stream(ArrayStream *stream, LsmSource *source, int id, const int *keys, int nkeys)
{
	memset(stream, 0, sizeof(*stream));
	stream->keys = keys;
	stream->nkeys = nkeys;
	stream->id = id;
	stream->fail_at = -1;
	source->next = array_next;
	source->state = stream;
}

/*
 * The next entry, of the merge or, as soon as that says so, of the only stream that is left.
 * Which of several streams is left, the merge must not say.
 */
static SvStatus
next_entry(LsmMerge *merge, LsmSource *sole, SstEntry *entry, int *source, SvError *err)
{
	SvStatus	status;

	if (sole->next != NULL)
	{
		*source = ((ArrayStream *) sole->state)->id;
		return sole->next(sole->state, entry, err);
	}
	status = lsm_merge_next(merge, entry, source, err);
	if (status == SV_OK && !lsm_merge_sole(merge, sole))
		sole->next = NULL;
	return status;
}

/* One random merge; false at the first difference from the model. */
static bool
random_merge(bool backward, bool ask_sole, int *soles)
{
	static int	keys[MAX_SOURCES][KEYS];
	ArrayStream streams[MAX_SOURCES];
	LsmSource	sources[MAX_SOURCES];
	int			newest[KEYS];
	int			nsources = rand() % (MAX_SOURCES + 1);
	int			density = 1 + rand() % 10;
	LsmMerge   *merge;
	SstEntry	entry;
	SvError		err;
	LsmSource	sole = {NULL, NULL};
	bool		same = true;

	for (int k = 0; k < KEYS; k++)
		newest[k] = -1;
	for (int s = 0; s < nsources; s++)
	{
		int			n = 0;

		for (int i = 0; i < KEYS; i++)
		{
			int			k = backward ? KEYS - 1 - i : i;

			if (rand() % 10 >= density)
				continue;
			keys[s][n++] = k;
			if (newest[k] < 0)
				newest[k] = s;
		}
		init_stream(&streams[s], &sources[s], s, keys[s], n);
	}

	if (lsm_merge_open(&merge, sources, nsources, backward, &sv_malloc_alloc, &err) != SV_OK)
		return false;
	for (int i = 0; i < KEYS && same; i++)
	{
		int			k = backward ? KEYS - 1 - i : i;
		char		key[16];
		char		value[32];
		int			source = -1;

		if (newest[k] < 0)
			continue;
		snprintf(value, sizeof(value), "%d/%d", k, newest[k]);
		same = (ask_sole ? next_entry(merge, &sole, &entry, &source, &err) :
				lsm_merge_next(merge, &entry, &source, &err)) == SV_OK && source == newest[k] &&
			sv_slice_equal(entry.key, key_slice(key, sizeof(key), k)) &&
			sv_slice_equal(entry.value, sv_slice(value, strlen(value))) &&
			entry.kind == (k % 5 == 0 ? SST_TOMBSTONE : SST_VALUE);
	}
	*soles += sole.next != NULL;
	same = same && (sole.next != NULL ? sole.next(sole.state, &entry, &err) == SV_NOT_FOUND :
					lsm_merge_next(merge, &entry, NULL, &err) == SV_NOT_FOUND &&
					lsm_merge_next(merge, &entry, NULL, &err) == SV_NOT_FOUND);
	for (int s = 0; s < nsources; s++)
		same = same && !streams[s].asked_after_end;
	lsm_merge_close(merge);
	return same;
}

static void
test_random(void)
{
	bool		forward = true;
	bool		backward = true;
	int			soles = 0;

	for (int i = 0; i < 2000; i++)
	{
		forward = forward && random_merge(false, i % 2 == 0, &soles);
		backward = backward && random_merge(true, i % 2 == 0, &soles);
	}
	CHECK(forward, "random merges forward agree with the model");
	CHECK(backward, "random merges backward agree with the model");
	CHECK(soles > 0, "some merges are left with one stream");
}

static void
test_lazy(void)
{
	static const int first[] = {1, 3};
	static const int second[] = {1, 2};
	ArrayStream streams[2];
	LsmSource	sources[2];
	LsmMerge   *merge;
	SstEntry	entry;
	SvError		err;

	init_stream(&streams[0], &sources[0], 0, first, 2);
	init_stream(&streams[1], &sources[1], 1, second, 2);
	CHECK(lsm_merge_open(&merge, sources, 2, false, &sv_malloc_alloc, &err) == SV_OK &&
		  streams[0].next == 0 && streams[1].next == 0, "open asks no stream");
	memset(sources, 0, sizeof(sources));
	CHECK(lsm_merge_next(merge, &entry, NULL, &err) == SV_OK &&
		  streams[0].next == 1 && streams[1].next == 1, "the first call takes one entry of each");
	CHECK(lsm_merge_next(merge, &entry, NULL, &err) == SV_OK &&
		  sv_slice_equal(entry.value, sv_slice("2/1", 3)) && streams[1].next == 2,
		  "a hidden entry is passed over by the next call");
	lsm_merge_close(merge);
}

static void
test_failures(void)
{
	static const int keys[] = {1, 2, 3, 4};
	bool		all_told = true;

	for (int fail_at = 0; fail_at <= 4; fail_at++)
	{
		for (int which = 0; which < 2; which++)
		{
			ArrayStream streams[2];
			LsmSource	sources[2];
			LsmMerge   *merge;
			SstEntry	entry;
			SvError		err = {0};
			SvStatus	status;
			int			handed_out = 0;

			init_stream(&streams[0], &sources[0], 0, keys, 4);
			init_stream(&streams[1], &sources[1], 1, keys, 4);
			streams[which].fail_at = fail_at;
			if (lsm_merge_open(&merge, sources, 2, false, &sv_malloc_alloc, &err) != SV_OK)
				abort();
			while ((status = lsm_merge_next(merge, &entry, NULL, &err)) == SV_OK)
				handed_out++;
			all_told = all_told && status == SV_IO && err.status == SV_IO && handed_out == fail_at;
			all_told = all_told && lsm_merge_next(merge, &entry, NULL, &err) == SV_INVALID;
			lsm_merge_close(merge);
		}
	}
	CHECK(all_told, "a stream's failure is the merge's, and the last thing it tells");
}

static void *
no_memory(void *state, size_t bytes)
{
	(void) state;
	(void) bytes;
	return NULL;
}

static void
test_edges(void)
{
	SvAlloc		empty = sv_malloc_alloc;
	LsmMerge   *merge;
	SstEntry	entry;
	SvError		err;

	CHECK(lsm_merge_open(&merge, NULL, 0, false, &sv_malloc_alloc, &err) == SV_OK &&
		  lsm_merge_next(merge, &entry, NULL, &err) == SV_NOT_FOUND, "a merge of nothing is empty");
	lsm_merge_close(merge);
	CHECK(lsm_merge_open(&merge, NULL, -1, false, &sv_malloc_alloc, &err) == SV_INVALID,
		  "a negative number of sources is refused");
	empty.allocate = no_memory;
	CHECK(lsm_merge_open(&merge, NULL, 0, false, &empty, &err) == SV_NO_MEMORY && merge == NULL,
		  "no memory is told");
	lsm_merge_close(NULL);
}

int
main(int argc, char **argv)
{
	unsigned	seed = argc > 1 ? (unsigned) strtoul(argv[1], NULL, 10) : (unsigned) time(NULL);

	printf("# seed %u\n", seed);
	srand(seed);
	test_random();
	test_lazy();
	test_failures();
	test_edges();
	return unit_done();
}
