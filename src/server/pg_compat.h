/*
 * pg_compat.h
 *		Every difference between the Postgres versions that are supported.
 *
 * Include after postgres.h, before PG_MODULE_MAGIC and any PG_FUNCTION_INFO_V1.
 */
#ifndef PG_COMPAT_H
#define PG_COMPAT_H

#include "postgres.h"

#include "fmgr.h"
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#if PG_VERSION_NUM < 150000
#error "skyvault needs PostgreSQL 15 or later"
#endif

/*
 * We compile with -fvisibility=hidden.  Before 16, PGDLLEXPORT is empty on
 * Unix, and what the server looks up by name would be hidden with the rest.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))

/* 16's definition: 15's exports the function's record, but not the function. */
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, funcname) (void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_, funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int	no_such_variable
#endif

/* Needs pgstat.h where it is used. */
#if PG_VERSION_NUM >= 160000
#define compat_live_tuples(entry) ((entry)->live_tuples)
#else
#define compat_live_tuples(entry) ((entry)->n_live_tuples)
#endif

/* Stands before "static" and the type. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/*
 * Needs access/tupdesc.h where it is used: whether two columns are NOT NULL alike.
 * Since 18 there is NOT NULL that old rows need not obey (NOT VALID).
 */
#if PG_VERSION_NUM >= 180000
#define compat_same_not_null(a, b, i) \
	(TupleDescCompactAttr(a, i)->attnullability == TupleDescCompactAttr(b, i)->attnullability)
#else
#define compat_same_not_null(a, b, i) \
	(TupleDescAttr(a, i)->attnotnull == TupleDescAttr(b, i)->attnotnull)
#endif

/* Needs access/genam.h where it is used. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define compat_index_beginscan(heap, index, snapshot, nkeys) \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* Needs utils/regproc.h where it is used. */
#if PG_VERSION_NUM >= 160000
#define compat_qualified_name_list(name) stringToQualifiedNameList(name, NULL)
#else
#define compat_qualified_name_list(name) stringToQualifiedNameList(name)
#endif

/* Needs parser/parse_type.h where it is used: an invalid type if there is none of that name. */
#if PG_VERSION_NUM >= 160000
#define compat_parse_type_string(name, type, typmod) \
	do \
	{ \
		ErrorSaveContext missing = {T_ErrorSaveContext}; \
\
		*(type) = InvalidOid; \
		(void) parseTypeString(name, type, typmod, (Node *) &missing); \
	} while (0)
#else
#define compat_parse_type_string(name, type, typmod) parseTypeString(name, type, typmod, true)
#endif

/* Needs catalog/pg_database.h and utils/acl.h where it is used. */
#if PG_VERSION_NUM < 160000
#define compat_database_ownercheck(dboid, roleid) pg_database_ownercheck(dboid, roleid)
#define compat_class_ownercheck(relid, roleid) pg_class_ownercheck(relid, roleid)
#else
#define compat_database_ownercheck(dboid, roleid) \
	object_ownercheck(DatabaseRelationId, dboid, roleid)
#define compat_class_ownercheck(relid, roleid) \
	object_ownercheck(RelationRelationId, relid, roleid)
#endif

/* Needs catalog/pg_namespace.h and utils/acl.h where it is used. */
#if PG_VERSION_NUM < 160000
#define compat_namespace_aclcheck(nspid, roleid, mode) pg_namespace_aclcheck(nspid, roleid, mode)
#else
#define compat_namespace_aclcheck(nspid, roleid, mode) \
	object_aclcheck(NamespaceRelationId, nspid, roleid, mode)
#endif

/* Needs catalog/pg_foreign_server.h and utils/acl.h where it is used. */
#if PG_VERSION_NUM < 160000
#define compat_server_ownercheck(server, roleid) pg_foreign_server_ownercheck(server, roleid)
#else
#define compat_server_ownercheck(server, roleid) \
	object_ownercheck(ForeignServerRelationId, server, roleid)
#endif

/* Needs optimizer/pathnode.h where it is used: a scan of one foreign table. */
#if PG_VERSION_NUM >= 180000
#define compat_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, pathkeys, outer, \
							NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define compat_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, \
							NULL, NIL, private)
#else
#define compat_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, NULL, private)
#endif

/* Needs optimizer/pathnode.h where it is used: what is made of one table's rows. */
#if PG_VERSION_NUM >= 180000
#define compat_create_foreign_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, NIL, NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define compat_create_foreign_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, NULL, NIL, private)
#else
#define compat_create_foreign_upper_path(root, rel, target, rows, startup, total, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, NULL, private)
#endif

/* Of a ForeignScan: the relations, no joins, that it is about. */
#if PG_VERSION_NUM >= 160000
#define compat_scan_relids(plan) ((plan)->fs_base_relids)
#else
#define compat_scan_relids(plan) ((plan)->fs_relids)
#endif

/* What counts the nodes below that are disabled: before 18 they are in the costs. */
#if PG_VERSION_NUM >= 180000
#define compat_path_add_disabled_nodes(path, below) ((path)->disabled_nodes = (below)->disabled_nodes)
#else
#define compat_path_add_disabled_nodes(path, below) ((void) (below))
#endif

/* Needs optimizer/paths.h where it is used. */
#if PG_VERSION_NUM >= 160000
#define compat_build_expression_pathkey(root, expr, opno, relids) \
	build_expression_pathkey(root, expr, opno, relids, false)
