# A random history of writes, some of which expire, transactions, TRUNCATE and DROP,
# flushes, compactions, snapshots, collections of garbage, restarts and deaths, in
# a vault's tables and in plain ones.  Every few steps three sessions compare
# what both answer: the one that writes, one that sees what is committed, and
# one that holds an old snapshot, whose answers must not change either.  Now and
# then, and in the end, the vault is restored from its store alone into another
# database, and has to be what it was.
#
# SKYVAULT_SEED repeats a history, SKYVAULT_STEPS makes it longer.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 1200;
srand($seed);
diag("SKYVAULT_SEED=$seed");

# Whoever reads a table keeps TRUNCATE and DROP waiting: so only "c" and "d" are
# truncated, and the old snapshot looks at "c" only in the end.  It never looks at
# "d", which is dropped and made anew.  "other" only gives workers something to do.
my @tables = qw(a b c d);
my @settled_tables = qw(a b);
my @kept_tables = qw(a b c);

# Where a process dies.  Whoever asks for all of it comes by each of them.
my @points = qw(
  flush-before-upload flush-uploaded flush-locked flush-deleted flush-registered flush-numbered flush-before-commit flush-committed
  compact-claimed compact-planned compact-before-run compact-open-input compact-begin-output compact-end-output
  compact-after-run compact-before-warm compact-before-publish compact-locked compact-removed compact-registered
  compact-numbered compact-before-commit compact-committed export-before-upload export-uploaded export-before-commit
  export-committed snapshot-before-upload snapshot-uploaded snapshot-before-commit snapshot-committed gc-listed
);

# What expires lives for less than ttl_grace: else a compaction between the
# beginning of a transaction and its snapshot might drop what it is yet to see.
my $node = new_server('main', settings => "log_statement = none\nskyvault.ttl_grace = 3\nskyvault.run_size = 64kB\n"
	  . "skyvault.retention = 0\nskyvault.orphan_grace = 0\n");
make_mirror($node, [ @tables, 'other' ]);

# Where a vault's table and its mirror answer differently; nothing if nowhere.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION scan_differs(rel text, low text, high text, max_rows bigint, reverse boolean)
	RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
DECLARE
	direction text := CASE WHEN reverse THEN 'DESC' ELSE 'ASC' END;
	scanned text;
	selected text;
	expected text;
BEGIN
	EXECUTE 'SELECT string_agg(key || ''='' || md5(value), '','') FROM skyvault_scan($1::regclass, $2, $3, $4, $5)'
		INTO scanned USING rel, low, high, max_rows, reverse;
	EXECUTE format('SELECT string_agg(key || ''='' || md5(value), '','') FROM (SELECT * FROM %I'
				   ' WHERE key >= coalesce($1, '''') AND key < coalesce($2, ''~'') ORDER BY key %s LIMIT $3) AS s',
				   rel, direction)
		INTO selected USING low, high, max_rows;
	EXECUTE format('SELECT string_agg(key || ''='' || md5(value), '','') FROM (SELECT * FROM %s AS m'
				   ' WHERE value IS NOT NULL AND key >= coalesce($1, '''') AND key < coalesce($2, ''~'')'
				   ' ORDER BY key %s LIMIT $3) AS s', mirror_rows(rel), direction)
		INTO expected USING low, high, max_rows;
	IF scanned IS DISTINCT FROM expected THEN
		RETURN NEXT format('skyvault_scan(%L, %L, %L, %L, %L)', rel, low, high, max_rows, reverse);
	END IF;
	IF selected IS DISTINCT FROM expected THEN
		RETURN NEXT format('SELECT from %s between %L and %L, %s, limit %s', rel, low, high, direction, max_rows);
	END IF;
END $$;

CREATE FUNCTION multi_get_differs(rels text[], keys text[]) RETURNS SETOF text LANGUAGE plpgsql STABLE AS $$
DECLARE
	n int := 0;
	got record;
	expected text;
