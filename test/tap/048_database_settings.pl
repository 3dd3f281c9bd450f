# What ALTER DATABASE sets is for people: whatever it is, workers flush, compact,
# export, make snapshots and collect, and what they have written can be restored.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "skyvault.retention = 0\n");
my $server = "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:" . PostgreSQL::Test::Utils::tempdir() . "')";

# Those that would stop these sessions as well are set back for them; what is only about texts is not.
my %for_all = (
	bytea_output => 'escape', datestyle => 'SQL, DMY', extra_float_digits => '-15', intervalstyle => 'sql_standard',
	quote_all_identifiers => 'on', timezone => 'Asia/Kolkata', transform_null_equals => 'on');
my %for_workers = (
	default_transaction_deferrable => [ 'on', 'off' ], default_transaction_isolation => [ 'serializable', 'read\\ committed' ],
	default_transaction_read_only => [ 'on', 'off' ], lock_timeout => [ '1ms', 0 ], role => [ 'nobody', 'none' ],
	search_path => [ 'trap, pg_catalog', 'public' ], session_replication_role => [ 'replica', 'origin' ],
	standard_conforming_strings => [ 'off', 'on' ], statement_timeout => [ '1ms', 0 ], transaction_timeout => [ '1ms', 0 ]);
my $has_transaction_timeout =
  $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'");
delete $for_workers{transaction_timeout} unless $has_transaction_timeout;

$node->safe_psql('postgres', 'CREATE ROLE nobody; CREATE DATABASE work');
install_skyvault($node, 'work');
$node->safe_psql('work', $server);
make_mirror($node, ['kv'], 'shared', 'work');

# What a statement would find that does not say which "<>" and "=" it means.
$node->safe_psql('work', <<'SQL');
CREATE SCHEMA trap;
CREATE FUNCTION trap.spring(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.spring(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.spring(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.spring);
CREATE OPERATOR trap.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.spring);
CREATE OPERATOR trap.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = trap.spring);
CREATE OPERATOR trap.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = trap.spring);
SQL
my $scheduler = scheduler_pid($node, 'work');
$node->safe_psql('postgres', join('', map { "ALTER DATABASE work SET $_ = $for_workers{$_}[0];" } grep { $_ eq 'search_path' } keys %for_workers)
	. join('', map { "ALTER DATABASE work SET $_ = '$for_workers{$_}[0]';" } grep { $_ ne 'search_path' } keys %for_workers)
	. join('', map { "ALTER DATABASE work SET $_ = '$for_all{$_}';" } keys %for_all));

{
	local $ENV{PGOPTIONS} = join(' ', map { "-c $_=$for_workers{$_}[1]" } keys %for_workers);

	$node->safe_psql('work', "SELECT pg_terminate_backend($scheduler)") if $scheduler ne '';
	ok(await_new_process($node, 'skyvault scheduler', $scheduler || 0, 'work'), 'a scheduler comes, for which they are set');
	foreach my $round (1 .. 3)
	{
		$node->safe_psql('work', "SELECT mirror_put('kv', E'key\\\\' || n, 'round $round', n * interval '1 day') FROM generate_series($round, 20) AS n;"
			. "SELECT mirror_delete('kv', E'key\\\\' || 10 + $round)");
		cmp_ok($node->safe_psql('work', "SELECT skyvault_flush('shared')"), '>', 0, "round $round: flushed");
		$node->safe_psql('work', 'TRUNCATE kv, m_kv') if $round == 1;
	}
	$node->safe_psql('work', "SELECT skyvault_compact('kv', true)");
	is($node->safe_psql('work', 'SELECT count(*) FROM skyvault.run'), 1, 'compacted');
	cmp_ok($node->safe_psql('work', 'SELECT skyvault_export()'), '>', 3, 'exported');
	is($node->safe_psql('work', "SELECT skyvault_snapshot(vault => 'shared')"), 1, 'a snapshot');
	is($node->safe_psql('work', "SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'shared') WHERE held_by IS NULL"), 3, 'collected');
	is($node->safe_psql('work', "SELECT * FROM differences('kv')"), '', 'nothing is lost');
	is($node->safe_psql('work', "SELECT string_agg(kind || ': ' || error, '; ') FROM skyvault.job WHERE state = 'failed'"), '', 'no job has failed');
}

my $content = "SELECT string_agg(key || value, ' ' ORDER BY key COLLATE \"C\") FROM kv";
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('postgres', join('', map { "ALTER DATABASE restored SET $_ = '$for_all{$_}';" } keys %for_all));
$node->safe_psql('restored', "CREATE EXTENSION skyvault; $server; SELECT skyvault_restore('shared')");
is($node->safe_psql('restored', $content),
	do { local $ENV{PGOPTIONS} = join(' ', map { "-c $_=$for_workers{$_}[1]" } keys %for_workers); $node->safe_psql('work', $content) },
	'restored');

$node->stop;
done_testing();
