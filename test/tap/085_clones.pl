# Three copies of a server that nothing on disk tells apart, each of which believes to
# own the vault: they write, merge, export, take snapshots, collect, are told to adopt,
# restarted and killed, at random and two at a time.  An object that is once there keeps
# its bytes until it is deleted, its name never comes back, and who does not own the
# vault neither writes nor deletes.
#
# SKYVAULT_SEED repeats what is done, SKYVAULT_STEPS says how often.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultClones;
use SkyvaultTest;
use Test::More;

my $seed = $ENV{SKYVAULT_SEED} // int(rand(2**31));
my $steps = $ENV{SKYVAULT_STEPS} // 40;
srand($seed);
diag("SKYVAULT_SEED=$seed");

my ($origin, $store) = origin('origin', settings => <<'SETTINGS');
max_worker_processes = 20
log_statement = none
skyvault.retention = 0
skyvault.orphan_grace = 0
SETTINGS
$origin->stop;
my @nodes = ($origin, map { clone_server($origin, $_, 1) } ('second', 'third'));
$_->start foreach @nodes;

my $names = 0;
my %sql = (
	flush => sub { "SELECT skyvault_flush('shared')" },
	merge => sub { "SELECT skyvault_compact('kv', full => true)" },
	export => sub { "SELECT skyvault_export('shared')" },
	snapshot => sub { 'SELECT skyvault_snapshot(' . (rand() < 0.3 ? "'name " . ++$names . "'" : 'NULL') . ", 'shared')" },
	collect => sub { "SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'shared')" },
	empty => sub { "TRUNCATE kv, m_kv" },
	adopt => sub { "SELECT skyvault_adopt('shared'); SELECT skyvault_flush('shared')" });
my @points = qw(flush-before-upload flush-uploaded flush-before-commit export-uploaded export-before-commit
  snapshot-uploaded snapshot-before-commit owner-announced owner-replaced gc-before-remove gc-removed compact-before-publish);

# What went wrong, by what must not.
my %wrong = map { $_ => [] } ('overwritten', 'come back', 'harmed by one that does not own the vault', 'OWNER went back',
	'an unexpected error', 'a wrong answer');
my %outcomes;
my %seen;
my %owners;
my $newest_epoch = 0;

# The one that was the last to write to the vault.
my $owner;

