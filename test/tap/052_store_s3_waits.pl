# A store that accepts and never answers: who waits for it is seen, can be
# cancelled and ended, is in nobody's way, and goes on when the store is back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->private;
my $node = new_server('main', settings => "skyvault.store_timeout = 1h\nskyvault.disk_cache_size = 0\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# DROP DATABASE waits until every process has taken part in a barrier.
sub drop_another_database
{
	my $session = session($node);

	$session->run('CREATE DATABASE dropped');
	$session->run('DROP DATABASE dropped');
	return $session->quit;
}

# Waits until a query, or a worker, waits for the store.
sub await_waits
{
	my ($caller) = @_;

	return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM skyvault_store_waits"
		. " WHERE server = 'vault' AND (caller = 'foreground') = " . ($caller eq 'query' ? 'true' : 'false'));
}

sql($s3->create_server('vault'));
make_mirror($node, ['kv'], 'vault');
sql(q{
	SELECT skyvault_create_table('near');
	SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg('v' || n)) FROM generate_series(1, 1000) AS n;
	SELECT skyvault_flush();
	SELECT skyvault_clear_cache();
});

$s3->signal('STOP');

# ------------------------------------------------------------------- a query
my $session = session($node);
my $pid = $session->pid;
$session->send(q{SELECT skyvault_get('kv', 'k1')});
ok(await_waits('query'), 'a query that waits is in skyvault_store_waits');
is(sql(q{SELECT pid, a.datname, server, w.since > a.query_start FROM skyvault_store_waits AS w JOIN pg_stat_activity AS a USING (pid)
		JOIN pg_database AS d ON d.oid = w.database AND d.datname = a.datname}) =~ s/\Q$pid\E/PID/r,
	'PID|postgres|vault|t', 'with its process, database, server, and since when');
my $since = sql('SELECT since FROM skyvault_store_waits');
is(sql('SELECT pg_sleep(0.3); SELECT since FROM skyvault_store_waits') =~ s/^\n//r, $since, 'which stays');

# A statement that waits takes part in barriers: another database can be dropped.
drop_another_database();
pass('DROP DATABASE of another database does not wait for it');
is(sql('SELECT count(*) FROM skyvault_store_waits'), 1, 'it still waits then');

sql("SELECT pg_cancel_backend($pid)");
like(($session->receive)[1], qr/ERROR:  57014: canceling statement due to user request/, 'it can be cancelled');
$session->run("SET statement_timeout = '200ms'");
like(($session->try(q{SELECT skyvault_get('kv', 'k1')}))[1], qr/ERROR:  57014: canceling statement due to statement timeout/,
	'statement_timeout ends it');
$session->run('RESET statement_timeout');
like(($session->try(q{SET statement_timeout = '200ms'; SELECT count(*) FROM skyvault_scan('kv')}))[1], qr/57014/, 'also a scan');
$session->run('RESET statement_timeout');
is(sql('SELECT count(*) FROM skyvault_store_waits'), 0, 'nobody waits then');
$session->send(q{SELECT skyvault_multi_get('kv', ARRAY['k1', 'k2'])});
ok(await_waits('query'), 'a batch waits');

# Another session waits for the same block, by way of the first.
my $second = session($node);
$second->send(q{SELECT skyvault_get('kv', 'k1')});
my $second_pid = $second->pid;
drop_another_database();
pass('nor is who waits for the same block in the way of a barrier');
sql("SELECT pg_cancel_backend($second_pid)");
like(($second->receive)[1], qr/57014/, 'who waits for the same block can be cancelled');
sql("SELECT pg_terminate_backend($pid)");
is(($session->await_lost)[0], 1, 'a session that waits can be terminated');
$session->quit;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault_store_waits'), 'and waits no longer');

# ------------------------------------------------------------------- a flush
sql(q{SELECT mirror_put('kv', 'k1', 'new')});
$session = session($node);
$session->send(q{SELECT skyvault_flush('vault')});
ok(await_waits('worker'), 'a flush waits for the store');
is(sql(q{SELECT skyvault_get('kv', 'k1')}), 'new', 'what is not flushed is readable');
sql(q{SELECT mirror_put('kv', 'k3', 'newer')});
pass('and writes go on');
drop_another_database();
pass('a flush is in no barrier\'s way');
sql('SELECT pg_cancel_backend(' . $session->pid . ')');
like(($session->receive)[1], qr/57014/, 'who asked for the flush can be cancelled');

# Its database can be copied and dropped, for which the scheduler has to end.
$session->quit;
$second->quit;
$node->safe_psql('template1', 'CREATE DATABASE copy TEMPLATE postgres');
pass('CREATE DATABASE with its database as template does not wait for the flush');
$node->safe_psql('template1', 'DROP DATABASE copy');
pass('and the copy can be dropped');
sql('CREATE DATABASE doomed');
$node->safe_psql('doomed', 'CREATE EXTENSION skyvault');
$node->safe_psql('doomed', $s3->create_server('vault'));
$node->safe_psql('doomed', q{SELECT skyvault_create_table('kv', server => 'vault'); SELECT skyvault_put('kv', 'k', 'v')});
my $doomed = session($node, 'doomed');
$doomed->send(q{SELECT skyvault_flush()});
ok($node->poll_query_until('doomed', q{SELECT count(*) = 1 FROM skyvault_store_waits WHERE server = 'vault'}),
	'a flush of another database waits');
sql('DROP DATABASE doomed WITH (FORCE)');
pass('its database can be dropped');
$doomed->await_lost;
$doomed->quit;

# ------------------------------------------------------------------- stop and start
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'skyvault scheduler' AND datname = 'postgres'});
$session = session($node);
$session->send(q{SELECT skyvault_flush('vault')});
ok(await_waits('worker'), 'a new scheduler waits as well');
$node->stop('fast');
pass('the server stops meanwhile');
$session->await_lost;
$session->quit;
$node->start;