BEGIN
	FOR got IN SELECT * FROM skyvault_multi_get(rels::regclass[], keys) LOOP
		n := n + 1;
		EXECUTE format('SELECT value FROM %s AS m WHERE key = $1', mirror_rows(rels[n])) INTO expected USING keys[n];
		IF got.value IS DISTINCT FROM expected OR got.key <> keys[n] OR got.rel <> rels[n]::regclass THEN
			RETURN NEXT format('skyvault_multi_get, key %s of %s at position %s', keys[n], rels[n], n);
		END IF;
	END LOOP;
	IF n <> cardinality(keys) THEN
		RETURN NEXT format('skyvault_multi_get has %s answers to %s keys', n, cardinality(keys));
	END IF;
END $$;

CREATE FUNCTION table_digest(rel text) RETURNS text LANGUAGE sql STABLE
	RETURN (SELECT count(*) || ' ' || coalesce(md5(string_agg(key || value, ',')), '') FROM skyvault_scan(rel::regclass));
SQL

my ($writer, $watcher) = (session($node), session($node));
my $old;    # holds a snapshot, if defined
my $old_digest;
my @history;
my @savepoints;
my $in_transaction = 0;
my $old_answers = 0;
my $restores = 0;
my $deaths = 0;
my $few_runs = 0;       # flushes may be merged at once
my $may_conflict = 0;    # something was merged since the transaction began
my $conflicts = 0;

sub pick { return $_[ int(rand(@_)) ]; }
sub random_table { return pick(@tables); }
sub random_key { return sprintf('k%03d', int(rand(200))); }
sub quoted_array { return 'ARRAY[' . join(',', map { "'$_'" } @_) . ']'; }

sub random_value
{
	my $text = 'v' . int(rand(1e9));

	return rand() < 0.05 ? $text x (200 + int(rand(1500))) : $text;
}

sub range_condition
{
	my ($low, $high) = sort(random_key(), random_key());

	return "key >= '$low' AND key < '$high'";
}

# Statements of the writing session.
sub do_write
{
	my ($sql) = @_;

	push @history, length($sql) > 300 ? substr($sql, 0, 300) . '...' : $sql;
	return $writer->run($sql);
}

# The foreign table and the mirror must change the same number of rows: at the same
# time, by which what has expired is judged.
sub do_both
{
	my ($foreign, $plain) = @_;
	my ($changed, $expected) = split(/\|/,
		do_write("WITH f AS ($foreign RETURNING 1), p AS ($plain RETURNING 1)"
			  . " SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM p)"));

	return $changed == $expected ? () : ("$foreign changed $changed rows, not $expected");
}

my $is_live = 'value IS NOT NULL AND (expires_at IS NULL OR expires_at > mirror_now())';

sub put { do_write(sprintf("SELECT mirror_put('%s', '%s', '%s')", random_table(), random_key(), random_value())); return; }
sub put_expiring
{
	do_write(sprintf("SELECT mirror_put('%s', '%s', '%s', '%d ms')",
		random_table(), random_key(), random_value(), 10 + int(rand(2000))));
	return;
}

sub delete_key { do_write(sprintf("SELECT mirror_delete('%s', '%s')", random_table(), random_key())); return; }

# With keys that occur twice.
sub multi_put
{
	my @keys = map { random_key() } 1 .. 1 + int(rand(40));
	my @values = map { random_value() } @keys;

	do_write(sprintf("SELECT mirror_multi_put('%s', %s, %s)", random_table(), quoted_array(@keys), quoted_array(@values)));
	return;
}

sub insert_rows
{
	my $table = random_table();
	my %rows = map { random_key() => random_value() } 1 .. 1 + int(rand(10));
	my $values = join(', ', map { "('$_', '$rows{$_}')" } sort keys %rows);

	return do_both("INSERT INTO $table VALUES $values",
		"INSERT INTO m_$table VALUES $values ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = NULL");
}

# In bulk, with keys that occur twice, sorted or not.
sub load_rows
{
	my $table = random_table();
	my @keys = map { random_key() } 1 .. 1 + int(rand(60));
	@keys = sort @keys if rand() < 0.3;
	my $rows = sprintf("unnest(%s, %s) WITH ORDINALITY AS u(k, v, n)", quoted_array(@keys), quoted_array(map { random_value() } @keys));

	do_write("SET skyvault.bulk_threshold = 0; INSERT INTO $table SELECT k, v FROM $rows;"
		  . " INSERT INTO m_$table SELECT DISTINCT ON (k COLLATE \"C\") k, v FROM $rows ORDER BY k COLLATE \"C\", n DESC"
		  . ' ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = NULL; RESET skyvault.bulk_threshold');
	return;
}

