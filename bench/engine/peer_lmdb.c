/*
 * peer_lmdb.c
 *		LMDB: filled by appending, read in one transaction of a mapping that is
 *		in memory.
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "peer.h"

struct EngineStore
{
	MDB_env    *env;
	MDB_dbi		dbi;
	char	   *path;
};

struct EngineSession
{
	MDB_txn    *txn;
	MDB_cursor *cursor;
	MDB_dbi		dbi;
};

static void
check(int result, const char *action)
{
	if (result != 0)
		engine_die("LMDB could not %s: %s", action, mdb_strerror(result));
}

static MDB_env *
open_env(const EngineData *data, const char *path, unsigned flags)
{
	size_t		map = (size_t) data->count * (data->key_bytes + ENGINE_VALUE_BYTES + 64) * 2;
	MDB_env    *env;

	check(mdb_env_create(&env), "make an environment");
	check(mdb_env_set_mapsize(env, map + ((size_t) 64 << 20)), "set the size of the mapping");
	check(mdb_env_open(env, path, MDB_NOSUBDIR | flags, 0600), "open a file");
	return env;
}

static void
fill(const EngineData *data, const char *path)
{
	MDB_env    *env = open_env(data, path, MDB_NOSYNC);
	uint8_t		bytes[ENGINE_VALUE_BYTES];
	MDB_txn    *txn;
	MDB_dbi		dbi;

	check(mdb_txn_begin(env, NULL, 0, &txn), "begin to write");
	check(mdb_dbi_open(txn, NULL, 0, &dbi), "open the table");
	for (uint32_t i = 0; i < data->count; i++)
	{
		SvSlice		k = engine_key(data, i);
		MDB_val		key = {k.len, (void *) k.data};
		MDB_val		value = {sizeof(bytes), bytes};

		engine_value(k, bytes);
		check(mdb_put(txn, dbi, &key, &value, MDB_APPEND), "write an entry");
	}
	check(mdb_txn_commit(txn), "commit");
	mdb_env_close(env);
}

static EngineStore *
load(const EnginePeer *peer, const EngineData *data, const char *directory)
{
	EngineStore *store = engine_allocate(sizeof(*store));
	size_t		room = strlen(directory) + sizeof("/lmdb");
	MDB_txn    *txn;

	(void) peer;
	store->path = engine_allocate(room);
	snprintf(store->path, room, "%s/lmdb", directory);
	fill(data, store->path);
	store->env = open_env(data, store->path, MDB_RDONLY | MDB_NOTLS | MDB_NORDAHEAD);
	check(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn), "begin to read");
	check(mdb_dbi_open(txn, NULL, 0, &store->dbi), "open the table");
	check(mdb_txn_commit(txn), "commit");
	return store;
}

static void
close_store(EngineStore *store)
{
	mdb_env_close(store->env);
	free(store->path);
	free(store);
}

static uint64_t
disk_bytes(EngineStore *store)
{
	struct stat st;

	if (stat(store->path, &st) != 0)
		engine_die("\"%s\" has gone", store->path);
	return (uint64_t) st.st_blocks * 512;
}

static uint64_t
index_bytes(EngineStore *store)
{
	(void) store;
	return 0;
}

static EngineSession *
begin(EngineStore *store)
{
	EngineSession *session = engine_allocate(sizeof(*session));

	check(mdb_txn_begin(store->env, NULL, MDB_RDONLY, &session->txn), "begin to read");
	check(mdb_cursor_open(session->txn, store->dbi, &session->cursor), "open a cursor");
	session->dbi = store->dbi;
	return session;
}

static void
end(EngineSession *session)
{
	mdb_cursor_close(session->cursor);
	mdb_txn_abort(session->txn);
	free(session);
}

static bool
take(int result, const MDB_val *found, SvSlice *value)
{
	*value = sv_slice(NULL, 0);
	if (result == MDB_NOTFOUND)
		return false;
	check(result, "get a key");
	*value = sv_slice(found->mv_data, found->mv_size);
	return true;
}

static bool
get(EngineSession *session, SvSlice key, SvSlice *value)
{
	MDB_val		k = {key.len, (void *) key.data};
	MDB_val		found;

	return take(mdb_get(session->txn, session->dbi, &k, &found), &found, value);
}

/* LMDB has no batches; a cursor looks into the page it is on before it descends again. */
static void
get_many(EngineSession *session, const SvSlice *keys, uint32_t n, SvSlice *values)
{
	for (uint32_t i = 0; i < n; i++)
	{
		MDB_val		k = {keys[i].len, (void *) keys[i].data};
		MDB_val		found;

		(void) take(mdb_cursor_get(session->cursor, &k, &found, MDB_SET_KEY), &found, &values[i]);
	}
}

const EnginePeer engine_lmdb = {
	.name = "lmdb",
	.load = load,
	.close = close_store,
	.disk_bytes = disk_bytes,
	.index_bytes = index_bytes,
	.begin = begin,
	.end = end,
	.get = get,
	.get_many = get_many,
};
