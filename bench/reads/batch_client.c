/*
 * batch_client.c
 *		Sends one query over and over, with arrays of keys as its parameter, and
 *		prints how many a second: what pgbench does, but over the binary
 *		protocol, as a client of batches would.
 *
 * usage: batch_client SECONDS SEED QUERY
 *
 * $1 of QUERY is a bytea[], each time another one of table batch, drawn at
 * random from SEED on.  The server is that of libpq's environment.  All answers
 * are read, and must have as many rows, and as many bytes, as the first time
 * that array was asked for.
 */
#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "batch_client: %s: %s\n", what, why);
	exit(1);
}

static PGresult *
expect(PGconn *conn, PGresult *result, ExecStatusType wanted)
{
	if (PQresultStatus(result) != wanted)
		die("query failed", PQerrorMessage(conn));
	return result;
}

static double
seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Bytes of all values and rows of an answer. */
static uint64_t
size_of(const PGresult *result)
{
	uint64_t	size = 0;

	for (int row = 0; row < PQntuples(result); row++)
		for (int column = 0; column < PQnfields(result); column++)
			size += (uint64_t) PQgetlength(result, row, column) + 1;
	return size;
}

/* One query for a random array; its answer's size is compared with, or put into, sizes. */
static void
ask(PGconn *conn, const PGresult *arrays, uint64_t *random, uint64_t *sizes)
{
	int			i = (int) (next_random(random) % (uint64_t) PQntuples(arrays));
	const char *array = PQgetvalue(arrays, i, 0);
	int			bytes = PQgetlength(arrays, i, 0);
	int			binary = 1;
	PGresult   *result = expect(conn, PQexecPrepared(conn, "q", 1, &array, &bytes, &binary, 1),
								PGRES_TUPLES_OK);
	uint64_t	size = size_of(result);

	if (sizes[i] != 0 && sizes[i] != size)
		die("an answer", "has not the size it had before");
	sizes[i] = size;
	PQclear(result);
}

int
main(int argc, char **argv)
{
	PGconn	   *conn;
	PGresult   *arrays;
	uint64_t	random;
	uint64_t   *sizes;
	uint64_t	done = 0;
	double		seconds;
	double		begin;
	double		now;

	if (argc != 4)
		die("usage", "batch_client SECONDS SEED QUERY");
	seconds = atof(argv[1]);
	random = strtoull(argv[2], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) + 1;
	conn = PQconnectdb("");
	if (PQstatus(conn) != CONNECTION_OK)
		die("no connection", PQerrorMessage(conn));
	arrays = expect(conn, PQexecParams(conn, "SELECT keys FROM batch", 0, NULL, NULL, NULL, NULL, 1),
					PGRES_TUPLES_OK);
	sizes = calloc((size_t) PQntuples(arrays), sizeof(uint64_t));
	if (PQntuples(arrays) == 0 || sizes == NULL)
		die("table batch", "is empty, or there is no memory");
	PQclear(expect(conn, PQprepare(conn, "q", argv[3], 0, NULL), PGRES_COMMAND_OK));

	begin = seconds_now();
	do
	{
		ask(conn, arrays, &random, sizes);
		done++;
		now = seconds_now();
	} while (now - begin < seconds);
	printf("tps = %.3f (over the binary protocol)\n", (double) done / (now - begin));
	PQclear(arrays);
	PQfinish(conn);
	free(sizes);
	return 0;
}