sub update_rows
{
	my $table = random_table();
	my $condition = rand() < 0.5 ? range_condition() : sprintf("key = '%s'", random_key());

	return do_both("UPDATE $table SET value = left(value, 100) || '+' WHERE $condition",
		"UPDATE m_$table SET value = left(value, 100) || '+', expires_at = NULL WHERE $condition AND $is_live");
}

sub delete_rows
{
	my $table = random_table();
	my $condition = range_condition() . " AND key LIKE '%" . int(rand(10)) . "'";

	return do_both("DELETE FROM $table WHERE $condition",
		"UPDATE m_$table SET value = NULL WHERE $condition AND $is_live");
}

sub truncate_table
{
	my $table = pick('c', 'd');

	do_write("TRUNCATE $table; UPDATE m_$table SET value = NULL");
	return;
}

sub drop_table
{
	do_write("DROP FOREIGN TABLE d; SELECT skyvault_create_table('d'); UPDATE m_d SET value = NULL");
	return;
}

sub begin
{
	return if $in_transaction;
	do_write('BEGIN ISOLATION LEVEL ' . pick('READ COMMITTED', 'REPEATABLE READ') . '; SELECT FROM pg_class LIMIT 0');
	$in_transaction = 1;
	$may_conflict = 0;
	return;
}

sub end_transaction
{
	my ($how) = @_;

	return if !$in_transaction;
	do_write($how);
	$in_transaction = 0;
	@savepoints = ();
	return;
}

sub savepoint
{
	return if !$in_transaction;
	push @savepoints, 's' . @savepoints;
	do_write("SAVEPOINT $savepoints[-1]");
	return;
}

sub end_savepoint
{
	my ($how) = @_;

	return if !@savepoints;
	my $n = int(rand(@savepoints));
	do_write("$how $savepoints[$n]");
	$#savepoints = $how =~ /RELEASE/ ? $n - 1 : $n;
	return;
}

sub flush
{
	push @history, 'flush';
	$may_conflict = 1 if $few_runs;
	$watcher->run('SELECT skyvault_flush()');
	return;
}

# Who compacts a table waits for a TRUNCATE of it that is not committed.
sub compact
{
	my $table = pick($in_transaction ? @settled_tables : @tables);
	my $full = pick('true', 'false');

	push @history, "compact $table, $full";
	$may_conflict = 1;
	$watcher->run("SELECT skyvault_compact('$table', $full)");
	return;
}

# Each has to leave alone what an old snapshot or a kept one still needs.
sub collect
{
	push @history, 'collect';
	$watcher->run("SELECT count(*) FROM skyvault_gc(sweep => true)");
	return;
}

sub export_log
{
	push @history, 'export';
	$watcher->run('SELECT skyvault_export()');
	return;
}

# Which flushes.
sub snapshot_in_store
{
	push @history, 'snapshot in the store';
	$may_conflict = 1 if $few_runs;
	$watcher->run('SELECT skyvault_snapshot()');
	return;
}

# Later flushes are compacted without being asked for, or not any more.
sub change_thresholds
{
	my $few = rand() < 0.5;

	$few_runs = 1;    # workers may see the old ones for a while
	push @history, 'thresholds ' . ($few ? 'low' : 'high');
	$node->append_conf('postgresql.conf', $few ?
		"skyvault.wal_runs = 3\nskyvault.buffer_runs = 2\nskyvault.level1_size = 64kB\nskyvault.level_ratio = 2\n" :
		"skyvault.wal_runs = 1000\nskyvault.buffer_runs = 1000\nskyvault.level1_size = 1000GB\nskyvault.level_ratio = 10\n");
	$node->reload;
	return;
}

