/*
 * peer_rocksdb.h
 *		For what only RocksDB can be asked.
 */
#ifndef ENGINE_PEER_ROCKSDB_H
#define ENGINE_PEER_ROCKSDB_H

#include <rocksdb/db.h>

#include "peer.h"

/* Of a store that engine_rocksdb_4k or engine_rocksdb_16k has loaded; stays the store's. */
extern rocksdb::DB *engine_rocksdb_db(EngineStore *store);

#endif							/* ENGINE_PEER_ROCKSDB_H */
