/*
 * fdw_handler.c
 *		The wrapper's table of callbacks.
 */
#include "postgres.h"

#include "fdw/fdw_handler.h"

#include "fdw/fdw_analyze.h"
#include "fdw/fdw_async.h"
#include "fdw/fdw_explain.h"
#include "fdw/fdw_modify.h"
#include "fdw/fdw_modify_meter.h"
#include "fdw/fdw_options.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_scan.h"
#include "fdw/fdw_upper.h"
#include "foreign/fdwapi.h"
#include "worker/vault_import.h"

PG_FUNCTION_INFO_V1(skyvault_fdw_handler);
PG_FUNCTION_INFO_V1(skyvault_fdw_validator);

Datum
skyvault_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = fdw_plan_rel_size;
	routine->GetForeignPaths = fdw_plan_paths;
	routine->GetForeignUpperPaths = fdw_upper_paths;
	routine->GetForeignPlan = fdw_plan_scan;
	routine->IsForeignScanParallelSafe = fdw_plan_is_parallel_safe;

	routine->BeginForeignScan = fdw_scan_begin;
	routine->IterateForeignScan = fdw_scan_iterate;
	routine->ReScanForeignScan = fdw_scan_rescan;
	routine->EndForeignScan = fdw_scan_end;

	routine->EstimateDSMForeignScan = fdw_scan_shared_bytes;
	routine->InitializeDSMForeignScan = fdw_scan_share;
	routine->ReInitializeDSMForeignScan = fdw_scan_share_again;
	routine->InitializeWorkerForeignScan = fdw_scan_join;
	routine->ShutdownForeignScan = fdw_scan_shutdown;

	routine->IsForeignPathAsyncCapable = fdw_async_is_capable;
	routine->ForeignAsyncRequest = fdw_async_request;
	routine->ForeignAsyncConfigureWait = fdw_async_configure_wait;
	routine->ForeignAsyncNotify = fdw_async_notify;

	routine->IsForeignRelUpdatable = fdw_modify_operations;
	routine->AddForeignUpdateTargets = fdw_modify_add_targets;
	routine->PlanForeignModify = fdw_modify_plan;
	routine->BeginForeignModify = fdw_modify_begin;
	routine->EndForeignModify = fdw_modify_end;
	routine->BeginForeignInsert = fdw_modify_begin_insert;
	routine->EndForeignInsert = fdw_modify_end;
	routine->GetForeignModifyBatchSize = fdw_modify_batch_size;
	routine->ExecForeignInsert = fdw_metered_insert;
	routine->ExecForeignBatchInsert = fdw_metered_insert_batch;
	routine->ExecForeignUpdate = fdw_metered_update;
	routine->ExecForeignDelete = fdw_metered_delete;
	routine->ExecForeignTruncate = fdw_modify_truncate;

	routine->ImportForeignSchema = vault_import_commands;
	routine->AnalyzeForeignTable = fdw_analyze_table;

	routine->ExplainForeignScan = fdw_explain_scan;
	routine->ExplainForeignModify = fdw_explain_modify;

	PG_RETURN_POINTER(routine);
}

Datum
skyvault_fdw_validator(PG_FUNCTION_ARGS)
{
	fdw_options_validate(PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
