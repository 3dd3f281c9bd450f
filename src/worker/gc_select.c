/*
 * gc_select.c
 *		Which objects of a vault can be deleted, and what holds the rest back.
 */
#include "postgres.h"

#include "worker/gc_select.h"

#include "access/table.h"
#include "access/transam.h"
#include "forest/forest_catalog.h"
#include "forest/forest_store.h"
#include "server/pg_settings.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "worker/log_text.h"

/* A transaction id of the recent past, with its epoch. */
static FullTransactionId
widen(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (!TransactionIdIsNormal(xid))
		return FullTransactionIdFromEpochAndXid(0, xid);
	return FullTransactionIdFromEpochAndXid(xid > XidFromFullTransactionId(next) ? epoch - 1 : epoch, xid);
}

/* Removals by transactions before this one are seen by every snapshot that there is. */
static char *
horizon_arg(void)
{
	Relation	rel = catalog_open(CATALOG_RUN, AccessShareLock);
	FullTransactionId horizon = widen(GetOldestNonRemovableTransactionId(rel));

	table_close(rel, AccessShareLock);
	return psprintf(UINT64_FORMAT, U64FromFullTransactionId(horizon));
}

#define KEEPERS \
	" FROM skyvault.snapshot AS s WHERE s.vault_id = $1::integer AND (s.name IS NOT NULL OR s.id =" \
	" (SELECT max(a.id) FROM skyvault.snapshot AS a WHERE a.vault_id = $1::integer AND a.name IS NULL))"

ForestRows
gc_select_deletable(int32 vault_id, int limit)
{
	return forest_sql("SELECT g.object FROM skyvault.garbage AS g WHERE g.vault_id = $1::integer"
					  " AND g.removed_xid8 < $2::xid8"
					  " AND g.at <= clock_timestamp() - make_interval(secs => $3::integer)"
					  " AND g.object NOT IN (SELECT unnest(s.objects)" KEEPERS ")"
					  " AND NOT EXISTS (SELECT FROM skyvault.run AS r WHERE r.vault_id = $1::integer"
					  "  AND r.object = g.object) ORDER BY g.at LIMIT $4::integer",
					  4, forest_arg(vault_id), horizon_arg(), forest_arg(setting_retention_s), forest_arg(limit));
}

/*
 * Whoever has the oldest snapshot or transaction, for people.  Snapshots of other
 * databases see nothing of this one.  Their transactions count: a snapshot taken
 * here, and a collection takes some, is as old as the oldest of any.
 */
static const char *
oldest_holder(void)
{
	ForestRows	rows = forest_sql("SELECT who FROM ("
								  "SELECT backend_xmin, CASE WHEN pid = pg_backend_pid()"
								  "  THEN 'snapshot of this transaction' ELSE 'snapshot of process ' || pid END"
								  " FROM pg_stat_activity WHERE datname = current_database() AND"
								  " (pid <> pg_backend_pid() OR current_setting('transaction_isolation') !~ '^read ')"
								  " UNION ALL SELECT backend_xid, CASE WHEN pid = pg_backend_pid()"
								  "  THEN 'this transaction' ELSE 'transaction of process ' || pid END ||"
								  " CASE WHEN datname <> current_database() THEN format(' of database %I', datname)"
								  "  ELSE '' END FROM pg_stat_activity"
								  " UNION ALL SELECT backend_xmin, format('standby %I', application_name)"
								  " FROM pg_stat_replication"
								  " UNION ALL SELECT transaction, format('prepared transaction %L', gid) ||"
								  " CASE WHEN database <> current_database() THEN format(' of database %I', database)"
								  "  ELSE '' END FROM pg_prepared_xacts"
								  " UNION ALL SELECT xmin, format('replication slot %I', slot_name) FROM"
								  " pg_replication_slots"
								  ") AS holders(xmin, who) WHERE xmin IS NOT NULL"
								  " ORDER BY age(xmin) DESC, who LIKE 'snapshot%' LIMIT 1", 0);

	return forest_cell(&rows, 0, 0);
}

