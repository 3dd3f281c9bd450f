# What was committed survives restarts, in the delta and in runs, and the
# processes come back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my @tables = qw(users orders events);
my $node = new_server('main');
make_mirror($node, \@tables);

# Each table gets keys of its own in a run, newer values of some of them and
# other keys in the delta, and deletes in both.
sub write_round
{
	my ($round) = @_;

	foreach my $table (@tables)
	{
		$node->safe_psql('postgres', <<~SQL);
			BEGIN;
			SELECT mirror_multi_put('$table', array_agg('$table' || n), array_agg('$round of ' || n))
				FROM generate_series($round * 10, $round * 10 + 100) AS n;
			SELECT mirror_delete('$table', '$table' || n) FROM generate_series($round * 10, $round * 10 + 5) AS n;
			COMMIT;
			SQL
	}
}

write_round(1);
is($node->safe_psql('postgres', 'SELECT skyvault_flush()'),
	3 * 95, 'a flush writes one entry for each key, and no tombstone with nothing below it');
is(delta_rows($node), 0, 'a flush leaves the delta empty');
write_round(2);
isnt(delta_rows($node), 0, 'newer writes are in the delta');
same_content($node, \@tables, 'tables agree with their mirrors before any restart');

my $scheduler = scheduler_pid($node);
$node->restart;
same_content($node, \@tables, 'tables agree with their mirrors after a restart');
isnt(delta_rows($node), 0, 'nothing was flushed unasked');
ok(await_new_process($node, 'skyvault launcher', 0), 'the launcher runs after a restart');
ok(await_new_process($node, 'skyvault scheduler', $scheduler, 'postgres'), 'the scheduler runs after a restart');

$scheduler = scheduler_pid($node);
$node->stop('immediate');
$node->start;
same_content($node, \@tables, 'tables agree with their mirrors after an immediate restart');
ok(await_new_process($node, 'skyvault scheduler', $scheduler, 'postgres'),
	'the scheduler runs after an immediate restart');

ok($node->safe_psql('postgres', 'SELECT skyvault_flush()') > 0, 'a flush after the restart writes entries');
is(delta_rows($node), 0, 'and leaves the delta empty');
is(scalar(run_objects($node)), 2, 'there are two runs now');
same_content($node, \@tables, 'tables agree with their mirrors after that flush');
$node->restart;
same_content($node, \@tables, 'and after one more restart');
is($node->safe_psql('postgres', 'SELECT skyvault_flush()'), 0, 'a flush of nothing writes nothing');

# A prepared transaction is neither lost nor flushed.
$node->safe_psql('postgres',
	"BEGIN; SELECT mirror_put('users', 'prepared', 'value'); PREPARE TRANSACTION 'users'");
$node->safe_psql('postgres', 'SELECT skyvault_flush()');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT skyvault_exists('users', 'prepared')"),
	'f', 'a put of a prepared transaction is not seen after a restart');
$node->safe_psql('postgres', "COMMIT PREPARED 'users'");
is($node->safe_psql('postgres', "SELECT skyvault_get('users', 'prepared')"),
	'value', 'and is once it is committed');
is($node->safe_psql('postgres', 'SELECT skyvault_flush()'), 1, 'a flush takes it then');

# Neither is a prepared TRUNCATE, and it holds up nobody's flush.
$node->safe_psql('postgres', <<'SQL');
BEGIN;
SELECT mirror_put('users', 'gone', 'value');
TRUNCATE users;
UPDATE m_users SET value = NULL;
SELECT mirror_put('users', 'after', 'value');
PREPARE TRANSACTION 'truncate';
SELECT mirror_put('orders', 'meanwhile', 'value');
SQL
is($node->safe_psql('postgres', 'SELECT skyvault_flush()'), 1, 'a prepared TRUNCATE keeps no other table from flushing');
$node->stop('immediate');
$node->start;
same_content($node, [qw(orders events)], 'a prepared TRUNCATE and a restart: other tables agree with their mirrors');
$node->safe_psql('postgres', "COMMIT PREPARED 'truncate'");
same_content($node, \@tables, 'it is committed: all tables agree with their mirrors');
is($node->safe_psql('postgres', 'SELECT skyvault_flush()'), 1, 'a flush takes the one row that came after it');
same_content($node, \@tables, 'and all tables agree with their mirrors');
is($node->safe_psql('postgres', 'SELECT count(*) FROM skyvault.changelog WHERE id IS NULL'), 0,
	'its changelog row has a number then');

# Many sessions ask for a flush at once, after a write of their own.
my @sessions = map { session($node) } 1 .. 6;
foreach my $round (1 .. 5)
{
	my $n = 0;

	foreach my $session (@sessions)
	{
		$session->send(sprintf("SELECT mirror_put('orders', 'order %d of session %d', 'x'); SELECT skyvault_flush()",
			$round, ++$n));
	}
	my @errors = grep { defined } map { ($_->receive)[1] } @sessions;
	is(join('', @errors), '', "round $round: six flushes at once succeed");
	is(delta_rows($node), 0, "round $round: each was answered after its own write was flushed");
}
$_->quit foreach @sessions;
same_content($node, \@tables, 'tables agree with their mirrors after flushes at once');
is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE state <> 'done'"), 0, 'every job is done');

done_testing();
