/*
 * forest_delta_write.c
 *		Inserting delta rows and claims.
 *
 * INSERT ... ON CONFLICT through SPI: speculative insertion, waiting for other
 * writers, retrying when a flush has deleted the row meanwhile, and
 * REPEATABLE READ's 40001 are Postgres's own.  The statements run as the owner
 * of the delta; the caller has checked the user's privileges on the table.
 */
#include "postgres.h"

#include "forest/forest_delta_write.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "forest/forest_catalog.h"
#include "forest/forest_xact.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* What a row costs besides its key and value, for skyvault.flush_size. */
#define ROW_OVERHEAD_BYTES 64

#define UPSERT_ACTION \
	" ON CONFLICT (table_id, key) DO UPDATE SET kind = excluded.kind," \
	" expires_at = excluded.expires_at, value = excluded.value"

/* DO UPDATE locks the row before it looks at WHERE: so this locks and changes nothing. */
#define CLAIM_ACTION \
	" ON CONFLICT (table_id, key) DO UPDATE SET kind = excluded.kind WHERE false"

typedef struct DeltaStatement
{
	const char *sql;
	int			nargs;
	Oid			argtypes[5];
	SPIPlanPtr	plan;
} DeltaStatement;

static DeltaStatement upsert_one = {
	"INSERT INTO skyvault.delta (table_id, key, kind, expires_at, value)"
	" VALUES ($1, $2, $3, $4, $5)" UPSERT_ACTION,
	5, {INT4OID, BYTEAOID, CHAROID, TIMESTAMPTZOID, BYTEAOID}
};

static DeltaStatement upsert_many = {
	"INSERT INTO skyvault.delta (table_id, key, kind, expires_at, value)"
	" SELECT $1, u.k, u.t, u.e, u.v FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3),"
	" pg_catalog.unnest($4), pg_catalog.unnest($5)) AS u(k, t, e, v)"
	UPSERT_ACTION,
	5, {INT4OID, BYTEAARRAYOID, CHARARRAYOID, TIMESTAMPTZARRAYOID, BYTEAARRAYOID}
};

static DeltaStatement claim_one = {
	"INSERT INTO skyvault.delta (table_id, key, kind) VALUES ($1, $2, 'l')" CLAIM_ACTION,
	2, {INT4OID, BYTEAOID}
};

static DeltaStatement claim_many = {
	"INSERT INTO skyvault.delta (table_id, key, kind)"
	" SELECT $1, u.k, 'l' FROM pg_catalog.unnest($2) AS u(k)" CLAIM_ACTION,
	2, {INT4OID, BYTEAARRAYOID}
};

static Oid
delta_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(catalog_oid(CATALOG_DELTA)));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", catalog_oid(CATALOG_DELTA));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
execute(DeltaStatement *statement, Datum *args, const char *nulls)
{
	Oid			save_user;
	int			save_context;

	/* An error resets the user with the transaction or subtransaction. */
	GetUserIdAndSecContext(&save_user, &save_context);
	SetUserIdAndSecContext(delta_owner(), save_context | SECURITY_LOCAL_USERID_CHANGE);

	SPI_connect();
	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->sql, statement->nargs, statement->argtypes);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\"", statement->sql);
		statement->plan = plan;
	}
	if (SPI_execute_plan(statement->plan, args, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not execute \"%s\"", statement->sql);
	SPI_finish();

	SetUserIdAndSecContext(save_user, save_context);
}

static Datum
bytea_datum(SvSlice slice)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) slice.data, slice.len));
}

static char
write_kind(const ForestWrite *write)
{
	return write->is_delete ? DELTA_TOMBSTONE : DELTA_VALUE;
}

static bool
write_expires(const ForestWrite *write)
{
	return !write->is_delete && write->expires_at != DT_NOEND;
}

