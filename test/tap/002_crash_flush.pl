# The process that flushes is killed, or fails, at each step of a flush.
# Afterwards every table agrees with a plain one that received the same
# statements, and the next flush does what this one did not.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# In the order in which a flush meets them; at the last one it has happened.
my @points = qw(
  flush-before-upload flush-uploaded flush-locked flush-deleted flush-registered
  flush-numbered flush-before-commit flush-committed
);
my @tables = qw(one two);
my $node = new_server('main');
make_mirror($node, \@tables);

# Values, newer values and deletes of keys that runs already have, in both
# tables and one transaction.
sub write_round
{
	my ($round) = @_;

	$node->safe_psql('postgres', <<~SQL);
		BEGIN;
		SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
			FROM unnest('{one,two}'::text[]) AS t, generate_series($round, $round * 3 + 60) AS n GROUP BY t;
		SELECT mirror_delete(t, 'key' || n)
			FROM unnest('{one,two}'::text[]) AS t, generate_series($round * 2, $round * 2 + 7) AS n;
		COMMIT;
		SQL
}

# Delta, registry and changelog, as far as a flush changes them.
sub forest_state
{
	return $node->safe_psql('postgres',
		"SELECT (SELECT count(*) FROM skyvault.delta), (SELECT count(*) FROM skyvault.run),"
		  . " (SELECT count(*) FROM skyvault.changelog)");
}

# A flush of the rows that write_round leaves adds one run and one change.
sub state_after_flush
{
	my ($delta, $runs, $changes) = split(/\|/, $_[0]);

	return join('|', 0, $runs + 1, $changes + 1);
}

sub next_flush_works
{
	my ($case) = @_;

	ok($node->safe_psql('postgres', 'SELECT skyvault_flush()') >= 0, "$case: the next flush succeeds");
	is(delta_rows($node), 0, "$case: and leaves the delta empty");
	same_content($node, \@tables, "$case: tables agree with their mirrors after it");
}

write_round(1);
$node->safe_psql('postgres', 'SELECT skyvault_flush()');
my $round = 1;

foreach my $point (@points)
{
	my $case = "killed at $point";

	write_round(++$round);
	my $before = forest_state();
	my $client = session($node);

	$client->run("SELECT stop_point_arm('$point', 'kill')");
	$client->send('SELECT skyvault_flush()');
	my ($lost, $said) = $client->await_lost;
	is($lost, 1, "$case: the server restarts");
	$client->quit;
	ok(await_server($node), "$case: it comes back");

	is(forest_state(), $point eq 'flush-committed' ? state_after_flush($before) : $before,
		"$case: all of the publish is there, or nothing");
	same_content($node, \@tables, "$case: tables agree with their mirrors");

	my ($job, $state) = split(/\|/,
		$node->safe_psql('postgres', 'SELECT id, state FROM skyvault.job ORDER BY id DESC LIMIT 1'));
	# The next scheduler fails the job, which it may or may not have done by now.
	like($state, $point eq 'flush-committed' ? qr/^done$/ : qr/^(running|failed)$/, "$case: the job is done only if its flush is there");
	next_flush_works($case);
	is($node->safe_psql('postgres', "SELECT state, error FROM skyvault.job WHERE id = $job"),
		$point eq 'flush-committed' ? 'done|' : 'failed|the worker ended before the job did',
		"$case: the interrupted job has failed");
}

foreach my $point (@points)
{
	my $case = "failed at $point";

	write_round(++$round);
	my $before = forest_state();

	$node->safe_psql('postgres', "SELECT stop_point_arm('$point', 'error')");
	fails_with($node, 'SELECT skyvault_flush()', '58030', qr/stop point "$point" was told to fail/,
		"$case: who asked for the flush is told");
	is(forest_state(), $point eq 'flush-committed' ? state_after_flush($before) : $before,
		"$case: all of the publish is there, or nothing");
	is(job_rows($node, 1), qq(failed|stop point "$point" was told to fail), "$case: the job says why");
	same_content($node, \@tables, "$case: tables agree with their mirrors");
	next_flush_works($case);
}

# A flush of several batches dies in its second: the first one stays published.
$node->append_conf('postgresql.conf', 'skyvault.run_size = 64kB');
$node->reload;
foreach my $action (qw(kill error))
{
	my $case = "$action in the second batch";

	$node->safe_psql('postgres', <<~SQL);
		SELECT mirror_multi_put(t, array_agg('big' || n), array_agg('$action' || repeat(sha512(n::text::bytea)::text, 4)))
			FROM unnest('{one,two}'::text[]) AS t, generate_series(1, 300) AS n GROUP BY t;
		SQL
	my ($delta, $runs) = split(/\|/, forest_state());
	my $client = session($node);

	$client->run("SELECT stop_point_arm('flush-committed', 'wait')");
	$client->send('SELECT skyvault_flush()');
	$node->safe_psql('postgres', "CALL stop_point_await('flush-committed')");
	$node->safe_psql('postgres',
		"SELECT stop_point_arm('flush-deleted', '$action'); SELECT stop_point_disarm('flush-committed')");
	is(($client->await_lost)[0], $action eq 'kill' ? 1 : 0, "$case: the server restarts, or not");
	$client->quit;
	await_server($node);
	my ($delta_after, $runs_after) = split(/\|/, forest_state());
	is($runs_after, $runs + 1, "$case: the first batch is published");
	ok($delta_after > 0 && $delta_after < $delta, "$case: and the rest is in the delta");
	same_content($node, \@tables, "$case: tables agree with their mirrors");
	next_flush_works($case);
}

# Tried again without being asked, after an error as after a crash.
$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 1s');
$node->reload;
foreach my $action (qw(error kill))
{
	my $case = "$action and no one asks";
	my $last_job = $node->safe_psql('postgres', 'SELECT max(id) FROM skyvault.job');

	$node->safe_psql('postgres', "SELECT stop_point_arm('flush-before-commit', '$action')");
	write_round(++$round);
	ok($node->poll_query_until('postgres',
			"SELECT array_agg(state ORDER BY id) = '{failed,done}' FROM skyvault.job WHERE id > $last_job"),
		"$case: the flush is tried again and succeeds");
	like(job_rows($node, 2), $action eq 'error'
		? qr/\Adone\|\nfailed\|stop point "flush-before-commit" was told to fail\z/
		: qr/\Adone\|\nfailed\|the worker ended before the job did\z/,
		"$case: the jobs tell of both");
	same_content($node, \@tables, "$case: tables agree with their mirrors");
}

# Writers meet a flush that is dead in the middle of its upload: what they
# change then must not be lost when the next flush takes the rows again.
$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 0');
$node->reload;
write_round(++$round);
my $client = session($node);
$client->run("SELECT stop_point_arm('flush-uploaded', 'wait')");
$client->send('SELECT skyvault_flush()');
$node->safe_psql('postgres', "CALL stop_point_await('flush-uploaded')");
write_round(++$round);
kill('KILL', scheduler_pid($node)) or die $!;
is(($client->await_lost)[0], 1, 'killed after a write during the upload: the server restarts');
$client->quit;
await_server($node);
same_content($node, \@tables, 'killed after a write during the upload: tables agree with their mirrors');
next_flush_works('killed after a write during the upload');

done_testing();