sub take_snapshot
{
	return if defined $old;
	push @history, 'old snapshot taken';
	$old = session($node);
	$old_digest = $old->run('BEGIN ISOLATION LEVEL REPEATABLE READ; ' . digest_sql(@settled_tables));
	return;
}

sub release_snapshot
{
	return if !defined $old || $in_transaction;
	push @history, 'old snapshot released';
	my @differences = old_differs(@kept_tables);
	$old->quit;
	undef $old;
	return @differences;
}

# Also those that were lost.
sub end_sessions
{
	$_->quit foreach grep { defined } $writer, $watcher, $old;
	undef $old;
	$in_transaction = 0;
	@savepoints = ();
	return;
}

sub begin_sessions
{
	($writer, $watcher) = (session($node), session($node));
	return;
}

sub restart_server
{
	my $mode = pick('fast', 'immediate');

	push @history, "restart, $mode";
	end_sessions();
	$node->stop($mode);
	$node->start;
	begin_sessions();
	return;
}

# The first who comes to a point dies by kill -9, and with it the server.
sub die_somewhere
{
	my $point = pick(@points);

	push @history, "death at $point";
	$few_runs = 1;
	$deaths++;
	$node->safe_psql('postgres', "SELECT skyvault_put('other', 'k' || generate_series(1, 3), 'v'); SELECT stop_point_arm('$point', 'kill')");
	my (undef, undef, $said) = $node->psql('postgres',
		"SELECT skyvault_flush(); SELECT skyvault_compact('other', true); SELECT skyvault_export();"
		  . ' SELECT skyvault_snapshot(); SELECT count(*) FROM skyvault_gc(sweep => true)');
	return ("nobody died at $point: $said") if $said !~ /server closed the connection|terminating connection|connection to server/;
	end_sessions();
	await_server($node) or return ('the server does not come back');
	begin_sessions();
	return;
}

# What a restore brings that is not as it was.  Of what expires only the value
# counts, if it is there.
sub restore_differs
{
	my @differences;

	$node->safe_psql('postgres', 'SELECT skyvault_flush(); SELECT skyvault_export();'
		  . " SELECT skyvault_compact('a', true); SELECT count(*) FROM skyvault_gc(sweep => true)");
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	$node->safe_psql('restored', 'CREATE EXTENSION skyvault');
	$node->safe_psql('restored', "SELECT skyvault_restore('skyvault')");
	foreach my $table (@tables)
	{
		my %restored = map { split(/=/) }
		  split(/\n/, $node->safe_psql('restored', "SELECT key || '=' || md5(value) FROM skyvault_scan('$table')"));

		foreach (split(/\n/, $node->safe_psql('postgres',
				"SELECT key, md5(value), expires_at IS NOT NULL FROM m_$table WHERE value IS NOT NULL")))
		{
			my ($key, $value, $expires) = split(/\|/);
			my $got = delete($restored{$key}) // 'nothing';

			push @differences, "restored: key $key of $table is $got, not $value"
			  if $got ne $value && !($expires eq 't' && $got eq 'nothing');
		}
		push @differences, map { "restored: key $_ of $table is there" } keys %restored;
	}
	$node->safe_psql('postgres', 'DROP DATABASE restored');
	$restores++;
	return @differences;
}

# Who flushes leaves out what a transaction has locked.
sub restore
{
	return if $in_transaction;
	push @history, 'restore';
	$may_conflict = 1;
	return restore_differs();
}

sub digest_sql { return join('; ', map { "SELECT table_digest('$_')" } @_); }

# Random scans and multi_gets, and everything.
sub comparison_sql
{
	my (@of) = @_;
	my @rels = map { pick(@of) } 1 .. 30;
	my @sql = sprintf('SELECT * FROM multi_get_differs(%s, %s)', quoted_array(@rels),
		quoted_array(map { random_key() } @rels));

	foreach my $rel (@of)
	{
		my ($low, $high) = map { rand() < 0.2 ? 'NULL' : "'$_'" } sort(random_key(), random_key());
		my $limit = rand() < 0.5 ? 'NULL' : int(rand(50));

		push @sql, sprintf("SELECT * FROM scan_differs('$rel', $low, $high, $limit, %s)", pick('true', 'false'));
		push @sql, "SELECT * FROM differences('$rel')";
	}
	return join('; ', @sql);
}

