/*
 * bench_rocksdb_index.cc
 *		How long RocksDB takes to find the block of a key, for comparison with
 *		the learned index.
 *
 *	bench_rocksdb_index KEYSET KEYS ROUNDS DIRECTORY > lines for index.csv
 *
 * RocksDB has no call that does only that.  The nearest is
 * GetApproximateSizes, which seeks both ends of a range in the index of the
 * one file there is: a call on two keys counts as two lookups, and what it
 * does around them counts too.  The index is binary-searched and has one entry
 * per block of 4 KiB, not one per key.
 */
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "peer_rocksdb.h"

static const uint32_t LOOKUPS = 400000;
static const char *const CONTENDER = "RocksDB index seek (through GetApproximateSizes)";

typedef std::vector<rocksdb::Range> Ranges;

static rocksdb::Slice
slice_of(SvSlice s)
{
	return rocksdb::Slice(reinterpret_cast<const char *>(s.data), s.len);
}

/* Pairs of keys in random order: of all that are there, or of the missing ones. */
static Ranges
make_ranges(const EngineData *data, bool hits, uint32_t round)
{
	uint32_t	have = hits ? data->count : data->missing_count;
	Ranges		ranges;

	for (uint32_t i = 0; i < LOOKUPS; i += 2)
	{
		uint32_t	at = (uint32_t) (((uint64_t) round * LOOKUPS + i) % (have - 1));
		SvSlice		low = hits ? engine_key(data, data->order[at]) : engine_missing_key(data, at);
		SvSlice		high = hits ? engine_key(data, data->order[at + 1]) : engine_missing_key(data, at + 1);

		if (sv_slice_compare(low, high) > 0)
			std::swap(low, high);
		ranges.push_back(rocksdb::Range(slice_of(low), slice_of(high)));
	}
	return ranges;
}

/* Nanoseconds a lookup; each waits for the one before it if they are dependent. */
static double
time_lookups(rocksdb::DB *db, const Ranges &ranges, bool dependent)
{
	rocksdb::SizeApproximationOptions options;
	uint64_t	sum = 0;

	options.include_files = true;
	auto		began = std::chrono::steady_clock::now();

	for (size_t i = 0; i < ranges.size(); i++)
	{
		uint64_t	size = 0;
		size_t		at = dependent ? i + (sum == UINT64_MAX) : i;
		rocksdb::Status status = db->GetApproximateSizes(options, db->DefaultColumnFamily(),
														 &ranges[at], 1, &size);

		if (!status.ok())
			engine_die("RocksDB could not look into its index: %s", status.ToString().c_str());
		sum += size;
	}
	std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;

	if (sum == 0)
		engine_die("RocksDB found all ranges empty");
	return took.count() / (2.0 * (double) ranges.size());
}

static double
index_bytes_per_key(rocksdb::DB *db)
{
	rocksdb::TablePropertiesCollection files;
	double		index = 0;
	double		keys = 0;

	if (!db->GetPropertiesOfAllTables(&files).ok() || files.size() != 1)
		engine_die("RocksDB has not one file, but %zu", files.size());
	for (const auto &file : files)
	{
		index += (double) file.second->index_size;
		keys += (double) file.second->num_entries;
	}
	return index / keys;
}

static void
measure(rocksdb::DB *db, const EngineData *data, bool hits, bool dependent, uint32_t rounds)
{
	std::vector<double> ns;

	for (uint32_t round = 0; round < rounds; round++)
		ns.push_back(time_lookups(db, make_ranges(data, hits, round), dependent));
	std::sort(ns.begin(), ns.end());
	printf("%s,%u,%s,%s,%s,%.1f,%.1f,%.1f,%.3f\n", data->name, data->count, hits ? "hit" : "miss",
		   dependent ? "dependent" : "independent", CONTENDER, ns[ns.size() / 2], ns.front(),
		   ns.back(), index_bytes_per_key(db));
}

static EngineSet
set_of(const std::string &name)
{
	for (int set = 0; set < ENGINE_SETS; set++)
		if (name == engine_set_name((EngineSet) set))
			return (EngineSet) set;
	engine_die("there is no key set \"%s\"", name.c_str());
}

int
main(int argc, char **argv)
{
	EngineData	data;

	if (argc != 5 || atoi(argv[2]) < 1000 || atoi(argv[3]) < 1)
		engine_die("usage: %s KEYSET KEYS ROUNDS DIRECTORY", argv[0]);
	engine_data_make(&data, set_of(argv[1]), (uint32_t) atoi(argv[2]), 1);

	EngineStore *store = engine_rocksdb_4k.load(&engine_rocksdb_4k, &data, argv[4]);
	rocksdb::DB *db = engine_rocksdb_db(store);

	for (bool dependent : {false, true})
	{
		measure(db, &data, true, dependent, (uint32_t) atoi(argv[3]));
		if (data.missing_count > 0)
			measure(db, &data, false, dependent, (uint32_t) atoi(argv[3]));
	}
	engine_rocksdb_4k.close(store);
	engine_data_free(&data);
	return 0;
}