# Every object that was ever there, and OWNER, as they are now.
sub look
{
	my ($case) = @_;
	my $now = stored_objects($store);
	my ($content) = map { slurp_file($_) } glob("$store/*/OWNER");
	my ($epoch, $incarnation) = $content =~ /"epoch":(\d+),"incarnation":"([^"]+)"/;

	foreach my $name (keys %$now)
	{
		push @{ $wrong{'come back'} }, "$case: $name" if ($seen{$name} // '') eq 'gone';
		push @{ $wrong{overwritten} }, "$case: $name" if defined $seen{$name} && $seen{$name} ne 'gone' && $seen{$name} ne $now->{$name};
		$seen{$name} = $now->{$name};
	}
	$now->{$_} // ($seen{$_} = 'gone') foreach keys %seen;
	push @{ $wrong{'OWNER went back'} }, "$case: $epoch $incarnation" if $epoch < $newest_epoch || ($owners{$epoch} //= $incarnation) ne $incarnation;
	$newest_epoch = $epoch;
	return $now;
}

# done, or in short why not.
sub outcome
{
	my ($case, $errors) = @_;

	return 'done' unless $errors =~ /ERROR:|FATAL:|connection/;
	return 'refused' if $errors =~ /ERROR:  55000: (?:\w+ failed: )?this database does not own the vault of server "shared"/;
	return 'another was faster' if $errors =~ /ERROR:  55006: /;
	return 'lost' if $errors =~ /ERROR:  (?:XX001|55000): .*object "\S+" is (?:missing from|no longer in) the store/;
	return 'died' if $errors =~ /server closed the connection|connection to server was lost|terminating connection/;
	push @{ $wrong{'an unexpected error'} }, "$case: $errors";
	return 'failed';
}

sub verbosely
{
	my ($node, $sql) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $stderr;
}

sub write_some
{
	my ($node, $step) = @_;
	my $from = int(rand(100));

	$node->safe_psql('postgres', "SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg('step $step of ' || n))"
		. " FROM generate_series($from, $from + 20) AS n; SELECT mirror_delete('kv', 'key' || n) FROM generate_series($from, $from + 3) AS n");
}

# One does one thing, and perhaps dies of it.
sub step
{
	my ($step, $node, $what, $point) = @_;
	my $case = "step $step: $what by " . $node->name . (defined $point ? " dies at $point" : '');

	write_some($node, $step);
	$node->safe_psql('postgres', "SELECT stop_point_arm('$point', 'kill')") if defined $point;
	my $before = look($case);
	my $outcome = outcome($case, verbosely($node, $sql{$what}->()));
	$outcomes{"$what: $outcome"}++;
	if (defined $point)
	{
		await_server($node) or die "$case: the server does not come back";
		$node->safe_psql('postgres', "SELECT stop_point_disarm('$point')");
	}
	await_new_process($node, 'skyvault scheduler', 0, 'postgres') or die "$case: no scheduler";
	my $after = look($case);
	$owner = $node if $outcome eq 'done' && $what ne 'empty';
	return if $outcome ne 'refused';
	my $harmed = harmed_objects($before, $after);
	my @made = grep { !defined $before->{$_} } keys %$after;
	push @{ $wrong{'harmed by one that does not own the vault'} }, "$case: harmed $harmed, made @made" if $harmed ne '' || @made;
}

# Two of them at the same time.
sub together
{
	my ($step, @whats) = @_;
	my $first = int(rand(3));
	my @pair = @nodes[ $first, ($first + 1 + int(rand(2))) % 3 ];
	my @sessions = map { session($_) } @pair;

	write_some($_, $step) foreach @pair;
	$sessions[$_]->send($sql{ $whats[$_] }->()) foreach (0, 1);
	foreach my $i (0, 1)
	{
		my $case = "step $step: $whats[$i] by " . $pair[$i]->name . ' beside ' . $whats[ 1 - $i ];

		$outcomes{ "$whats[$i]: " . outcome($case, ($sessions[$i]->receive)[1] // '') }++;
		look($case);
	}
	$_->quit foreach @sessions;
}

# Whether all of a copy's answers are right, as far as its objects are there.
sub check_answers
{
	my ($step, $node) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT skyvault_clear_cache(); SELECT * FROM differences('kv') LIMIT 5");
	my $outcome = outcome("step $step: answers of " . $node->name, $stderr);

	$outcomes{"answers: $outcome"}++;
	push @{ $wrong{'a wrong answer'} }, "step $step: " . $node->name . ": $stdout" if $outcome eq 'done' && $stdout =~ /\S/;
}

# First each thing once by an owner, and once by one that is not.
my $step = 0;
look('at first');
step(++$step, $nodes[0], 'flush');
foreach my $what (qw(flush merge export snapshot collect))
{
	step(++$step, $nodes[0], $what);
	step(++$step, $nodes[1], $what);
}
step(++$step, $nodes[1], 'adopt');
step(++$step, $_, 'flush') foreach @nodes;
check_answers($step, $_) foreach @nodes;
foreach my $what (qw(flush merge export snapshot collect))
{
	cmp_ok($outcomes{"$what: done"} // 0, '>', 0, "$what: an owner does it");
	cmp_ok($outcomes{"$what: refused"} // 0, '>', 0, "$what: and one that is not does not");
}

# Then at random.
my @whats = (qw(flush merge export snapshot collect) x 2, qw(adopt adopt empty empty));
for (1 .. $steps)
{
	my $node = rand() < 0.5 ? $owner : $nodes[ int(rand(3)) ];
	my $what = $whats[ int(rand(@whats)) ];
	my $dice = rand();

	$step++;
	if ($dice < 0.05)
	{
		$dice < 0.025 ? $node->stop : kill_postmaster($node);
		$node->start;
		await_new_process($node, 'skyvault scheduler', 0, 'postgres') or die 'no scheduler';
	}
	elsif ($dice < 0.3)
	{
		together($step, $what, $whats[ int(rand(@whats)) ]);
	}
	else
	{
		step($step, $node, $what, $dice < 0.4 ? $points[ int(rand(@points)) ] : undef);
	}
	check_answers($step, $node);
}

# The last one has it.  Others may have collected the log of what it had been before:
# what a restore finds is in a snapshot of its own.
step(++$step, $nodes[2], 'empty');
step(++$step, $nodes[2], 'adopt');
$nodes[2]->safe_psql('postgres', "SELECT skyvault_snapshot(NULL, 'shared')");
step(++$step, $nodes[2], 'flush');
$nodes[2]->safe_psql('postgres', "SELECT skyvault_export('shared')");
is(restored_content($nodes[2], $store), $nodes[2]->safe_psql('postgres', content_of('kv')), 'a restore follows the last who was told to adopt');
is($nodes[2]->safe_psql('postgres', "SELECT * FROM differences('kv')"), '', 'which has what it wrote since it emptied the table');
step(++$step, $_, 'flush') foreach @nodes[ 0, 1 ];
foreach my $what (sort keys %wrong)
{
	is(join("\n", @{ $wrong{$what} }), '', "of " . scalar(keys %seen) . " objects in $step steps: $what");
}
note(join(', ', map { "$_ $outcomes{$_}" } sort keys %outcomes));
$_->stop foreach @nodes;

done_testing();
