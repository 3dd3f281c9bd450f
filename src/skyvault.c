/*
 * skyvault.c
 *		Start-up: settings, shared memory, hooks, workers, and nothing else.
 */
#include "postgres.h"

#include "fdw/fdw_join.h"
#include "fdw/fdw_unique.h"
#include "fmgr.h"
#include "forest/forest_alter.h"
#include "forest/forest_arena.h"
#include "forest/forest_fetch.h"
#include "forest/forest_filter.h"
#include "forest/forest_filter_trigger.h"
#include "forest/forest_pending.h"
#include "forest/forest_shmem.h"
#include "forest/forest_table.h"
#include "forest/forest_traffic.h"
#include "forest/forest_truncate.h"
#include "forest/forest_xact.h"
#include "forest/load_progress.h"
#include "miscadmin.h"
#include "server/pg_cache.h"
#include "server/pg_compat.h"
#include "server/pg_disk_tier.h"
#include "server/pg_settings.h"
#include "server/pg_store_facts.h"
#include "server/pg_store_stat.h"
#include "server/pg_wait.h"
#include "server/stop_point.h"
#include "storage/ipc.h"
#include "worker/vault_import.h"
#include "worker/worker_ddl.h"
#include "worker/worker_launcher.h"
#include "worker/worker_load.h"
#include "worker/worker_request.h"
#include "worker/worker_shmem.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static shmem_request_hook_type previous_shmem_request_hook = NULL;
static shmem_startup_hook_type previous_shmem_startup_hook = NULL;

static void
shmem_request(void)
{
	if (previous_shmem_request_hook != NULL)
		previous_shmem_request_hook();
	pg_cache_shmem_request();
	pg_disk_tier_shmem_request();
	pg_store_facts_shmem_request();
	pg_store_stat_shmem_request();
	pg_wait_shmem_request();
	forest_arena_shmem_request();
	forest_shmem_request();
	forest_filter_request();
	forest_traffic_shmem_request();
	forest_pending_shmem_request();
	load_progress_shmem_request();
	worker_shmem_request();
	worker_request_shmem_request();
#ifdef SKYVAULT_STOP_POINTS
	stop_point_shmem_request();
#endif
}

static void
shmem_startup(void)
{
	if (previous_shmem_startup_hook != NULL)
		previous_shmem_startup_hook();
	pg_cache_shmem_startup();
	pg_disk_tier_shmem_startup();
	pg_store_facts_shmem_startup();
	pg_store_stat_shmem_startup();
	pg_wait_shmem_startup();
	forest_arena_shmem_startup();
	forest_shmem_startup();
	forest_filter_startup();
	forest_traffic_shmem_startup();
	forest_pending_shmem_startup();
	load_progress_shmem_startup();
	worker_shmem_startup();
	worker_request_shmem_startup();
#ifdef SKYVAULT_STOP_POINTS
	stop_point_shmem_startup();
#endif
}

static void
after_commit(uint64 delta_bytes, bool wake_scheduler)
{
	if (delta_bytes > 0)
		worker_note_committed_bytes(delta_bytes);
	if (wake_scheduler)
		worker_wake_scheduler();
}

/* CREATE FOREIGN TABLE is a use: the identity then commits together with the table. */
static void
after_create_foreign_table(Oid relid)
{
	/* pg_upgrade brings the catalogue's rows itself, later. */
	if (!IsBinaryUpgrade && forest_is_skyvault_relation(relid))
	{
		(void) forest_table_for_write(relid);
		vault_import_bind(relid);
	}
}

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("skyvault must be loaded via shared_preload_libraries"),
				 errhint("Add skyvault to shared_preload_libraries in postgresql.conf and restart the server.")));

	pg_settings_define();
	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;

	forest_xact_install(after_commit);
	forest_truncate_install_hook();
	forest_alter_install_hook();
	forest_filter_install_hook();
	forest_fetch_install_hook();
	fdw_join_install();
	fdw_unique_install();
	worker_load_install();
	worker_ddl_install();
	worker_ddl_set_after_create_foreign_table(after_create_foreign_table);
	worker_launcher_register();
}
