/*
 * load_feed.h
 *		Where the entries of a load go: to workers, each with a range of the
 *		keys, or to a builder in this process.
 *
 * The first FEED_SAMPLE_BYTES of them are kept and looked at: ranges are cut so
 * that each has as many of these.  If they came in order, all entries go to one
 * worker, which needs not sort them while this process reads the next.  Entries of
 * one key keep their order whatever way they go.
 */
#ifndef LOAD_FEED_H
#define LOAD_FEED_H

#include "postgres.h"

#include "forest/forest_load.h"

#define FEED_SAMPLE_BYTES (4 * 1024 * 1024)

/*
 * For ForestLoadHooks.begin_builder: false if there are no workers.  Needs the
 * resource owner that is current now until the load's end.
 */
extern bool load_feed_begin(const LoadBuildSpec *spec, LoadBuilder *builder);

#endif							/* LOAD_FEED_H */
