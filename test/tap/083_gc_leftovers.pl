# What a death leaves of an object in a directory: nothing under the object's name,
# and a temporary file that goes with a sweep once it is old.  And the orphans of a
# place that a vault is moved to are found, whoever has left them there.
use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "skyvault.retention = 0\nskyvault.orphan_grace = 0\n");
my $here = PostgreSQL::Test::Utils::tempdir() . '/here';
my $there = PostgreSQL::Test::Utils::tempdir() . '/there';
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Names below a directory that match.
sub files_of
{
	my ($directory, $pattern) = @_;
	my @files;

	find({ no_chdir => 1, wanted => sub { push @files, $File::Find::name if -f && m{$pattern} } }, $directory);
	@files = sort @files;
	return @files;
}

sub temporary_files { return files_of($here, '/~\d+\.\d+$') }

# Runs in the store, and what the registry and the garbage have.
sub nothing_unknown
{
	my ($case) = @_;
	my %known = map { $_ => 1 } split(/\n/, sql('SELECT object FROM skyvault.run UNION SELECT object FROM skyvault.garbage'));

	return is(join(' ', grep { !$known{$_} } map { s{^\Q$here\E/}{}r } files_of($here, '\.sst$')), '', $case);
}

# A compaction that is about to give its output its name; the session that asked for it.
sub begin_compaction
{
	my $client = session($node);

	foreach (1 .. 2)
	{
		$round++;
		sql("SELECT mirror_multi_put('kv', array_agg('key' || n), array_agg('$round of ' || n)) FROM generate_series($round, 500) AS n;"
			  . 'SELECT skyvault_flush()');
	}
	sql(q{SELECT stop_point_arm('compact-end-output', 'wait')});
	$client->send(q{SELECT skyvault_compact('kv')});
	sql(q{CALL stop_point_await('compact-end-output')});
	return $client;
}

sub die_in_compaction
{
	my $client = begin_compaction();

	kill_postmaster($node);
	$client->await_lost;
	$client->quit;
	return $node->start;
}

sub grow_old
{
	my (@files) = @_;

	return utime(time() - 7200, time() - 7200, @files) == @files || die $!;
}

# So many passes of garbage collection, of the only vault that there is.
sub passes
{
	foreach (1 .. $_[0])
	{
		sql(q{SELECT stop_point_arm('gc-turn', 'wait')});
		sql(q{CALL stop_point_await('gc-turn')});
		sql(q{SELECT stop_point_disarm('gc-turn')});
	}
}

mkdir($here) or die $!;
sql("CREATE SERVER vault FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$here')");
make_mirror($node, ['kv'], 'vault');

# ------------------------------------------------------------------- of who lives
my $client = begin_compaction();
is(scalar(temporary_files()), 1, 'an output that is not complete is a temporary file');
nothing_unknown('and has no name');
sql('SELECT skyvault_gc(sweep => true)');
is(scalar(temporary_files()), 1, 'which a sweep leaves alone');
sql(q{SELECT stop_point_disarm('compact-end-output')});
is(($client->receive)[1], undef, 'the compaction ends well');
is(scalar(temporary_files()), 0, 'and leaves none');
$client->quit;

# Who was taken for dead fails, and does it again.
$client = begin_compaction();
grow_old(temporary_files());
sql('SELECT skyvault_gc(sweep => true)');
is(scalar(temporary_files()), 0, 'a writer that was idle for hours is taken for dead');
sql(q{SELECT stop_point_disarm('compact-end-output')});
like(($client->receive)[1], qr/ERROR:  58030: compaction failed: /, 'and fails');
$client->quit;
nothing_unknown('without half an object');
sql(q{SELECT skyvault_compact('kv')});
same_content($node, ['kv'], 'the next one has all');

# ------------------------------------------------------------------- of who died
die_in_compaction();
is(scalar(temporary_files()), 1, 'a death leaves a temporary file');
nothing_unknown('and nothing else');
same_content($node, ['kv'], 'nor has anything gone');
sql('SELECT skyvault_gc(sweep => true)');
is(scalar(temporary_files()), 1, 'it stays as long as it is young');
grow_old(temporary_files());
sql('SELECT skyvault_gc(sweep => true)');
is(scalar(temporary_files()), 0, 'and goes then');
sql(q{SELECT skyvault_compact('kv')});
same_content($node, ['kv'], 'the next compaction has all');

