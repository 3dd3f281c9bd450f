/*
 * load_feed.c
 *		See load_feed.h.
 */
#include "postgres.h"

#include "worker/load_feed.h"

#include "server/pg_settings.h"
#include "server/stop_point.h"
#include "utils/memutils.h"
#include "worker/load_crew.h"
#include "worker/load_wire.h"

/* Keys of the sample that are sorted to find ranges. */
#define SORTED_KEYS 4096

typedef struct LoadFeed
{
	MemoryContext context;
	LoadBuildSpec spec;
	LoadCrew   *crew;			/* NULL: there is none any more */

	/* Until it is known where they go: */
	bool		sampling;
	int			wanted;			/* workers */
	bool		ascending;		/* so far */
	char	   *sample;
	size_t		sample_bytes;
	size_t		sample_room;
	size_t		last;			/* where the last one begins */
	int64		nsample;

	/* Then: a range for each worker, or a builder. */
	int			nranges;
	SvSlice		lows[LOAD_MAX_WORKERS]; /* of each but the first */
	LoadBuild  *build;			/* NULL: workers build */
} LoadFeed;

/*
 * Ranges
 */

static int
compare_keys(const void *a, const void *b)
{
	return sv_slice_compare(*(const SvSlice *) a, *(const SvSlice *) b);
}

/* Every so manieth key of the sample, sorted; they point into it. */
static int
pick_keys(const LoadFeed *feed, SvSlice *keys)
{
	int64		step = feed->nsample / SORTED_KEYS + 1;
	const char *at = feed->sample;
	int			n = 0;

	for (int64 i = 0; i < feed->nsample; i++)
	{
		LoadEntry	entry;

		at = load_entry_get(at, &entry);
		if (i % step == 0)
			keys[n++] = entry.key;
	}
	qsort(keys, n, sizeof(SvSlice), compare_keys);
	return n;
}

static SvSlice
copy_key(const LoadFeed *feed, SvSlice key)
{
	char	   *data = MemoryContextAlloc(feed->context, key.len + 1);

	memcpy(data, key.data, key.len);
	return sv_slice(data, key.len);
}

/* Fewer than wanted if there are not so many keys; what is left of a sample of equal keys is one range. */
static void
cut_ranges(LoadFeed *feed, int wanted)
{
	SvSlice    *keys = palloc(SORTED_KEYS * sizeof(SvSlice));
	int			n = pick_keys(feed, keys);

	feed->nranges = 1;
	for (int i = 1; i < wanted; i++)
	{
		SvSlice		low = keys[(int64) n * i / wanted];

		if (sv_slice_compare(low, feed->nranges == 1 ? keys[0] : feed->lows[feed->nranges - 1]) > 0)
			feed->lows[feed->nranges++] = copy_key(feed, low);
	}
	pfree(keys);
}

static int
range_of(const LoadFeed *feed, SvSlice key)
{
	int			range = feed->nranges - 1;

	while (range > 0 && sv_slice_compare(key, feed->lows[range]) < 0)
		range--;
	return range;
}

/*
 * Where they go
 */

static void
pass_on(LoadFeed *feed, const LoadEntry *entry)
{
	if (feed->build != NULL)
		load_build_add(feed->build, entry->key, entry->value, entry->expires_at);
	else
		load_crew_put(feed->crew, range_of(feed, entry->key), entry->key, entry->value, entry->expires_at);
}

static void
pass_sample_on(LoadFeed *feed)
{
	const char *at = feed->sample;
	const char *end = at + feed->sample_bytes;

	while (at < end)
	{
		LoadEntry	entry;

		at = load_entry_get(at, &entry);
		pass_on(feed, &entry);
	}
	pfree(feed->sample);
	feed->sample = NULL;
}

/* How many workers have come. */
static int
assemble(LoadFeed *feed, int wanted)
{
	int			workers = load_crew_assemble(feed->crew, wanted);

	load_progress_workers(feed->spec.progress, workers);
	if (workers == 0)
	{
		load_crew_end(feed->crew);
		feed->crew = NULL;
	}
	return workers;
}

