/*
 * cancel.c
 *		How long sessions that wait at a store which never answers go on waiting
 *		when they are told to stop.
 *
 * usage: cancel SESSIONS REPEATS POSTMASTER
 *
 * The server is that of libpq's environment; table kv1k, of as many blocks as
 * there are sessions at least, is in a store that has been stopped, and nothing but
 * its tail is cached.  Sessions wait for a block each, or all for the same one,
 * which one of them asks for.  Then one after the other is told to stop, while the
 * others wait on; at last the server with that postmaster is stopped, while all wait.
 * Prints lines "WORK<tab>milliseconds".
 */
#include <errno.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SQL_SIZE 512
#define STATEMENT_TIMEOUT_MS 300
#define ROWS_APART 64			/* keys that lie in different blocks */

static PGconn *control;
static PGconn **sessions;
static int	nsessions;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "cancel: %s: %s\n", what, why);
	exit(1);
}

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static PGconn *
connect_session(void)
{
	PGconn	   *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		die("no connection", PQerrorMessage(conn));
	return conn;
}

/* The first column of the first row, or 0. */
static long
ask(const char *sql)
{
	PGresult   *result = PQexec(control, sql);
	long		value = 0;

	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		die(sql, PQerrorMessage(control));
	if (PQntuples(result) > 0)
		value = atol(PQgetvalue(result, 0, 0));
	PQclear(result);
	return value;
}

/* Sends a get; of another block for each session unless all ask for the same. */
static void
send_get(int session, bool same, const char *before)
{
	char		sql[SQL_SIZE];

	snprintf(sql, sizeof(sql), "%sSELECT skyvault_get('kv1k', bench_key(%d)::bytea)", before,
			 1 + (same ? 0 : session * ROWS_APART));
	if (PQsendQuery(sessions[session], sql) != 1)
		die("could not send", PQerrorMessage(sessions[session]));
}

/* Until all sessions wait: at the store, or for the one that waits there. */
static void
await_waits(bool same)
{
	char		sql[SQL_SIZE];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT skyvault_get%%'"
			 " AND state = 'active' AND wait_event IS NOT NULL"
			 " AND (SELECT count(*) FROM skyvault_store_waits WHERE caller = 'foreground') = %d",
			 same ? 1 : nsessions);
	while (ask(sql) != nsessions)
		;
}

/*
 * Reads the answer, which must be that error, or any if sqlstate is null, and tells
 * how long it took since; nothing if there is no WORK.
 */
static void
receive(int session, const char *sqlstate, const char *work, double since)
{
	PGresult   *result;
	double		took = 0;
	bool		seen = false;

	while ((result = PQgetResult(sessions[session])) != NULL)
	{
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		took = now_ms() - since;
		seen |= state != NULL && (sqlstate == NULL || strcmp(state, sqlstate) == 0);
		PQclear(result);
	}
	if (!seen)
		die(work, "another answer than expected");
	if (work[0] != '\0')
		printf("%s\t%.2f\n", work, took);
}

static void
tell_backend(const char *function, int session)
{
	char		sql[SQL_SIZE];

	snprintf(sql, sizeof(sql), "SELECT %s(%d)", function, PQbackendPID(sessions[session]));
	ask(sql);
}

/* From the last: so that who waits for another's request stops before that one. */
static void
stop_all(const char *function, const char *sqlstate, bool same, const char *work)
{
	for (int i = 0; i < nsessions; i++)
	{
		send_get(i, same, "");
		if (same && i == 0)
			while (ask("SELECT count(*) FROM skyvault_store_waits WHERE caller = 'foreground'") != 1)
				;
	}
	await_waits(same);
	for (int i = nsessions - 1; i >= 0; i--)
	{
		double		since = now_ms();

		tell_backend(function, i);
		receive(i, sqlstate, same && i == 0 ? "" : work, since);
	}
}

