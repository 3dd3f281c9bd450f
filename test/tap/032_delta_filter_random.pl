# Random writes of several sessions at once, with flushes one after the other
# and restarts, in a vault's tables and in plain ones: every answer of a
# statement is what the plain tables have in its snapshot.  With a filter that
# has room for all keys, one that is full in no time, and none.
#
# SKYVAULT_SEED repeats the choices (not their interleaving), SKYVAULT_STEPS
# makes it longer.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 50;
srand($seed);
diag("SKYVAULT_SEED=$seed");

my @tables = qw(a b);
my $writers = 3;

sub pick { return $_[ int(rand(@_)) ]; }
sub random_key { return sprintf('k%04d', int(rand(250))); }

sub random_write
{
	my $table = pick(@tables);
	my $value = int(rand(1e9));

	return sprintf("SELECT mirror_delete('%s', '%s')", $table, random_key()) if rand() < 0.2;
	return sprintf("SELECT mirror_put('%s', '%s', '%s')", $table, random_key(), $value) if rand() < 0.6;
	return sprintf("SELECT mirror_multi_put('%s', %s, %s)", $table,
		map { 'ARRAY[' . join(',', map { "'$_'" } @$_) . ']' }
		  [ map { random_key() } 1 .. 20 ], [ map { $value + $_ } 1 .. 20 ]);
}

# Keys are taken in any order: who is in a deadlock is rolled back, in both tables.
sub random_transaction
{
	my $isolation = pick('READ COMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
	my @statements = ("BEGIN ISOLATION LEVEL $isolation", random_write());

	push @statements, 'SAVEPOINT s', random_write(), pick('ROLLBACK TO s', 'RELEASE s') if rand() < 0.3;
	push @statements, random_write() if rand() < 0.5;
	push @statements, pick(map({ "SELECT * FROM differences('$_')" } @tables));
	push @statements, rand() < 0.15 ? 'ROLLBACK' : 'COMMIT';
	return join(";\n", @statements);
}

# What sessions answered that is no difference is empty; errors are conflicts.
sub note_answer
{
	my ($who, $answer, $errors, $problems) = @_;

	push @$problems, "$who: $_" foreach grep { $_ ne '' } split(/\n/, $answer);
	push @$problems, "$who: $_"
	  foreach grep { /^ERROR: / && !/^ERROR:  (40001|40P01|25P02|3B001): / } split(/\n/, $errors // '');
	return;
}

sub run_history
{
	my ($node) = @_;
	my @problems;
	my ($old, @sessions);

	foreach my $step (1 .. $steps)
	{
		if ($step % 20 == 1)
		{
			$_->quit foreach grep { defined } @sessions, $old;
			undef $old;
			$node->restart if $step > 1;
			@sessions = map { session($node) } 1 .. $writers + 2;
		}
		my ($flusher, $checker, @writing) = @sessions;

		$_->send(random_transaction()) foreach @writing;
		$flusher->send('SELECT skyvault_flush() * 0') if $step % 3 != 0;
		foreach (1 .. 2)
		{
			note_answer('checker', $checker->try(join(';', map { "SELECT * FROM differences('$_')" } @tables)), \@problems);
		}

		# An old snapshot over some flushes.
		if (!defined $old)
		{
			$old = session($node);
			$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
		}
		else
		{
			note_answer('old snapshot', $old->try(join(';', map { "SELECT * FROM differences('$_')" } @tables)), \@problems);
			if ($step % 5 == 0)
			{
				$old->quit;
				undef $old;
			}
		}
		note_answer('writer', $_->receive, \@problems) foreach @writing;
		if ($step % 3 != 0)
		{
			my ($answer, $errors) = $flusher->receive;

			note_answer('flusher', $answer eq '0' ? '' : $answer, $errors, \@problems);
		}
		last if @problems;
	}
	$_->quit foreach grep { defined } @sessions, $old;
	return @problems;
}

foreach my $size ('16MB', '1kB', '0')
{
	my $node = new_server("filter_$size",
		settings => "log_statement = none\nskyvault.delta_filter_size = $size\ndeadlock_timeout = 10ms\n"
		  . "max_pred_locks_per_transaction = 1000\n");

	make_mirror($node, \@tables);
	my @problems = run_history($node);
	is(join("\n", @problems), '', "filter of $size: all answers are those of the plain tables")
	  or diag("SKYVAULT_SEED=$seed");
	same_content($node, \@tables, "filter of $size: at the end too");

	my ($state, $negatives) = split(/\|/,
		$node->safe_psql('postgres', 'SELECT state, negatives > 0 FROM skyvault_stat_delta_filter()'));
	is($negatives, $size eq '0' ? 'f' : 't', "filter of $size: keys were excluded, if there is one");
	is($state eq 'off' ? 1 : 0, $size eq '0' ? 1 : 0, "filter of $size: it is on, if there is one");
	$node->stop;
}

done_testing();
