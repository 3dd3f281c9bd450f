# A session of a standby that waits at a store, by either signature, and is in the way
# of what is replayed: it gets its error at once, and replay goes on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $primary = new_server('primary', streaming => 1, settings => <<'SETTINGS');
autovacuum = off
skyvault.store_timeout = 1h
skyvault.store_retries = 100
skyvault.disk_cache_size = 0
SETTINGS
my %server = (v4 => {}, v2 => { signature => 'v2' });
my @signatures = sort keys %server;

sub primary { return $primary->safe_psql('postgres', $_[0]); }

primary('CREATE DATABASE doomed');
install_skyvault($primary, 'doomed');
foreach my $database ('postgres', 'doomed')
{
	foreach my $v (@signatures)
	{
		$primary->safe_psql($database, $s3->create_server($v, server => $server{$v}));
		$primary->safe_psql($database, <<~SQL);
			SELECT skyvault_create_table('kv_$v', server => '$v'), skyvault_create_table('locked_$v', server => '$v');
			SELECT skyvault_put('kv_$v', 'k', 'of $v'), skyvault_put('locked_$v', 'k', 'v');
			SQL
	}
	$primary->safe_psql($database, 'SELECT skyvault_flush()');
}
primary('CREATE TABLE plain AS SELECT n FROM generate_series(1, 100) AS n');
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = 0\nhot_standby_feedback = off\n");
$standby->start;

sub await_replay { $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }

# Sessions of the standby, one for each signature, that wait.
sub waiting
{
	my ($database, $statement) = @_;
	my $hangs = $s3->fault('hang', method => '^GET$', path => '\.sst');
	my @sessions;

	foreach my $v (@signatures)
	{
		push @sessions, session($standby, $database);
		$sessions[-1]->send($statement =~ s/TABLE/$v/r);
		$s3->await_hits($hangs, scalar(@sessions));
		$standby->poll_query_until('postgres', 'SELECT count(*) = 1 FROM skyvault_store_waits WHERE pid = ' . $sessions[-1]->pid) or die;
	}
	return @sessions;
}

# One test each: the session was told, and reads when all is well.
sub told
{
	my ($case, @sessions) = @_;

	foreach my $v (@signatures)
	{
		my $session = shift @sessions;

		like(($session->receive)[1], qr/^ERROR:  40001: canceling statement due to conflict with recovery$/m, "$case, $v: the session is told");
		$s3->clear_faults;
		is(($session->try("SELECT skyvault_get('kv_$v', 'k')"))[0], "of $v", "$case, $v: and reads when all is well");
		$session->quit;
	}
	return $standby->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
}

await_replay();
my @sessions = waiting('postgres', "SELECT value FROM locked_TABLE WHERE key = 'k'");
primary('DROP FOREIGN TABLE locked_v4, locked_v2');
await_replay();
pass('a lock: replay goes on');
told('a lock', @sessions);

@sessions = waiting('postgres', "SELECT skyvault_get('kv_TABLE', 'k')");
primary('DELETE FROM plain');
primary('VACUUM plain');
await_replay();
pass('a snapshot: replay goes on');
told('a snapshot', @sessions);

@sessions = waiting('doomed', "SELECT skyvault_get('kv_TABLE', 'k')");
primary('DROP DATABASE doomed WITH (FORCE)');
await_replay();
pass('a database: replay goes on');
like(($_->await_lost)[1], qr/FATAL:  57P04: terminating connection due to conflict with recovery/, 'a database: a session is told') foreach @sessions;
$_->quit foreach @sessions;
$s3->clear_faults;
unlike(slurp_file($standby->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died of it');

$_->stop foreach $standby, $primary;
done_testing();
