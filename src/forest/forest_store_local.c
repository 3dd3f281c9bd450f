/*
 * forest_store_local.c
 *		Puts a mirror or the disk tier before a remote store.
 */
#include "postgres.h"

#include "forest/forest_store_local.h"

#include <inttypes.h>

#include "access/xlog.h"
#include "base/sv_hash.h"
#include "forest/forest_store_url.h"
#include "forest/forest_table.h"
#include "miscadmin.h"
#include "server/pg_disk_tier.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "store/store_mirror.h"
#include "store/store_tier.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#define MIRROR_OPEN_FILES 32

/*
 * What tells the objects of this server's store from those of others.  The names
 * of objects have the vault's uuid in them, so that it is the copies of a vault
 * in other places that matter.
 */
static const char *
identity(ForeignServer *server)
{
	const char *endpoint = forest_option(server->options, "endpoint");
	const char *url = forest_option(server->options, "url");

	return psprintf("%s %s", endpoint != NULL ? endpoint : "", url != NULL ? url : "");
}

bool
forest_store_is_remote(ForeignServer *server)
{
	const char *url = forest_option(server->options, "url");
	StoreUrl	parsed;

	return url != NULL && forest_store_url_parse(url, &parsed) == NULL && parsed.kind != STORE_KIND_DIRECTORY;
}

bool
forest_store_wants_mirror(ForeignServer *server)
{
	const char *option = forest_option(server->options, "mirror");
	bool		is_on = false;

	if (option != NULL)
		(void) parse_bool(option, &is_on);
	return is_on && forest_store_is_remote(server);
}

static char *
mirror_name_of(Oid database, Oid server, uint64 place)
{
	return psprintf("mirror-%u-%u-%016" PRIx64, database, server, place);
}

/* Of one server and place, so that it is superfluous as soon as that one does not want it. */
static char *
mirror_name(ForeignServer *server)
{
	const char *where = identity(server);
	uint64_t	hash[2];

	sv_hash128(sv_slice(where, strlen(where)), hash);
	return mirror_name_of(MyDatabaseId, server->serverid, (uint64) hash[0]);
}

bool
forest_mirror_is_superfluous(const char *name)
{
	Oid			database;
	Oid			server_oid;
	uint64_t	place;
	ForeignServer *server;

	if (sscanf(name, "mirror-%u-%u-%" SCNx64, &database, &server_oid, &place) != 3 ||
		strcmp(name, mirror_name_of(database, server_oid, place)) != 0)
		return false;
	if (database != MyDatabaseId)
		return !SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
	server = GetForeignServerExtended(server_oid, FSV_MISSING_OK);
	return server == NULL || !forest_store_wants_mirror(server) || strcmp(name, mirror_name(server)) != 0;
}

/* Beside the files of the disk tier. */
static SvStatus
open_mirror(ForeignServer *server, ObjectStore *remote, ObjectStore **store, SvError *err)
{
	StoreMirrorOptions options = {.identity = identity(server),.max_open_files = MIRROR_OPEN_FILES};

	options.path = psprintf("%s/%s", setting_disk_cache_path, mirror_name(server));
	return store_mirror_open(store, remote, &options, err);
}

ObjectStore *
forest_store_local(ForeignServer *server, ObjectStore *remote)
{
	DiskTier   *tier = pg_disk_tier();
	ObjectStore *store = remote;
	SvStatus	status = SV_OK;
	SvError		err;

	if ((store_capabilities(remote) & STORE_IS_REMOTE) == 0)
		return remote;
	/* Nobody fills a mirror on a standby. */
	if (forest_store_wants_mirror(server) && !RecoveryInProgress())
		status = open_mirror(server, remote, &store, &err);
	else if (tier != NULL)
		status = store_tier_open(&store, remote, tier, identity(server), &err);
	if (status != SV_OK)
	{
		store_close(remote);
		pg_status_report(ERROR, &err);
	}
	return store;
}

void
forest_store_forget(ObjectStore *store, const char *const *names, int n)
{
	store_mirror_forget(store, names, n);
	store_tier_forget(store, names, n);
}

ObjectStore *
forest_store_itself(ObjectStore *store)
{
	return store_tier_inner(store_mirror_inner(store));
}
