/*
 * What a Java program does with a foreign table, by way of the JDBC driver.
 *
 *     java -cp postgresql.jar UseJdbc.java URL
 *
 * Works on the foreign table "item" and its twin "item_heap", a plain table with
 * the same columns.  Prints a line "ok - NAME" or "not ok - NAME: WHY" for each
 * thing tried, and "done" at the end.
 */
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;
import org.postgresql.jdbc.PreferQueryMode;

public class UseJdbc {
	interface Case {
		void run(Connection connection) throws Exception;
	}

	static final String[] TABLES = {"item", "item_heap"};
	static String url;

	static void check(boolean good, String what) {
		if (!good)
			throw new AssertionError(what);
	}

	static void checkEqual(Object got, Object expected, String what) {
		check(expected.equals(got), what + ": " + got + " instead of " + expected);
	}

	/* The first column of all rows, as text. */
	static List<String> column(Connection connection, String query) throws SQLException {
		List<String> values = new ArrayList<>();

		try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(query)) {
			while (rows.next())
				values.add(rows.getString(1));
		}
		return values;
	}

	static void execute(Connection connection, String sql) throws SQLException {
		try (Statement statement = connection.createStatement()) {
			statement.execute(sql);
		}
	}

	static void same(Connection connection, String what) throws SQLException {
		checkEqual(column(connection, "SELECT count(*) FROM ((TABLE item EXCEPT ALL TABLE item_heap) UNION ALL"
						  + " (TABLE item_heap EXCEPT ALL TABLE item)) AS d").get(0), "0", what + ": rows that differ");
	}

	static void fill(Connection connection, int rows) throws SQLException {
		execute(connection, "INSERT INTO item (id, name) SELECT n, 'n' || n FROM generate_series(1, " + rows + ") AS n");
	}

	/* With another connection, of which the URL has these parameters; rolled back. */
	static void with(String parameters, Case what) throws Exception {
		try (Connection connection = DriverManager.getConnection(url + parameters)) {
			connection.setAutoCommit(false);
			try {
				what.run(connection);
			} finally {
				connection.rollback();
			}
			checkEqual(column(connection, "SELECT count(*) FROM item").get(0), "0", "rows after the rollback");
		}
	}

	static void report(String name, String parameters, Case what) {
		try {
			with(parameters, what);
			System.out.println("ok - JDBC: " + name);
		} catch (Throwable error) {
			System.out.println("not ok - JDBC: " + name + ": " + String.valueOf(error).replace('\n', '|'));
		}
	}

	/* A statement that is executed often enough to be prepared, then to have a generic plan. */
	static void preparedStatements(Connection connection) throws Exception {
		fill(connection, 2000);
		try (PreparedStatement byKey = connection.prepareStatement("SELECT name FROM item WHERE id = ?");
			 PreparedStatement range = connection.prepareStatement("SELECT count(*) FROM item WHERE id >= ? AND id < ?");
			 PreparedStatement several = connection.prepareStatement("SELECT id FROM item WHERE id = ANY (?) ORDER BY id");
			 PreparedStatement update = connection.prepareStatement("UPDATE item SET name = ? WHERE id = ?")) {
			byKey.unwrap(PGStatement.class).setPrepareThreshold(2);
			for (int n = 1; n <= 20; n++) {
				byKey.setLong(1, n);
				try (ResultSet rows = byKey.executeQuery()) {
					check(rows.next() && rows.getString(1).equals("n" + n) && !rows.next(), "key " + n);
				}
				range.setLong(1, n);
				range.setInt(2, n + 10);
				try (ResultSet rows = range.executeQuery()) {
					check(rows.next() && rows.getInt(1) == 10, "range " + n);
				}
				several.setArray(1, connection.createArrayOf("int8", new Long[] {(long) n, 5L * n, (long) -n}));
				try (ResultSet rows = several.executeQuery()) {
					check(rows.next() && rows.getLong(1) == n && rows.next() && rows.getLong(1) == 5L * n && !rows.next(), "array " + n);
				}
				update.setString(1, "u" + n);
				update.setLong(2, n + 1000);
				checkEqual(update.executeUpdate(), 1, "rows updated");
			}
			check(byKey.unwrap(PGStatement.class).isUseServerPrepare(), "it is prepared");
		}
		check(Integer.parseInt(column(connection, "SELECT sum(generic_plans) FROM pg_prepared_statements").get(0)) > 0, "there are generic plans");
	}

	static void allTypes(Connection connection) throws Exception {
		OffsetDateTime at = OffsetDateTime.parse("2026-02-03T04:05:06.789Z");
		/* The driver cannot send bytes in the simple protocol. */
		byte[] raw = connection.unwrap(PGConnection.class).getPreferQueryMode() == PreferQueryMode.SIMPLE ? null : new byte[] {1, 0, -1};

		for (String table : TABLES) {
			try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table
					+ " (id, name, tags, vec, at, doc, n, raw) VALUES (?, ?, ?, ?, ?, ?::jsonb, ?, ?)")) {
				for (int n = 1; n <= 10; n++) {
					insert.setLong(1, n);
					insert.setString(2, "näme " + n);
					insert.setArray(3, connection.createArrayOf("text", new String[] {"a,b", null, "t" + n}));
					insert.setArray(4, connection.createArrayOf("float8", new Double[] {0.25 * n, null}));
					insert.setObject(5, at.plusDays(n));
					insert.setString(6, "{\"n\": " + n + "}");
					insert.setBigDecimal(7, new BigDecimal("12.5").multiply(new BigDecimal(n)));
					if (raw != null)
						insert.setBytes(8, raw);
					else
						insert.setNull(8, Types.BINARY);
					insert.executeUpdate();
				}
			}
			try (PreparedStatement select = connection.prepareStatement("SELECT * FROM " + table + " WHERE id = ?")) {
				for (int n = 1; n <= 10; n++) {
					select.setLong(1, n);
					try (ResultSet row = select.executeQuery()) {
						check(row.next(), "there is row " + n);
						checkEqual(row.getString("name"), "näme " + n, "text");
						checkEqual(((String[]) row.getArray("tags").getArray())[2], "t" + n, "array of text");
						checkEqual(((Double[]) row.getArray("vec").getArray())[0], 0.25 * n, "array of float8");
						checkEqual(row.getObject("at", OffsetDateTime.class).toInstant(), at.plusDays(n).toInstant(), "time");
						check(row.getBigDecimal("n").compareTo(new BigDecimal("12.5").multiply(new BigDecimal(n))) == 0, "numeric");
						check(Arrays.equals(row.getBytes("raw"), raw), "bytes");
					}
				}
			}
		}
		same(connection, "types");
	}

	static void batches(Connection connection) throws Exception {
		for (String table : TABLES) {
			try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + table + " (id, name) VALUES (?, ?)")) {
				for (int n = 0; n < 5000; n++) {
					insert.setLong(1, n * 7 % 5003);
					insert.setString(2, "batch " + n);
					insert.addBatch();
				}
				checkEqual(insert.executeBatch().length, 5000, "rows of the batch");
			}
			try (PreparedStatement delete = connection.prepareStatement("DELETE FROM " + table + " WHERE id = ?")) {
				for (int n = 0; n < 100; n++) {
					delete.setLong(1, n * 2);
					delete.addBatch();
				}
				delete.executeBatch();
			}
		}
		same(connection, "batches");
		Savepoint before = connection.setSavepoint();
		try (PreparedStatement insert = connection.prepareStatement("INSERT INTO strict_item VALUES (?, 'x')")) {
			for (int n : new int[] {1, 2, 1}) {
				insert.setLong(1, n);
				insert.addBatch();
			}
			insert.executeBatch();
			throw new AssertionError("a key twice in a batch of a strict table");
		} catch (BatchUpdateException error) {
			checkEqual(error.getNextException().getSQLState(), "23505", "its state");
		}
		connection.rollback(before);
		checkEqual(column(connection, "SELECT count(*) FROM strict_item").get(0), "0", "rows of the batch that failed");
		same(connection, "after a batch that failed");
	}

	static void returnedKeys(Connection connection) throws Exception {
		try (PreparedStatement insert = connection.prepareStatement("INSERT INTO item (id, name) VALUES (?, ?)", new String[] {"id", "name"})) {
			insert.setLong(1, 42);
			insert.setString(2, "x");
			checkEqual(insert.executeUpdate(), 1, "rows inserted");
			ResultSet keys = insert.getGeneratedKeys();
			check(keys.next() && keys.getLong(1) == 42 && keys.getString(2).equals("x"), "the key");
		}
	}

	/* Rows come some at a time; what is changed meanwhile is not seen. */
	static void cursors(Connection connection) throws Exception {
		fill(connection, 5000);
		try (PreparedStatement all = connection.prepareStatement("SELECT id FROM item ORDER BY id")) {
			all.setFetchSize(100);
			try (ResultSet rows = all.executeQuery()) {
				for (int n = 1; n <= 5000; n++) {
					check(rows.next() && rows.getLong(1) == n, "row " + n);
					if (n == 150)
						execute(connection, "DELETE FROM item WHERE id > 1000");
				}
				check(!rows.next(), "the end");
			}
		}
		checkEqual(column(connection, "SELECT count(*) FROM item").get(0), "1000", "rows left");
		execute(connection, "DELETE FROM item WHERE id > 3");
		try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
			 ResultSet rows = statement.executeQuery("SELECT id FROM item ORDER BY id DESC")) {
			check(rows.last() && rows.getLong(1) == 1 && rows.first() && rows.getLong(1) == 3 && rows.absolute(2) && rows.getLong(1) == 2, "scrolling");
		}
	}

	static void copies(Connection connection) throws Exception {
		CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
		StringBuilder rows = new StringBuilder();
		String[] out = new String[2];

		for (int n = 0; n < 20000; n++)
			rows.append(n * 11L % 20011).append("\tname ").append(n).append("\t{a,NULL}\n");
		for (int i = 0; i < 2; i++) {
			StringWriter writer = new StringWriter();

			checkEqual(copy.copyIn("COPY " + TABLES[i] + " (id, name, tags) FROM STDIN", new StringReader(rows.toString())), 20000L, "rows copied in");
			checkEqual(copy.copyOut("COPY (SELECT * FROM " + TABLES[i] + " ORDER BY id) TO STDOUT (FORMAT csv)", writer), 20000L, "rows copied out");
			out[i] = writer.toString();
		}
		checkEqual(out[0], out[1], "what was copied out");
		same(connection, "copies");
	}

	static void savepoints(Connection connection) throws Exception {
		for (String table : TABLES) {
			execute(connection, "INSERT INTO " + table + " (id) VALUES (1)");
			Savepoint first = connection.setSavepoint("first");
			execute(connection, "DELETE FROM " + table);
			Savepoint second = connection.setSavepoint();
			try {
				execute(connection, "SELECT 1 / 0");
				throw new AssertionError("no error");
			} catch (SQLException error) {
				checkEqual(error.getSQLState(), "22012", "its state");
			}
			connection.rollback(second);
			connection.rollback(first);
			execute(connection, "UPDATE " + table + " SET name = 'kept' WHERE id = 1");
			connection.releaseSavepoint(first);
		}
		checkEqual(column(connection, "SELECT name FROM item"), List.of("kept"), "rows");
		same(connection, "savepoints");
	}

	static void metadata(Connection connection) throws Exception {
		DatabaseMetaData data = connection.getMetaData();

		try (ResultSet tables = data.getTables(null, "public", "item%", new String[] {"FOREIGN TABLE"})) {
			check(tables.next(), "there is a foreign table");
			checkEqual(tables.getString("TABLE_NAME") + " " + tables.getString("TABLE_TYPE"), "item FOREIGN TABLE", "the table");
			check(!tables.next(), "and no other");
		}
		List<String> columns = new ArrayList<>();
		try (ResultSet rows = data.getColumns(null, "public", "item", null)) {
			while (rows.next())
				columns.add(rows.getString("COLUMN_NAME") + " " + rows.getString("TYPE_NAME") + " " + rows.getString("IS_NULLABLE"));
		}
		checkEqual(columns, List.of("id int8 NO", "name text YES", "tags _text YES", "vec _float8 YES", "at timestamptz YES", "doc jsonb YES",
					"n numeric YES", "raw bytea YES"), "columns");
		try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT id, n, name FROM item")) {
			ResultSetMetaData result = rows.getMetaData();

			checkEqual(result.getColumnType(1), Types.BIGINT, "type of id");
			checkEqual(result.getPrecision(2) + " " + result.getScale(2), "12 3", "precision of n");
			checkEqual(result.getTableName(3), "item", "table of name");
			checkEqual(result.isNullable(1), ResultSetMetaData.columnNoNulls, "id may be null");
		}
	}

	public static void main(String[] arguments) {
		url = arguments[0];
		report("prepared statements", "&prepareThreshold=2", UseJdbc::preparedStatements);
		report("types, as text", "&prepareThreshold=0", UseJdbc::allTypes);
		report("types, in binary", "&prepareThreshold=1&binaryTransfer=true", UseJdbc::allTypes);
		report("types, in the simple protocol", "&preferQueryMode=simple", UseJdbc::allTypes);
		report("batches", "", UseJdbc::batches);
		report("batches, rewritten to rows of one INSERT", "&reWriteBatchedInserts=true", UseJdbc::batches);
		report("keys of inserted rows", "", UseJdbc::returnedKeys);
		report("cursors", "", UseJdbc::cursors);
		report("COPY", "", UseJdbc::copies);
		report("savepoints", "", UseJdbc::savepoints);
		report("statements that save themselves", "&autosave=always", UseJdbc::savepoints);
		report("metadata", "", UseJdbc::metadata);
		System.out.println("done");
	}
}