# ------------------------------------------------------------------- another server that is well
my $well = SkyvaultS3->shared;
$session = session($node);
$session->send(q{SELECT skyvault_flush('vault')});
ok(await_waits('worker'), 'a flush waits once more');
sql(q{SELECT skyvault_put('near', 'k', 'v')});
my $second_flush = session($node);
$second_flush->send(q{SELECT skyvault_flush('skyvault')});

# ------------------------------------------------------------------- the store is back
# A daemon that was stopped for so long may give up when it goes on.
$s3->signal('CONT');
$s3->start;
is(($session->receive)[0], 2, 'when the store goes on, so does the flush');
is(($second_flush->receive)[0], 1, 'and that of the other vault after it');
same_content($node, ['kv'], 'nothing was lost');
$_->quit foreach $session, $second_flush;

# ------------------------------------------------------------------- time limits
$node->append_conf('postgresql.conf', "skyvault.store_timeout = 500ms\nskyvault.store_retries = 1\nskyvault.flush_interval = 1s\n");
$node->reload;
sql(q{SELECT mirror_put('kv', 'k5', 'newest'); SELECT skyvault_clear_cache()});
$s3->signal('STOP');
sql('SELECT skyvault_clear_cache()');
fails_with($node, q{SELECT skyvault_get('kv', 'k9')}, '58030', qr/^HINT: /m, 'skyvault.store_timeout ends a query with 58030');
ok($node->poll_query_until('postgres', q{SELECT count(*) >= 2 FROM skyvault.job WHERE kind = 'flush' AND state = 'failed' AND sqlstate = '58030'}),
	'flushes fail and are tried again');
my $scheduler = scheduler_pid($node);
sql(q{SELECT skyvault_put('near', 'k2', 'v')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM skyvault.delta JOIN skyvault."table" AS t ON t.id = table_id
		WHERE t.relid = 'near'::regclass}), 'another vault is flushed meanwhile');
is(scheduler_pid($node), $scheduler, 'by the same process');
$s3->signal('CONT');
$s3->start;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'), 'when the store goes on, so do flushes, unasked');
same_content($node, ['kv'], 'nothing was lost');

# ------------------------------------------------------------------- ALTER SERVER heals
my $endpoint = $s3->setting('endpoint');
sql(q{ALTER SERVER vault OPTIONS (SET endpoint 'http://127.0.0.1:1')});
sql('SELECT skyvault_clear_cache()');
$session = session($node);
like(($session->try(q{SELECT skyvault_get('kv', 'k9')}))[1], qr/ERROR:  58030: .*HINT: /s, 'a wrong endpoint is 58030');
sql(q{SELECT mirror_put('kv', 'k6', 'v')});
ok($node->poll_query_until('postgres', q{SELECT state = 'failed' FROM skyvault.job ORDER BY id DESC LIMIT 1}), 'a flush fails');
sql(qq{ALTER SERVER vault OPTIONS (SET endpoint '$endpoint')});
is(($session->try(q{SELECT skyvault_get('kv', 'k9')}))[0], 'v9', 'with the right one the same session reads at once');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'), 'and the worker flushes');
same_content($node, ['kv'], 'nothing was lost');
$session->quit;

$node->stop;
done_testing();
