/*
 * forest_store.c
 *		See forest_store.h.
 */
#include "postgres.h"

#include "forest/forest_store.h"

#include <limits.h>

#include "base/sv_hash.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "forest/forest_store_local.h"
#include "forest/forest_store_s3.h"
#include "forest/forest_store_url.h"
#include "forest/forest_table.h"
#include "miscadmin.h"
#include "server/pg_disk_tier.h"
#include "server/pg_settings.h"
#include "server/pg_status.h"
#include "server/pg_store_facts.h"
#include "server/pg_store_stat.h"
#include "server/pg_wait.h"
#include "store/store_directory.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#define MAX_OPEN_FILES	32

/* Times what a query waits: so long do callers wait, tries included. */
static const int patience[STORE_CALLERS] = {
	[STORE_FOREGROUND] = 1,[STORE_FLUSH] = 2,[STORE_LOAD] = 1,[STORE_COMPACTION] = 10,[STORE_GC] = 2,
	[STORE_SNAPSHOT] = 2
};

/* Settings that a store is opened with; others come with each call. */
typedef struct StoreSettings
{
	int			io_concurrency;
	int			connect_timeout_ms;
	int			retries;
	int			hedge_percent;
	int			conditions_ignored; /* by the store, as somebody has found out */
} StoreSettings;

/* What this process has of a server's store. */
typedef struct StoreEntry
{
	Oid			server_oid;		/* hash key */
	bool		stale;			/* options may have changed: reopen */
	ObjectStore *store;			/* NULL: not open */
	uint64		identity;		/* for pg_store_fact; 0: there is nothing to be found out */
	StoreSettings settings;		/* that it was opened with */
	StoreCall	calls[STORE_CALLERS];
	PgWait		waits[STORE_CALLERS];	/* states of the calls */
} StoreEntry;

static HTAB *stores = NULL;
static bool servers_changed = false;	/* one may have been dropped */

static void
stores_invalidate(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	StoreEntry *entry;

	hash_seq_init(&status, stores);
	while ((entry = hash_seq_search(&status)) != NULL)
		entry->stale = true;
	servers_changed = true;
}

static void
stores_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(StoreEntry)};

	stores = hash_create("skyvault stores", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, stores_invalidate, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, stores_invalidate, (Datum) 0);
}

static void
server_url(ForeignServer *server, StoreUrl *url)
{
	const char *text = forest_option(server->options, "url");
	const char *wrong;

	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"url\"", server->servername),
				 errhint("Set it, as in ALTER SERVER %s OPTIONS (ADD url 'file:skyvault').",
						 quote_identifier(server->servername))));
	wrong = forest_store_url_parse(text, url);
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("server \"%s\" has the invalid option \"url\" \"%s\"", server->servername, text),
				 errhint("%s", wrong)));
}

static ObjectStore *
open_directory(const StoreUrl *url)
{
	StoreDirectoryOptions options = {
		.path = url->path,
		.create_root = !is_absolute_path(url->path),
		.max_open_files = MAX_OPEN_FILES
	};
	ObjectStore *store;
	SvError		err;

	PG_STATUS_CHECK(store_directory_open(&store, &options, &err), &err);
	return store;
}

static ObjectStore *
open_store(ForeignServer *server, bool conditions_ignored)
{
	StoreUrl	url;

	server_url(server, &url);
	if (url.kind == STORE_KIND_DIRECTORY)
		return open_directory(&url);
	return forest_store_s3_open(server, &url, conditions_ignored);
}

static bool
call_cancelled(void *state)
{
	return pg_status_must_stop();
}

static void
call_begin(void *state, StoreOperation operation)
{
	PgWait	   *wait = state;

	wait->operation = operation;
	wait->since = 0;
}

static void
call_wait(void *state, const StoreWaitFd *fds, int nfds, int timeout_ms)
{
	pg_wait_for_store(state, fds, nfds, timeout_ms);
}

static void
call_account(void *state, const StoreRequest *request)
{
	pg_store_stat_count(((PgWait *) state)->server_oid, request);
}

static void
init_entry(StoreEntry *entry)
{
	entry->store = NULL;
	entry->stale = false;
	entry->identity = 0;
	for (int caller = 0; caller < STORE_CALLERS; caller++)
	{
		entry->waits[caller] = (PgWait) {.server_oid = entry->server_oid,.caller = caller};
		entry->calls[caller] = (StoreCall) {
			.cancelled = call_cancelled,.begin = call_begin,.wait = call_wait,.account = call_account,
			.state = &entry->waits[caller],.caller = caller
		};
	}
}

static StoreSettings
current_settings(const StoreEntry *entry)
{
	return (StoreSettings) {
		setting_io_concurrency, setting_store_connect_timeout_ms, setting_store_retries, setting_hedge_percent,
		entry->identity != 0 && pg_store_fact(entry->identity) == STORE_CONDITIONS_IGNORED
	};
}

static StoreEntry *
find_entry(Oid server_oid)
{
	StoreEntry *entry;
	bool		found;

	pg_wait_prepare();
	if (stores == NULL)
		stores_init();
	entry = hash_search(stores, &server_oid, HASH_ENTER, &found);
	if (!found)
		init_entry(entry);
	return entry;
}

