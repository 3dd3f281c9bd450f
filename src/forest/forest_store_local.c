/*
 * forest_store_local.c
 *		Puts the disk tier before a remote store.
 */
#include "postgres.h"

#include "forest/forest_store_local.h"

#include "forest/forest_table.h"
#include "server/pg_disk_tier.h"
#include "server/pg_status.h"
#include "store/store_tier.h"

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

ObjectStore *
forest_store_local(ForeignServer *server, ObjectStore *remote)
{
	DiskTier   *tier = pg_disk_tier();
	ObjectStore *store;
	SvError		err;

	if (tier == NULL || (store_capabilities(remote) & STORE_IS_REMOTE) == 0)
		return remote;
	if (store_tier_open(&store, remote, tier, identity(server), &err) != SV_OK)
	{
		store_close(remote);
		pg_status_report(ERROR, &err);
	}
	return store;
}