#else
#define compat_build_expression_pathkey(root, expr, opno, relids) \
	build_expression_pathkey(root, expr, NULL, opno, relids, false)
#endif

/* Of a PathKey: equal for pathkeys of one direction. */
#if PG_VERSION_NUM >= 180000
#define compat_pathkey_direction(pathkey) ((int) (pathkey)->pk_cmptype)
#else
#define compat_pathkey_direction(pathkey) ((pathkey)->pk_strategy)
#endif

/* Needs utils/selfuncs.h where it is used. */
#if PG_VERSION_NUM >= 170000
#define compat_estimate_array_length(root, array) estimate_array_length(root, array)
#else
#define compat_estimate_array_length(root, array) ((double) estimate_array_length(array))
#endif

/* Needs utils/pg_locale.h where it is used. */
#if PG_VERSION_NUM >= 180000
#define compat_collation_is_c(collation) (pg_newlocale_from_collation(collation)->collate_is_c)
#else
#define compat_collation_is_c(collation) lc_collate_is_c(collation)
#endif

/* The last argument of ExecutorRun, and of its hook. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXECUTE_ONCE_PARAMETER
#define COMPAT_EXECUTE_ONCE
#else
#define COMPAT_EXECUTE_ONCE_PARAMETER , bool execute_once
#define COMPAT_EXECUTE_ONCE , execute_once
#endif

/* Needs storage/proc.h where it is used: this process's number among all. */
#if PG_VERSION_NUM >= 170000
#define compat_proc_number() ((uint32) GetNumberFromPGProc(MyProc))
#else
#define compat_proc_number() ((uint32) MyProc->pgprocno)
#endif

/* Needs utils/snapmgr.h where it is used: whether rows may vanish that a snapshot sees. */
#if PG_VERSION_NUM >= 170000
#define compat_old_snapshot_threshold_active() false
#else
#define compat_old_snapshot_threshold_active() OldSnapshotThresholdActive()
#endif

/*
 * Needs storage/proc.h, and storage/procarray.h or storage/sinvaladt.h, where
 * it is used: what a backend of a virtual xid runs now, if there is one.
 */
#if PG_VERSION_NUM >= 170000
#define compat_vxid_proc(vxid) ProcNumberGetProc((vxid).procNumber)
#define compat_proc_lxid(proc) ((proc)->vxid.lxid)
#else
#define compat_vxid_proc(vxid) BackendIdGetProc((vxid).backendId)
#define compat_proc_lxid(proc) ((proc)->lxid)
#endif

/*
 * What CHECK_FOR_INTERRUPTS raises, and neither a cancel nor a termination is pending
 * for.  Needs access/xlog.h and storage/proc.h where it is used.
 */
#if PG_VERSION_NUM >= 160000
#define compat_recovery_conflicts() (RecoveryInProgress() && MyProc->recoveryConflictPending)
#else
#define compat_recovery_conflicts() false
#endif
#if PG_VERSION_NUM >= 170000
#define compat_transaction_timed_out() (TransactionTimeoutPending && TransactionTimeout > 0)
#else
#define compat_transaction_timed_out() false
#endif

/* Needs storage/latch.h (storage/waiteventset.h from 18 on) where it is used: lives until the process ends. */
#if PG_VERSION_NUM >= 170000
#define compat_create_wait_event_set(nevents) CreateWaitEventSet(NULL, nevents)
#else
#define compat_create_wait_event_set(nevents) CreateWaitEventSet(TopMemoryContext, nevents)
#endif

/* Needs commands/trigger.h where it is used: triggers of a foreign table. */
#if PG_VERSION_NUM >= 180000
#define compat_exec_br_delete_triggers(estate, epqstate, rinfo, tuple) \
	ExecBRDeleteTriggers(estate, epqstate, rinfo, NULL, tuple, NULL, NULL, NULL, false)
#elif PG_VERSION_NUM >= 160000
#define compat_exec_br_delete_triggers(estate, epqstate, rinfo, tuple) \
	ExecBRDeleteTriggers(estate, epqstate, rinfo, NULL, tuple, NULL, NULL, NULL)
#else
#define compat_exec_br_delete_triggers(estate, epqstate, rinfo, tuple) \
	ExecBRDeleteTriggers(estate, epqstate, rinfo, NULL, tuple, NULL)
#endif

/* Needs executor/executor.h where it is used: of a partition that rows were routed to. */
#if PG_VERSION_NUM >= 160000
#define compat_root_to_child_map(rinfo, estate) ExecGetRootToChildMap(rinfo, estate)
#else
#define compat_root_to_child_map(rinfo, estate) ((rinfo)->ri_RootToPartitionMap)
#endif

/* Needs utils/wait_event.h where it is used. */
#if PG_VERSION_NUM >= 170000
#define compat_new_wait_event(name) WaitEventExtensionNew(name)
#else
#define compat_new_wait_event(name) PG_WAIT_EXTENSION
#endif

/* Whether COPY hands rows to a wrapper in batches where it can. */
#if PG_VERSION_NUM >= 160000
#define COMPAT_COPY_HAS_BATCHES true
#else
#define COMPAT_COPY_HAS_BATCHES false
#endif

#endif							/* PG_COMPAT_H */