/*
 * Stores of servers that are gone.  Nobody uses those: a statement has locked the
 * tables of its servers, which are dropped before them; what goes by the server (jobs
 * of workers, skyvault_verify and _gc) opens no other meanwhile.  A look at the catalogue
 * may tell of more, for the next time.
 */
static void
close_dropped(Oid opened)
{
	HASH_SEQ_STATUS status;
	StoreEntry *entry;

	if (!servers_changed)
		return;
	servers_changed = false;
	hash_seq_init(&status, stores);
	while ((entry = hash_seq_search(&status)) != NULL)
		if (entry->server_oid != opened && entry->stale && entry->store != NULL &&
			!SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(entry->server_oid)))
		{
			store_close(entry->store);
			entry->store = NULL;
		}
}

/*
 * What changes while the new handle is made, as any look at a catalogue may
 * tell, is stale again.
 */
ObjectStore *
forest_store_open(Oid server_oid)
{
	StoreEntry *entry = find_entry(server_oid);
	StoreSettings settings = current_settings(entry);
	ForeignServer *server;

	/* What libraries of drivers have, threads and descriptors, outlives no fork: the postmaster opens no store. */
	Assert(IsUnderPostmaster || !IsPostmasterEnvironment);

	pg_disk_tier_report();
	close_dropped(server_oid);
	if (entry->store != NULL && !entry->stale &&
		memcmp(&entry->settings, &settings, sizeof(StoreSettings)) == 0)
		return entry->store;
	store_close(entry->store);
	entry->store = NULL;
	entry->stale = false;
	server = GetForeignServer(server_oid);
	entry->identity = forest_store_s3_identity(server);
	entry->settings = current_settings(entry);
	entry->store = forest_store_local(server, open_store(server, entry->settings.conditions_ignored != 0));
	return entry->store;
}

void
forest_stores_open(const Oid *servers, uint32 n)
{
	bool		stay = false;

	while (!stay)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint32 i = 0; i < n; i++)
			if (i == 0 || servers[i] != servers[i - 1])
				(void) forest_store_open(servers[i]);
		/* What the last ones looked up may have told of changes to the first ones. */
		stay = !servers_changed;
		for (uint32 i = 0; i < n && stay; i++)
			if (i == 0 || servers[i] != servers[i - 1])
				stay = !find_entry(servers[i])->stale;
	}
}

ObjectStore *
forest_store_open_own(Oid server_oid)
{
	ForeignServer *server = GetForeignServer(server_oid);
	uint64		identity = forest_store_s3_identity(server);
	bool		ignored = identity != 0 && pg_store_fact(identity) == STORE_CONDITIONS_IGNORED;

	pg_disk_tier_report();
	return forest_store_local(server, open_store(server, ignored));
}

uint64
forest_store_options(Oid server_oid)
{
	uint64		hash = 0;
	ListCell   *cell;

	foreach(cell, GetForeignServer(server_oid)->options)
	{
		DefElem    *option = lfirst(cell);

		hash = hash_combine64(hash, sv_hash64(sv_slice(option->defname, strlen(option->defname))));
		hash = hash_combine64(hash, sv_hash64(sv_slice(defGetString(option), strlen(defGetString(option)))));
	}
	return hash;
}

bool
forest_store_is_current(Oid server_oid, const ObjectStore *store)
{
	StoreEntry *entry = find_entry(server_oid);

	return entry->store == store && !entry->stale;
}

const StoreCall *
forest_store_call(Oid server_oid, StoreCaller caller)
{
	StoreCall  *call = &find_entry(server_oid)->calls[caller];

	call->timeout_ms = setting_store_timeout_ms;
	/* The rest is for what is read and merged. */
	call->upload_bytes = caller == STORE_COMPACTION ? (size_t) setting_worker_memory_kb * 1024 / 8 * 3 : 0;
	call->deadline_ms = Min((int64) setting_store_timeout_ms * patience[caller], INT_MAX);
	return call;
}

bool
forest_store_conditions_unknown(Oid server_oid)
{
	StoreEntry *entry = find_entry(server_oid);

	return entry->identity != 0 && pg_store_fact(entry->identity) == STORE_CONDITIONS_UNKNOWN;
}

void
forest_store_note_conditions(Oid server_oid, bool honoured)
{
	StoreEntry *entry = find_entry(server_oid);

	pg_store_fact_set(entry->identity, honoured ? STORE_CONDITIONS_HONOURED : STORE_CONDITIONS_IGNORED);
}

bool
forest_store_is_embedded(Oid server_oid)
{
	ForeignServer *server = GetForeignServer(server_oid);
	const char *shared = forest_option(server->options, "shared");
	bool		is_shared = false;
	StoreUrl	url;

	if (shared != NULL)
		(void) parse_bool(shared, &is_shared);
	server_url(server, &url);
	return url.kind == STORE_KIND_DIRECTORY && !is_absolute_path(url.path) && !is_shared;
}