static void
upsert_single(int32 table_id, const ForestWrite *write)
{
	Datum		args[5] = {0};
	char		nulls[5] = {' ', ' ', ' ', 'n', 'n'};

	args[0] = Int32GetDatum(table_id);
	args[1] = bytea_datum(write->key);
	args[2] = CharGetDatum(write_kind(write));
	if (write_expires(write))
	{
		args[3] = TimestampTzGetDatum(write->expires_at);
		nulls[3] = ' ';
	}
	if (!write->is_delete)
	{
		args[4] = bytea_datum(write->value);
		nulls[4] = ' ';
	}
	execute(&upsert_one, args, nulls);
}

static Datum
array_of(Datum *elements, bool *nulls, int n, Oid type, int16 typlen, bool byval, char align)
{
	int			dims[1] = {n};
	int			lower[1] = {1};

	return PointerGetDatum(construct_md_array(elements, nulls, 1, dims, lower, type, typlen, byval, align));
}

static void
upsert_array(int32 table_id, const ForestWrite *writes, int n)
{
	Datum	   *column = palloc(n * sizeof(Datum));
	bool	   *nulls = palloc0(n * sizeof(bool));
	Datum		args[5];

	args[0] = Int32GetDatum(table_id);

	for (int i = 0; i < n; i++)
		column[i] = bytea_datum(writes[i].key);
	args[1] = array_of(column, nulls, n, BYTEAOID, -1, false, TYPALIGN_INT);

	for (int i = 0; i < n; i++)
		column[i] = CharGetDatum(write_kind(&writes[i]));
	args[2] = array_of(column, nulls, n, CHAROID, 1, true, TYPALIGN_CHAR);

	for (int i = 0; i < n; i++)
	{
		nulls[i] = !write_expires(&writes[i]);
		column[i] = TimestampTzGetDatum(writes[i].expires_at);
	}
	args[3] = array_of(column, nulls, n, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);

	for (int i = 0; i < n; i++)
	{
		nulls[i] = writes[i].is_delete;
		column[i] = nulls[i] ? (Datum) 0 : bytea_datum(writes[i].value);
	}
	args[4] = array_of(column, nulls, n, BYTEAOID, -1, false, TYPALIGN_INT);

	execute(&upsert_many, args, NULL);
}

/* Statements of at most so many rows and bytes, so that no array comes near the 1 GB limit. */
#define STATEMENT_ROWS	10000
#define STATEMENT_BYTES (16 * 1024 * 1024)

void
delta_upsert(int32 table_id, const ForestWrite *writes, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault upsert",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int start = 0; start < n;)
	{
		uint64		bytes = 0;
		int			count = 0;

		while (start + count < n && count < STATEMENT_ROWS && (count == 0 || bytes < STATEMENT_BYTES))
		{
			const ForestWrite *write = &writes[start + count++];

			bytes += ROW_OVERHEAD_BYTES + write->key.len + (write->is_delete ? 0 : write->value.len);
		}
		if (count == 1)
			upsert_single(table_id, &writes[start]);
		else
			upsert_array(table_id, &writes[start], count);
		forest_xact_note_delta_bytes(bytes);
		MemoryContextReset(context);
		start += count;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
delta_claim(int32 table_id, const SvSlice *keys, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "skyvault claim",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int start = 0; start < n; start += STATEMENT_ROWS)
	{
		int			count = Min(n - start, STATEMENT_ROWS);
		Datum		args[2];

		args[0] = Int32GetDatum(table_id);
		if (count == 1)
		{
			args[1] = bytea_datum(keys[start]);
			execute(&claim_one, args, NULL);
		}
		else
		{
			Datum	   *column = palloc(count * sizeof(Datum));
			bool	   *nulls = palloc0(count * sizeof(bool));

			for (int i = 0; i < count; i++)
				column[i] = bytea_datum(keys[start + i]);
			args[1] = array_of(column, nulls, count, BYTEAOID, -1, false, TYPALIGN_INT);
			execute(&claim_many, args, NULL);
		}
		forest_xact_note_delta_bytes(ROW_OVERHEAD_BYTES * (uint64) count);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