/* wanted: workers, if the entries need sorting. */
static void
end_sampling(LoadFeed *feed, int wanted)
{
	MemoryContext old = MemoryContextSwitchTo(feed->context);
	int			workers;

	feed->sampling = false;
	STOP_POINT("load-sampled");
	cut_ranges(feed, feed->ascending ? Min(wanted, 1) : wanted);
	workers = assemble(feed, Min(wanted, feed->nranges));
	if (workers < feed->nranges)
		cut_ranges(feed, workers);
	if (workers == 0)
		feed->build = load_build_begin(&feed->spec);
	pass_sample_on(feed);
	MemoryContextSwitchTo(old);
}

/* False: there is no room. */
static bool
keep(LoadFeed *feed, const LoadEntry *entry)
{
	size_t		bytes = load_entry_bytes(entry);

	if (bytes > feed->sample_room - feed->sample_bytes)
		return false;
	if (feed->ascending && feed->nsample > 0)
	{
		LoadEntry	last;

		(void) load_entry_get(feed->sample + feed->last, &last);
		feed->ascending = sv_slice_compare(last.key, entry->key) < 0;
	}
	feed->last = feed->sample_bytes;
	load_entry_put(feed->sample + feed->sample_bytes, entry);
	feed->sample_bytes += bytes;
	feed->nsample++;
	return true;
}

/* For LoadBuilder.add. */
static void
add(void *state, SvSlice key, SvSlice value, TimestampTz expires_at)
{
	LoadFeed   *feed = state;
	LoadEntry	entry = {.key = key,.value = value,.expires_at = expires_at};

	if (feed->sampling && keep(feed, &entry))
		return;
	if (feed->sampling)
		end_sampling(feed, feed->wanted);
	pass_on(feed, &entry);
}

/* By stretch, then by range, which is by key. */
static void
put_together(LoadBuilt *built, const LoadBuilt *parts, int nparts)
{
	memset(built, 0, sizeof(LoadBuilt));
	for (int i = 0; i < nparts; i++)
	{
		built->nruns += parts[i].nruns;
		built->nstretches = Max(built->nstretches, parts[i].nstretches);
		built->given += parts[i].given;
		built->entries += parts[i].entries;
		built->raw_bytes += parts[i].raw_bytes;
		built->file_bytes += parts[i].file_bytes;
	}
	built->runs = palloc(Max(built->nruns, 1) * sizeof(LoadRun));
	built->nruns = 0;
	for (int stretch = 0; stretch < built->nstretches; stretch++)
		for (int i = 0; i < nparts; i++)
			for (int j = 0; j < parts[i].nruns; j++)
				if (parts[i].runs[j].stretch == stretch)
					built->runs[built->nruns++] = parts[i].runs[j];
}

static void
collect(LoadFeed *feed, LoadBuilt *built)
{
	LoadBuilt  *parts = palloc0(feed->nranges * sizeof(LoadBuilt));

	load_crew_close(feed->crew);
	for (int i = 0; i < feed->nranges; i++)
		load_crew_result(feed->crew, i, &parts[i]);
	put_together(built, parts, feed->nranges);
	load_crew_end(feed->crew);
}

/* For LoadBuilder.finish. */
static void
finish(void *state, LoadBuilt *built)
{
	LoadFeed   *feed = state;
	MemoryContext old = MemoryContextSwitchTo(feed->context);

	/* Too little for workers. */
	if (feed->sampling)
		end_sampling(feed, 0);
	if (feed->build != NULL)
		load_build_finish(feed->build, built);
	else
		collect(feed, built);
	MemoryContextSwitchTo(old);
}

bool
load_feed_begin(const LoadBuildSpec *spec, LoadBuilder *builder)
{
	LoadCrew   *crew;
	LoadFeed   *feed;

	/* They come up while the first entries are read. */
	crew = load_crew_start(CurrentMemoryContext, spec, setting_load_workers);
	if (crew == NULL)
		return false;
	feed = palloc0(sizeof(LoadFeed));
	feed->context = CurrentMemoryContext;
	feed->spec = *spec;
	feed->crew = crew;
	feed->wanted = Min(setting_load_workers, LOAD_MAX_WORKERS);
	feed->sampling = true;
	feed->ascending = true;
	feed->sample_room = FEED_SAMPLE_BYTES;
	feed->sample = palloc(feed->sample_room);
	*builder = (LoadBuilder)
	{
		.add = add,.finish = finish,.state = feed
	};
	return true;
}
