"""What a Python program does with a foreign table, by way of psycopg 3.

    use_psycopg.py CONNINFO

Works on the foreign table "item" and its twin "item_heap", a plain table with the same
columns.  Prints a line "ok - NAME" or "not ok - NAME: WHY" for each thing tried, and
"done" at the end.
"""
import datetime
import decimal
import sys
import threading
import traceback

import psycopg
from psycopg.types.json import Jsonb

CONNINFO = sys.argv[1]
TABLES = ("item", "item_heap")
CASES = []


def case(function):
    """A thing to try: a function of a connection that does not commit by itself."""
    CASES.append(function)
    return function


def same(connection, name):
    """Both tables hold the same rows."""
    (differences,) = connection.execute(
        "SELECT count(*) FROM ((TABLE item EXCEPT ALL TABLE item_heap) UNION ALL"
        " (TABLE item_heap EXCEPT ALL TABLE item)) AS d"
    ).fetchone()
    assert differences == 0, f"{name}: {differences} rows differ"


def row(n):
    """A row of which every column has something that a driver can get wrong."""
    return (
        n,
        f"näme {n}\t\\N 'x'",
        [f"t{n}", None, "a,b", ""],
        [n / 4, None, -0.5],
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=n),
        Jsonb({"n": n, "deep": [None, {"x": "ü"}]}),
        decimal.Decimal(n) / 8,
        bytes([n % 256, 0, 255]),
    )


INSERT = "INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
# Keys are small integers for psycopg, which sends int2 then: it finds them all the same.
BY_KEY = "SELECT * FROM {} WHERE id = %s"


@case
def put_and_get(connection):
    for table in TABLES:
        for n in (1, 2, 70000):
            connection.execute(INSERT.format(table), row(n))
    same(connection, "rows")
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            for n in (1, 2, 70000):
                got = [cursor.execute(BY_KEY.format(table), (n,)).fetchone() for table in TABLES]
                assert got[0] == got[1], f"binary {binary}: {got}"
                assert got[0][1:5] == row(n)[1:5], f"binary {binary}: {got[0]}"
                assert got[0][5] == row(n)[5].obj and got[0][6:] == row(n)[6:], f"binary {binary}: {got[0]}"
            assert cursor.execute(BY_KEY.format("item"), (4711,)).fetchone() is None


@case
def copy_in_and_out(connection):
    for table in TABLES:
        with connection.cursor().copy(f"COPY {table} (id, name) FROM STDIN") as copy:
            for n in range(100000):
                copy.write_row((n * 3 % 100003, f"copied {n}"))
    same(connection, "text")
    (count,) = connection.execute("SELECT count(*) FROM item").fetchone()
    assert count == 100000, count
    out = {}
    for table in TABLES:
        with connection.cursor().copy(f"COPY (SELECT id, name FROM {table} ORDER BY id) TO STDOUT") as copy:
            out[table] = list(copy.rows())
    assert out["item"] == out["item_heap"] and len(out["item"]) == 100000


@case
def copy_binary(connection):
    for table in TABLES:
        with connection.cursor().copy(f"COPY {table} (id, name, tags) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int8", "text", "text[]"])
            for n in range(1000):
                copy.write_row((n, f"n{n}", ["a", None]))
    same(connection, "binary")


@case
def copy_broken_off(connection):
    put_and_get(connection)
    try:
        with connection.transaction():
            with connection.cursor().copy("COPY item (id, name) FROM STDIN") as copy:
                for n in range(5000):
                    copy.write_row((n, "never there"))
                raise ValueError("changed my mind")
        raise AssertionError("no error")
    except psycopg.errors.QueryCanceled as error:
        assert "changed my mind" in str(error), error
    same(connection, "after a COPY that the client broke off")


@case
def server_side_cursor(connection):
    connection.execute("INSERT INTO item (id, name) SELECT n, n::text FROM generate_series(1, 5000) AS n")
    with connection.cursor(name="far") as cursor:
        cursor.itersize = 123
        cursor.execute("SELECT id FROM item ORDER BY id")
        connection.execute("DELETE FROM item WHERE id > 10")
        assert [r[0] for r in cursor] == list(range(1, 5001)), "a cursor sees its snapshot"
    with connection.cursor(name="back", scrollable=True) as cursor:
        cursor.execute("SELECT id FROM item ORDER BY id")
        assert cursor.fetchmany(4) == [(1,), (2,), (3,), (4,)]
        cursor.scroll(-2)
        assert cursor.fetchone() == (3,)
        cursor.scroll(9, mode="absolute")
        assert cursor.fetchone() == (10,)


@case
def prepared_statements(connection):
    connection.execute("INSERT INTO item (id, name) SELECT n, n::text FROM generate_series(1, 2000) AS n")
    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            for n in range(1, 21):
                cursor.execute("SELECT name FROM item WHERE id = %s::int8", (n,), prepare=True)
                assert cursor.fetchall() == [(str(n),)], n
                cursor.execute("SELECT count(*) FROM item WHERE id BETWEEN %s AND %s", (n, n + 9), prepare=True)
                assert cursor.fetchall() == [(10,)], n
                cursor.execute("SELECT id FROM item WHERE id = ANY (%s) ORDER BY id", ([n, 5 * n, -n],), prepare=True)
                assert cursor.fetchall() == [(n,), (5 * n,)], n
                cursor.execute("UPDATE item SET name = %s WHERE id = %s", (f"u{n}", n + 500), prepare=True)
                assert cursor.rowcount == 1, n
    (count,) = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert count > 0, "nothing was prepared"


