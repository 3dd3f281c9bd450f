/*
 * peer_rocksdb.cc
 *		RocksDB: one ingested file, a full Bloom filter of 10 bits a key, index
 *		and filter pinned, a block cache that holds everything.
 */
#include "peer_rocksdb.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <memory>
#include <string>
#include <vector>

using rocksdb::PinnableSlice;
using rocksdb::ReadOptions;
using rocksdb::Slice;
using rocksdb::Status;

struct EngineStore
{
	std::unique_ptr<rocksdb::DB> db;
};

struct EngineSession
{
	rocksdb::DB *db;
	ReadOptions options;
	PinnableSlice value;
	std::vector<PinnableSlice> values;
	std::vector<Status> statuses;
};

rocksdb::DB *
engine_rocksdb_db(EngineStore *store)
{
	return store->db.get();
}

/* So an array of one is an array of the other. */
static_assert(sizeof(SvSlice) == sizeof(Slice), "slices are alike");

static Slice
slice_of(SvSlice s)
{
	return Slice(reinterpret_cast<const char *>(s.data), s.len);
}

static void
check(const Status &status, const char *action)
{
	if (!status.ok())
		engine_die("RocksDB could not %s: %s", action, status.ToString().c_str());
}

/* Room for all blocks twice over: shards do not fill alike. */
static size_t
cache_bytes(const EngineData *data)
{
	return (size_t) data->count * (data->key_bytes + ENGINE_VALUE_BYTES + 32) * 2 + (64u << 20);
}

static rocksdb::Options
make_options(const EngineData *data, size_t block_bytes)
{
	rocksdb::Options options;
	rocksdb::BlockBasedTableOptions table;

	table.block_size = block_bytes;
	table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
	table.block_cache = rocksdb::NewLRUCache(cache_bytes(data));
	table.cache_index_and_filter_blocks = false;
	options.create_if_missing = true;
	options.compression = rocksdb::kZSTD;
	options.bottommost_compression = rocksdb::kZSTD;
	options.max_open_files = -1;
	options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
	return options;
}

static void
write_file(const rocksdb::Options &options, const EngineData *data, const std::string &path)
{
	rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options);
	uint8_t		value[ENGINE_VALUE_BYTES];

	check(writer.Open(path), "create a file");
	for (uint32_t i = 0; i < data->count; i++)
	{
		SvSlice		key = engine_key(data, i);

		engine_value(key, value);
		check(writer.Put(slice_of(key), slice_of(sv_slice(value, sizeof(value)))), "write an entry");
	}
	check(writer.Finish(), "finish a file");
}

static EngineStore *
load(const EnginePeer *peer, const EngineData *data, const char *directory)
{
	rocksdb::Options options = make_options(data, (size_t) peer->variant);
	rocksdb::IngestExternalFileOptions ingest;
	std::string path = std::string(directory) + "/load.sst";
	EngineStore *store = new EngineStore;
	rocksdb::DB *db;

	write_file(options, data, path);
	check(rocksdb::DB::Open(options, std::string(directory) + "/db", &db), "open a database");
	store->db.reset(db);
	ingest.move_files = true;
	check(db->IngestExternalFile({path}, ingest), "take in a file");
	return store;
}

static void
close_store(EngineStore *store)
{
	delete store;
}

static uint64_t
disk_bytes(EngineStore *store)
{
	uint64_t	bytes = 0;

	if (!store->db->GetIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &bytes))
		engine_die("RocksDB does not know its size");
	return bytes;
}

static uint64_t
index_bytes(EngineStore *store)
{
	uint64_t	bytes = 0;

	if (!store->db->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &bytes))
		engine_die("RocksDB does not know the size of its indexes");
	return bytes;
}

static EngineSession *
begin(EngineStore *store)
{
	EngineSession *session = new EngineSession;

	session->db = store->db.get();
	session->values = std::vector<PinnableSlice>(ENGINE_MAX_BATCH);
	session->statuses = std::vector<Status>(ENGINE_MAX_BATCH);
	return session;
}

static void
end(EngineSession *session)
{
	delete session;
}

static bool
get(EngineSession *session, SvSlice key, SvSlice *value)
{
	Status		status;

	session->value.Reset();
	status = session->db->Get(session->options, session->db->DefaultColumnFamily(), slice_of(key),
							  &session->value);
	if (status.IsNotFound())
	{
		*value = sv_slice(NULL, 0);
		return false;
	}
	check(status, "get a key");
	*value = sv_slice(session->value.data(), session->value.size());
	return true;
}

static void
get_many(EngineSession *session, const SvSlice *keys, uint32_t n, SvSlice *values)
{
	for (uint32_t i = 0; i < n; i++)
		session->values[i].Reset();
	session->db->MultiGet(session->options, session->db->DefaultColumnFamily(), n,
						  reinterpret_cast<const Slice *>(keys), session->values.data(),
						  session->statuses.data(), true);
	for (uint32_t i = 0; i < n; i++)
	{
		values[i] = sv_slice(NULL, 0);
		if (session->statuses[i].IsNotFound())
			continue;
		check(session->statuses[i], "get many keys");
		values[i] = sv_slice(session->values[i].data(), session->values[i].size());
	}
}

extern "C" const EnginePeer engine_rocksdb_4k = {
	"rocksdb-4k", 4 * 1024, load, close_store, disk_bytes, index_bytes, begin, end, get, get_many
};

extern "C" const EnginePeer engine_rocksdb_16k = {
	"rocksdb-16k", 16 * 1024, load, close_store, disk_bytes, index_bytes, begin, end, get, get_many
};