# Unasked, although nothing is written between the death and the day when it is old.
reload_with($node, 'skyvault.gc_interval = 1', 'skyvault.sweep_interval = 1s');
die_in_compaction();
passes(5);
is(scalar(temporary_files()), 1, 'in the first sweeps after a death it is too young');
grow_old(temporary_files());
passes(4);
is(scalar(temporary_files()), 0, 'they go on until it has gone');
ok(-e "$here/" . (run_objects($node))[0], 'what lives is there');

# ------------------------------------------------------------ what may not be removed
my ($vault_place) = (run_objects($node))[-1] =~ m{^([^/]+/\d+)/};
my $vault = sql('SELECT id FROM skyvault.vault');
my $closed = "$here/$vault_place/0011223344556677";
my ($stray, $garbage) = map { "$vault_place/8899aabbccddeeff/$_-j1.sst" } 1, 2;

sub make_objects
{
	append_to_file("$here/$stray", 'an orphan');
	append_to_file("$here/$garbage", 'what was removed');
	return sql("INSERT INTO skyvault.garbage VALUES ('$garbage', $vault, '3', now() - interval '1 h')");
}

sub flush_something { return sql(q{SELECT mirror_put('kv', 'something', 'x'); SELECT skyvault_flush()}); }
sub failed_since { return "SELECT count(*) FROM skyvault.job WHERE kind = 'gc' AND state = 'failed' AND id > $_[0]"; }

passes(4);
my $last_job = sql('SELECT max(id) FROM skyvault.job');
mkdir($_) or die "mkdir: $!" foreach $closed, "$here/$vault_place/8899aabbccddeeff";
append_to_file("$closed/~1.2", 'of another user');
grow_old("$closed/~1.2");
chmod(0555, $closed) or die "chmod: $!";
make_objects();
flush_something();
passes(4);
is(join(' ', grep { -e } "$closed/~1.2", "$here/$stray", "$here/$garbage"), "$closed/~1.2",
	'a leftover that may not be removed keeps neither an orphan nor garbage');
is(sql(failed_since($last_job)), '0', 'and fails nothing');

# A sweep that fails for good.
reload_with($node, 'skyvault.retry_max_interval = 1s');
chmod(0000, $closed) or die "chmod: $!";
flush_something();
ok($node->poll_query_until('postgres', 'SELECT (' . failed_since($last_job) . ') > 0'), 'what cannot be listed fails a sweep');
make_objects();
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.garbage'), 'but no deletion of garbage');
is(join(' ', grep { -e } "$here/$stray", "$here/$garbage"), "$here/$stray", 'which is gone');
chmod(0555, $closed) or die "chmod: $!";
passes(4);
ok(!-e "$here/$stray", 'the orphan goes when there can be a sweep again');

# ------------------------------------------------------------------- another place
my ($uuid, $epoch) = (run_objects($node))[-1] =~ m{^([^/]+)/(\d+)/};
my $orphan = "$uuid/$epoch/0123456789abcdef/1-j1.sst";
passes(4);
mkdir("$here/$uuid/$epoch/0123456789abcdef") or die $!;
append_to_file("$here/$orphan", 'what somebody has left');
passes(4);
ok(-e "$here/$orphan", 'a vault at rest is not looked through');
system_or_bail('cp', '-a', $here, $there);
sql("ALTER SERVER vault OPTIONS (SET url 'file:$there')");
passes(4);
ok(!-e "$there/$orphan", 'until it is in another place');
ok(-e "$here/$orphan", 'the one before is left as it was');
same_content($node, ['kv'], 'the table is there');
sql(q{SELECT mirror_put('kv', 'written', 'there'); SELECT skyvault_flush()});
sql('SELECT skyvault_clear_cache()');
same_content($node, ['kv'], 'and is written to');

chmod(0755, $_) foreach $closed, $closed =~ s{^\Q$here\E}{$there}r;
$node->stop;
done_testing();