sub old_differs
{
	my (@of) = @_;
	my @differences = split(/\n/, $old->run(comparison_sql(@of)));

	$old_answers++;
	push @differences, 'the answers have changed' if $old->run(digest_sql(@settled_tables)) ne $old_digest;
	return map { "in the old snapshot: $_" } @differences;
}

# While a TRUNCATE is not committed, others wait for it: they leave "c" out.
sub compare
{
	my @differences = map { "for the writer: $_" } split(/\n/, $writer->run(comparison_sql(@tables)));

	push @differences, map { "for others: $_" }
	  split(/\n/, $watcher->run(comparison_sql($in_transaction ? @settled_tables : @tables)));
	push @differences, old_differs(@settled_tables) if defined $old;
	return @differences;
}

my @weighted = (
	[ 16, \&put ], [ 4, \&put_expiring ], [ 12, \&multi_put ], [ 10, \&delete_key ],
	[ 6, \&insert_rows ], [ 6, \&load_rows ], [ 6, \&update_rows ], [ 4, \&delete_rows ], [ 2, \&truncate_table ], [ 1, \&drop_table ],
	[ 7, \&begin ], [ 6, sub { return end_transaction('COMMIT'); } ], [ 3, sub { return end_transaction('ROLLBACK'); } ],
	[ 6, \&savepoint ], [ 5, sub { return end_savepoint('ROLLBACK TO'); } ], [ 2, sub { return end_savepoint('RELEASE'); } ],
	[ 8, \&flush ], [ 3, \&compact ], [ 3, \&collect ], [ 2, \&export_log ], [ 1, \&snapshot_in_store ],
	[ 0.5, \&change_thresholds ], [ 5, \&take_snapshot ], [ 2, \&release_snapshot ], [ 0.5, \&restart_server ],
	[ 1, \&die_somewhere ], [ 0.3, \&restore ]);
my $total = 0;
$total += $_->[0] foreach @weighted;

sub random_operation
{
	my $at = rand($total);

	foreach (@weighted)
	{
		return $_->[1] if ($at -= $_->[0]) < 0;
	}
	return $weighted[-1][1];
}

# Returns the first differences, if any.
sub run_history
{
	take_snapshot();
	foreach my $step (1 .. $steps)
	{
		my @differences = eval { random_operation()->() };

		if ($@ =~ /ERROR:  40001:/ && $in_transaction && $may_conflict)
		{
			# Flushed and merged since the snapshot: whose value it is cannot be told any more.
			$conflicts++;
			end_transaction('ROLLBACK');
		}
		elsif ($@)
		{
			@differences = ("error: $@");
		}
		@differences = eval { compare() } if !@differences && $step % 5 == 0;
		@differences = ("error: $@") if $@;
		return @differences if @differences;
	}
	end_transaction('COMMIT');
	return compare(), release_snapshot();
}

my @differences = run_history();
note("$conflicts serialization failures, $deaths deaths, $restores restores");
is(join("\n", @differences), '', "a random history of $steps steps: all sessions get the plain tables' answers")
  or diag(join("\n", "SKYVAULT_SEED=$seed, after:", @history[ -(@history < 60 ? @history : 60) .. -1 ]));
end_sessions();
is(join("\n", restore_differs()), '', 'the vault is restored as it was') or diag("SKYVAULT_SEED=$seed");
is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault_verify_vault('skyvault', true)"), 0, 'nothing is wrong with the store')
  or diag($node->safe_psql('postgres', "SELECT * FROM skyvault_verify_vault('skyvault', true)"));
cmp_ok($old_answers, '>', 10, 'old snapshots were asked again and again');
# How many are left is chance: compactions merge them.
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE kind = 'flush' AND state = 'done' AND entries > 0"), '>', 3,
	'the history made runs');
is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE state = 'failed' AND error NOT LIKE 'the worker ended%'"
	. " AND sqlstate <> '40001'"), 0, 'no flush or compaction has failed');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE kind = 'compact' AND state = 'done'"), '>', 3,
	'the history had compactions');

done_testing();