ForestRows
gc_select_all(int32 vault_id)
{
	const char *horizon = horizon_arg();
	const char *holder = oldest_holder();
	ForestRows	rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = forest_sql_fixed("SELECT g.object, CASE"
					  " WHEN EXISTS (SELECT FROM skyvault.run AS r WHERE r.vault_id = $1::integer AND r.object ="
					  " g.object)"
					  "  THEN 'the registry'"
					  " WHEN g.removed_xid8 >= $2::xid8 THEN coalesce($4, 'a transaction that has just ended')"
					  " WHEN k.who IS NOT NULL THEN k.who"
					  " WHEN g.at > clock_timestamp() - make_interval(secs => $3::integer)"
					  "  THEN 'retention until ' || g.at + make_interval(secs => $3::integer) END"
					  " FROM skyvault.garbage AS g LEFT JOIN (SELECT unnest(s.objects), min(CASE WHEN s.name IS NULL"
					  "  THEN 'the latest automatic snapshot' ELSE format('snapshot %I', s.name) END)" KEEPERS
					  "  GROUP BY 1) AS k(object, who) ON k.object = g.object"
					  " WHERE g.vault_id = $1::integer ORDER BY g.at, g.object",
					  4, forest_arg(vault_id), horizon, forest_arg(setting_retention_s), holder);
	PopActiveSnapshot();
	return rows;
}

static bool
add_listed(void *state, const StoreListed *object)
{
	GcListing  *listing = state;

	appendStringInfo(&listing->json, "%s{\"o\":\"%s\",\"b\":" UINT64_FORMAT ",\"m\":" INT64_FORMAT "}",
					 listing->n > 0 ? "," : "", object->name, object->bytes, object->modified_s);
	listing->n++;
	if (listing->n != listing->limit)
		return true;
	listing->last = pstrdup(object->name);
	return false;
}

void
gc_list(const ForestVault *vault, ObjectStore *store, const char *after, int limit, GcListing *listing)
{
	char	   *prefix = psprintf("%s/", log_uuid_text(&vault->uuid));
	SvError		err;

	memset(listing, 0, sizeof(GcListing));
	listing->limit = limit;
	initStringInfo(&listing->json);
	appendStringInfoChar(&listing->json, '[');
	log_status_check(store_list(store, prefix, after, add_listed, listing,
								forest_store_call(vault->server_oid, STORE_GC), &err), &err);
	appendStringInfoChar(&listing->json, ']');
}

ForestRows
gc_select_orphans(const ForestVault *vault, GcListing *listing)
{
	/* Before the snapshot is taken. */
	uint64		oldest = U64FromFullTransactionId(widen(GetOldestActiveTransactionId()));
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	ForestRows	rows;
	int			n = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = forest_sql_fixed("SELECT o, b, ripe FROM (SELECT o, b, (name[1]::bigint = $3::bigint OR"
								  "   to_timestamp(modified) <= clock_timestamp() - make_interval(secs => $6::integer))"
								  "  AND CASE name[2] WHEN 'j' THEN NOT EXISTS"
								  "   (SELECT FROM skyvault.job AS j WHERE j.id = name[3]::bigint AND j.state ="
								  "   'running')"
								  "  WHEN 'x' THEN name[3]::numeric < $4::numeric OR"
								  "   (name[1]::bigint < $3::bigint AND name[3]::numeric >= $5::numeric)"
								  "  ELSE true END AS ripe"
								  " FROM (SELECT l->>'o' AS o, (l->>'b')::bigint AS b, (l->>'m')::bigint AS modified,"
								  "  regexp_match(l->>'o',"
								  "  '^[-0-9a-f]+/([0-9]+)/(?:(?:[0-9a-f]+|snapshot)/[0-9a-f]+-([jx])([0-9]+)"
								  "[.][a-z]+|log/[0-9a-f]+[.]log)$') AS name FROM jsonb_array_elements($2::jsonb) AS l)"
								  "  AS listed"
								  " WHERE name IS NOT NULL AND CASE WHEN name[1]::bigint = $3::bigint THEN name[2] IS"
								  "  NOT NULL ELSE name[1]::bigint < $3::bigint AND modified > 0 END) AS loose WHERE"
								  " o NOT IN (SELECT object FROM skyvault.run WHERE vault_id = $1::integer)"
								  " AND o NOT IN (SELECT object FROM skyvault.garbage WHERE vault_id = $1::integer)"
								  " AND o NOT IN (SELECT object FROM skyvault.log_object WHERE vault_id = $1::integer)"
								  " AND o NOT IN (SELECT object FROM skyvault.snapshot WHERE vault_id = $1::integer)"
								  " AND o NOT IN (SELECT unnest(objects) FROM skyvault.snapshot WHERE vault_id ="
								  "  $1::integer) ORDER BY ripe DESC, o",
								  6, forest_arg(vault->id), listing->json.data, forest_arg(vault->epoch),
								  psprintf(UINT64_FORMAT, oldest), psprintf(UINT64_FORMAT, next),
								  forest_arg(setting_orphan_grace_s));
	PopActiveSnapshot();

	while (n < rows.nrows && forest_cell_bool(&rows, n, 2))
		n++;
	listing->unripe = rows.nrows - n;
	rows.nrows = n;
	return rows;
}
