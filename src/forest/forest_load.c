/*
 * forest_load.c
 *		See forest_load.h.
 */
#include "postgres.h"

#include "forest/forest_load.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "foreign/foreign.h"
#include "forest/forest_write.h"
#include "forest/load_publish.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "server/pg_settings.h"
#include "server/stop_point.h"
#include "utils/memutils.h"

struct ForestLoad
{
	MemoryContext context;
	ForestTable table;
	ForestLoadOptions options;
	List	   *server_options;	/* as they were when it began */
	LoadBuilder builder;
	LoadBuilt	built;
	bool		is_built;
	uint64		rows;
	uint64		bytes;
};

/* So often people are told. */
#define PROGRESS_ROWS 1024

static ForestLoadHooks hooks;

void
forest_load_install(const ForestLoadHooks *given)
{
	hooks = *given;
}

/*
 * SERIALIZABLE writes to the delta alone: what readers have looked at there is what
 * Postgres finds conflicts by.
 */
bool
forest_load_possible(const ForestTable *table)
{
	ForestVault vault;

	return hooks.take_vault != NULL && !IsolationIsSerializable() &&
		forest_vault_find(table->server_oid, &vault) && hooks.is_possible(&vault);
}

static void
add_here(void *state, SvSlice key, SvSlice value, TimestampTz expires_at)
{
	load_build_add(state, key, value, expires_at);
}

static void
finish_here(void *state, LoadBuilt *built)
{
	load_build_finish(state, built);
}

static LoadBuildSpec
make_spec(const ForestLoad *load, const ForestVault *vault)
{
	LsmSettings settings = {.run_bytes = (uint64) setting_run_size_kb * 1024};

	forest_thresholds(load->table.relid, &settings);
	return (LoadBuildSpec) {
		.server_oid = load->table.server_oid,.vault = *vault,.xid = GetTopFullTransactionId(),
		.table_id = load->table.table_id,.storage = forest_storage(load->table.relid),
		.memory_bytes = load->options.memory_bytes,.run_bytes = settings.run_bytes,
		.duplicate = load->options.strict ? load->options.duplicate : NULL,
		.duplicate_state = load->options.duplicate_state,.progress = load->options.progress
	};
}

/* In CurrentMemoryContext. */
static void
begin_builder(const LoadBuildSpec *spec, LoadBuilder *builder)
{
	if (hooks.begin_builder == NULL || !hooks.begin_builder(spec, builder))
		*builder = (LoadBuilder) {.add = add_here,.finish = finish_here,.state = load_build_begin(spec)};
}

ForestLoad *
forest_load_begin(const ForestTable *table, const ForestLoadOptions *options)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault load",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ForestLoad *load = palloc0(sizeof(ForestLoad));
	ForestVault vault;
	LoadBuildSpec spec;

	forest_table_check_key(table);
	load->context = context;
	load->table = *table;
	load->options = *options;
	if (load->options.memory_bytes == 0)
		load->options.memory_bytes = (Size) maintenance_work_mem * 1024;
	load->server_options = copyObject(GetForeignServer(table->server_oid)->options);
	(void) forest_vault_find(table->server_oid, &vault);
	hooks.take_vault(&vault);
	spec = make_spec(load, &vault);
	begin_builder(&spec, &load->builder);
	load_progress_phase(options->progress, LOAD_READING);
	STOP_POINT("load-begin");
	MemoryContextSwitchTo(old);
	return load;
}

void
forest_load_add(ForestLoad *load, SvSlice key, SvSlice value, TimestampTz expires_at)
{
	forest_check_key(key);
	forest_check_encoded_value(value);
	load->builder.add(load->builder.state, key, value, expires_at);
	load->bytes += key.len + value.len;
	if (++load->rows % PROGRESS_ROWS == 0)
		load_progress_read(load->options.progress, load->rows, load->bytes);
}

/* What was uploaded may be elsewhere than readers would look for it. */
static void
check_server(const ForestLoad *load)
{
	ForeignServer *server = GetForeignServer(load->table.server_oid);
	ForestVault vault;

	if (!equal(load->server_options, server->options))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s\" was changed during the load", server->servername),
				 errhint("Load again.")));
	(void) forest_vault_find(load->table.server_oid, &vault);
	hooks.check_safe(&vault);
}

void
forest_load_build(ForestLoad *load)
{
	MemoryContext old;

	if (load->is_built)
		return;
	old = MemoryContextSwitchTo(load->context);
	load_progress_read(load->options.progress, load->rows, load->bytes);
	load_progress_phase(load->options.progress, LOAD_WRITING);
	load->builder.finish(load->builder.state, &load->built);
	load->is_built = true;
	MemoryContextSwitchTo(old);
}

void
forest_load_finish(ForestLoad *load, ForestLoadResult *result)
{
	MemoryContext old = MemoryContextSwitchTo(load->context);
	const LoadBuilt *built = &load->built;

	memset(result, 0, sizeof(ForestLoadResult));
	forest_load_build(load);
	load_progress_phase(load->options.progress, LOAD_PUBLISHING);
	check_server(load);
	if (built->nruns > 0 || load->options.replace)
		load_publish(&load->table, built, &load->options, &result->delta_rows);

	result->given = load->rows;
	result->loaded = built->entries;
	result->raw_bytes = built->raw_bytes;
	result->file_bytes = built->file_bytes;
	result->runs = built->nruns;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(load->context);
}

void
forest_load_cancel(ForestLoad *load)
{
	MemoryContextDelete(load->context);
}