@case
def many_executions(connection):
    for table in TABLES:
        connection.cursor().executemany(INSERT.format(table), [row(n) for n in range(300)])
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO item VALUES (%s, 'r') RETURNING id", [(1000,), (1001,)], returning=True)
        assert cursor.fetchone() == (1000,)
        assert cursor.nextset() and cursor.fetchone() == (1001,)
    connection.execute("INSERT INTO item_heap VALUES (1000, 'r'), (1001, 'r')")
    with connection.pipeline():
        for table in TABLES:
            for n in range(50):
                connection.execute(f"DELETE FROM {table} WHERE id = %s", (n * 2,))
                connection.execute(f"UPDATE {table} SET name = %s WHERE id = %s", ("pipelined", n * 2 + 1))
    same(connection, "executemany and pipeline")


@case
def transactions_and_savepoints(connection):
    for table in TABLES:
        connection.execute(f"INSERT INTO {table} (id) VALUES (1)")
        try:
            with connection.transaction():
                connection.execute(f"INSERT INTO {table} (id) VALUES (2)")
                with connection.transaction():
                    connection.execute(f"DELETE FROM {table} WHERE id = 1")
                    raise psycopg.Rollback()
                with connection.transaction():
                    connection.execute(f"UPDATE {table} SET name = 'kept' WHERE id = 1")
                try:
                    with connection.transaction():
                        connection.execute(f"INSERT INTO {table} (id) VALUES (3)")
                        connection.execute("SELECT 1 / 0")
                except psycopg.errors.DivisionByZero:
                    pass
        except psycopg.Error as error:
            raise AssertionError(error)
    assert connection.execute("SELECT id, name FROM item ORDER BY id").fetchall() == [(1, "kept"), (2, None)]
    same(connection, "savepoints")


@case
def errors_have_their_classes(connection):
    connection.execute("INSERT INTO strict_item VALUES (1, 'a')")
    try:
        with connection.transaction():
            connection.execute("INSERT INTO strict_item VALUES (1, 'b')")
        raise AssertionError("no error")
    except psycopg.errors.UniqueViolation as error:
        assert error.diag.message_detail == "Key (id)=(1) already exists.", error.diag.message_detail
    try:
        with connection.transaction():
            connection.execute("INSERT INTO item (id) VALUES (NULL)")
        raise AssertionError("no error")
    except psycopg.errors.NotNullViolation as error:
        assert error.diag.column_name == "id", error.diag.column_name


@case
def columns_are_described(connection):
    description = connection.execute("SELECT id, name, tags, n FROM item").description
    assert [(c.name, c.type_code) for c in description] == [("id", 20), ("name", 25), ("tags", 1009), ("n", 1700)]
    assert (description[3].precision, description[3].scale) == (12, 3)


def autocommit():
    """Each statement is a transaction: another connection sees it at once."""
    with psycopg.connect(CONNINFO, autocommit=True) as one, psycopg.connect(CONNINFO, autocommit=True) as other:
        one.execute("INSERT INTO item (id, name) VALUES (-1, 'seen')")
        assert other.execute("SELECT name FROM item WHERE id = -1").fetchone() == ("seen",)
        one.execute("DELETE FROM item WHERE id = -1")
        assert other.execute("SELECT count(*) FROM item").fetchone() == (0,)


def cancel():
    """A statement that waits for a row's lock is cancelled, and the connection goes on."""
    with psycopg.connect(CONNINFO) as holder, psycopg.connect(CONNINFO) as waiter, \
            psycopg.connect(CONNINFO, autocommit=True) as watcher:
        holder.execute("INSERT INTO item (id) VALUES (-2)")
        pid = waiter.info.backend_pid

        def when_it_waits():
            while watcher.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s", (pid,)
                                  ).fetchone()[0] != "Lock":
                pass
            waiter.cancel()

        thread = threading.Thread(target=when_it_waits)
        thread.start()
        try:
            waiter.execute("INSERT INTO item (id) VALUES (-2)")
            raise AssertionError("not cancelled")
        except psycopg.errors.QueryCanceled:
            pass
        thread.join()
        waiter.rollback()
        assert waiter.execute("SELECT count(*) FROM item").fetchone() == (0,)
        holder.rollback()


def report(name, function):
    try:
        function()
        print(f"ok - psycopg: {name}", flush=True)
    except Exception:
        print(f"not ok - psycopg: {name}: " + traceback.format_exc().replace("\n", " | "), flush=True)


def in_transaction(function):
    """Runs a case, then takes all of it back: the next one finds the tables empty."""
    with psycopg.connect(CONNINFO) as connection:
        try:
            function(connection)
        finally:
            connection.rollback()
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (0,), "rolled back"


for function in CASES:
    report(function.__name__.replace("_", " "), lambda: in_transaction(function))
report("autocommit", autocommit)
report("cancel", cancel)
print("done")
