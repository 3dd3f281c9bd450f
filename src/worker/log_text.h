/*
 * log_text.h
 *		Lines of the objects that the changelog and snapshots are written to,
 *		and their names.  LOGFORMAT.md has the format.
 */
#ifndef LOG_TEXT_H
#define LOG_TEXT_H

#include "postgres.h"

#include "base/sv_buffer.h"
#include "store/object_store.h"
#include "utils/uuid.h"

/* Of the log or a snapshot: what one allocation may have. */
#define LOG_MAX_OBJECT_BYTES ((size_t) 1024 * 1024 * 1024 - 1)

extern char *log_uuid_text(const pg_uuid_t *uuid);

/* "UUID/EPOCH/log/NUMBER.log" and "UUID/EPOCH/snapshot/ID-jJOB.snap" */
extern char *log_object_name(const pg_uuid_t *vault, int64 epoch, int64 number);
extern char *log_snapshot_name(const pg_uuid_t *vault, int64 epoch, int64 id, int64 job);

/* Appends a line; the newline is added. */
extern void log_append(SvBuffer *text, const char *line);

/*
 * The lines {"table": ...} of a vault's tables, ordered by id, as the active
 * snapshot has them; an array of *n, and a hash of all of them.  For the log,
 * which relation has which content (forest_swap) is as of change last_id, the last
 * that is in the object or one before.  LOG_NOW: as the snapshot sees that, too, and
 * with floors, which in the log come with their changes.
 */
#define LOG_NOW PG_INT64_MAX
extern char **log_table_lines(int32 vault_id, int64 last_id, int *n, int64 *hash);

/* What the sequences of the catalogue have reached, as JSON. */
extern char *log_sequences(void);

/*
 * NULL, or what is wrong with an object of the log or a snapshot: "missing",
 * or, if it is to be read as a whole, "damaged".
 */
extern const char *log_check_object(ObjectStore *store, const StoreCall *call, const char *name, bool deep);

/* For what a store answers: raises it, cancellation as such. */
extern void log_status_check(SvStatus status, const SvError *err);

#endif							/* LOG_TEXT_H */