static void
time_out_each(void)
{
	char		sql[SQL_SIZE];

	snprintf(sql, sizeof(sql), "SET statement_timeout = %d", STATEMENT_TIMEOUT_MS);
	for (int i = 0; i < nsessions; i++)
	{
		double		since;

		PQclear(PQexec(sessions[i], sql));
		since = now_ms();
		send_get(i, false, "");
		receive(i, "57014", "statement_timeout", since + STATEMENT_TIMEOUT_MS);
		PQclear(PQexec(sessions[i], "RESET statement_timeout"));
	}
}

/* DROP DATABASE waits until every process has taken part in a barrier. */
static void
drop_databases(int n)
{
	for (int i = 0; i < n; i++)
	{
		double		since;

		ask("CREATE DATABASE cancel_dropped");
		since = now_ms();
		ask("DROP DATABASE cancel_dropped");
		printf("DROP DATABASE, %s\t%.2f\n", i % 2 == 0 ? "all wait" : "nobody waits", now_ms() - since);
		if (i % 2 == 0)
		{
			for (int j = 0; j < nsessions; j++)
				tell_backend("pg_cancel_backend", j);
			for (int j = 0; j < nsessions; j++)
				receive(j, "57014", "", 0);
		}
		else if (i + 1 < n)
		{
			for (int j = 0; j < nsessions; j++)
				send_get(j, false, "");
			await_waits(false);
		}
	}
}

/*
 * The scheduler ends amid a flush: from the signal until it is not there any more.
 * Who asked for the flush waits for the next scheduler, until too many have ended.
 */
static void
end_schedulers(int n)
{
	char		sql[SQL_SIZE];
	long		pid = 0;

	if (PQsendQuery(sessions[0], "SELECT skyvault_flush('vault')") != 1)
		die("could not send", PQerrorMessage(sessions[0]));
	for (int i = 0; i < n; i++)
	{
		double		since;

		snprintf(sql, sizeof(sql), "SELECT pid FROM skyvault_store_waits"
				 " WHERE caller <> 'foreground' AND pid <> %ld", pid);
		while ((pid = ask(sql)) == 0)
			;
		since = now_ms();
		snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%ld)", pid);
		ask(sql);
		snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE pid = %ld", pid);
		while (ask(sql) != 0)
			;
		printf("the scheduler is ended amid a flush\t%.2f\n", now_ms() - since);
	}
	tell_backend("pg_cancel_backend", 0);
	receive(0, NULL, "", 0);
}

/* A fast stop, while all wait: until each has its error. */
static void
stop_server(pid_t postmaster)
{
	double		since;

	for (int i = 0; i < nsessions; i++)
	{
		PQfinish(sessions[i]);
		sessions[i] = connect_session();
		send_get(i, false, "");
	}
	await_waits(false);
	since = now_ms();
	if (kill(postmaster, SIGINT) != 0)
		die("could not stop the server", strerror(errno));
	for (int i = 0; i < nsessions; i++)
		receive(i, "57P01", "fast stop", since);
}

int
main(int argc, char **argv)
{
	int			repeats;

	if (argc != 4)
		die("usage", "cancel SESSIONS REPEATS POSTMASTER");
	nsessions = atoi(argv[1]);
	repeats = atoi(argv[2]);
	sessions = calloc((size_t) nsessions, sizeof(PGconn *));
	if (sessions == NULL || nsessions < 2)
		die("usage", "two sessions at least");
	control = connect_session();
	for (int i = 0; i < nsessions; i++)
		sessions[i] = connect_session();

	stop_all("pg_cancel_backend", "57014", false, "pg_cancel_backend");
	stop_all("pg_cancel_backend", "57014", true, "pg_cancel_backend, waiting for another's request");
	time_out_each();
	for (int i = 0; i < nsessions; i++)
		send_get(i, false, "");
	await_waits(false);
	drop_databases(2 * repeats);
	ask("SELECT skyvault_put('kv1k', 'new'::bytea, 'new'::bytea)");
	end_schedulers(repeats);
	stop_all("pg_terminate_backend", "57P01", false, "pg_terminate_backend");
	stop_server((pid_t) atol(argv[3]));

	for (int i = 0; i < nsessions; i++)
		PQfinish(sessions[i]);
	PQfinish(control);
	free(sessions);
	return 0;
}
