# The process that compacts is killed, or fails, at each step of a compaction.
# Afterwards every table agrees with a plain one that received the same
# statements, and the next compaction does what this one did not.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# In the order in which a compaction meets them; at the last one it has happened.
my @claiming = qw(compact-claimed);
my @running = qw(
  compact-planned compact-before-run compact-open-input compact-begin-output compact-end-output
  compact-after-run compact-before-warm compact-before-publish compact-locked compact-removed
  compact-registered compact-numbered compact-before-commit
);
my @done = qw(compact-committed);

# Here a process can only wait or die.
my %in_load = map { $_ => 1 } qw(compact-open-input compact-begin-output compact-end-output);

my @tables = qw(one two);
my $node = new_server('main', settings => "skyvault.ttl_grace = 0\n");
make_mirror($node, \@tables);
my $round = 0;

# Two WAL runs, with values, newer values and deletes of keys that runs already
# have, of both tables.
sub write_runs
{
	foreach my $n (1 .. 2)
	{
		$round++;
		$node->safe_psql('postgres', <<~SQL);
			BEGIN;
			SELECT mirror_multi_put(t, array_agg('key' || n), array_agg('round $round of ' || n))
				FROM unnest('{one,two}'::text[]) AS t, generate_series($round, $round * 3 + 60) AS n GROUP BY t;
			SELECT mirror_delete(t, 'key' || n)
				FROM unnest('{one,two}'::text[]) AS t, generate_series($round * 2, $round * 2 + 7) AS n;
			COMMIT;
			SELECT skyvault_flush();
			SQL
	}
}

# The runs and what they hold, and the changelog, as far as a compaction changes them.
sub forest_state
{
	return $node->safe_psql('postgres', <<~SQL);
		SELECT (SELECT string_agg(format('%s %s %s %s', id, tier, level, table_ids), ';' ORDER BY id) FROM skyvault.run),
			(SELECT count(*) FROM skyvault.changelog), (SELECT count(*) FROM skyvault.garbage)
		SQL
}

sub runs_of
{
	my ($table) = @_;

	return $node->safe_psql('postgres', <<~SQL);
		SELECT string_agg(tier::text || level, ' ' ORDER BY tier DESC, level) FROM skyvault.run
		WHERE (SELECT id FROM skyvault."table" WHERE relid = '$table'::regclass) = ANY (table_ids)
		SQL
}

sub next_compaction_works
{
	my ($case) = @_;

	$node->safe_psql('postgres', "SELECT skyvault_compact('$_')") foreach @tables;
	is(runs_of($_), 'l1', "$case: the next compaction leaves one run of $_") foreach @tables;
	same_content($node, \@tables, "$case: tables agree with their mirrors after it");
	is($node->safe_psql('postgres', "SELECT count(*) FROM skyvault.job WHERE state = 'running'"), 0,
		"$case: no job is left running");
}

sub newest_compaction
{
	return $node->safe_psql('postgres',
		"SELECT id, state, error FROM skyvault.job WHERE kind = 'compact' ORDER BY id DESC LIMIT 1");
}

write_runs();
next_compaction_works('at first');

foreach my $point (@claiming, @running, @done)
{
	my $case = "killed at $point";
	my $happened = grep { $_ eq $point } @done;

	write_runs();
	my $before = forest_state();
	my $client = session($node);

	$client->run("SELECT stop_point_arm('$point', 'kill')");
	$client->send("SELECT skyvault_compact('one')");
	my ($lost, $said) = $client->await_lost;
	is($lost, 1, "$case: the server restarts");
	$client->quit;
	ok(await_server($node), "$case: it comes back");

	my $after = forest_state();
	ok($happened ? $after ne $before : $after eq $before, "$case: all of the publish is there, or nothing")
	  or diag("before $before\nafter $after");
	same_content($node, \@tables, "$case: tables agree with their mirrors");
	my ($job, $state) = split(/\|/, newest_compaction());
	next_compaction_works($case);
	next if $happened || grep { $_ eq $point } @claiming;
	is($node->safe_psql('postgres', "SELECT state, error FROM skyvault.job WHERE id = $job"),
		'failed|the worker ended before the job did', "$case: the interrupted job is taken away");
}

foreach my $point (@claiming, @running, @done)
{
	my $case = "failed at $point";
	my $happened = grep { $_ eq $point } @done;

	next if $in_load{$point};
	write_runs();
	my $before = forest_state();

	$node->safe_psql('postgres', "SELECT stop_point_arm('$point', 'error')");
	if ($point eq 'compact-planned')
	{
		# Not a job's error, but the process's: another one goes on.
		$node->safe_psql('postgres', "SELECT skyvault_compact('one')");
		is(runs_of('one'), 'l1', "$case: another worker does it");
		next_compaction_works($case);
		next;
	}
	fails_with($node, "SELECT skyvault_compact('one')", '58030',
		qr/compaction failed: stop point "$point" was told to fail/, "$case: who asked for it is told");
	my $after = forest_state();
	ok($happened ? $after ne $before : $after eq $before, "$case: all of the publish is there, or nothing")
	  or diag("before $before\nafter $after");
	like(newest_compaction(), qr/\|failed\|stop point "$point" was told to fail$/, "$case: the job says why");
	same_content($node, \@tables, "$case: tables agree with their mirrors");
	next_compaction_works($case);
}

done_testing();
