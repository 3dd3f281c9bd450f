# A vault that nobody writes to, nor reads from, asks its store for nothing, while
# everything that a scheduler does by itself is due every second; and yet orphans
# are found, whoever has left them.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.flush_interval = 1s
skyvault.export_interval = 1s
skyvault.snapshot_changes = 1
skyvault.retention = 0
skyvault.gc_interval = 1s
skyvault.sweep_interval = 1s
skyvault.orphan_grace = 0
SETTINGS
my @vaults = qw(plain mirrored v2);
my $control = session($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# So many passes of garbage collection, each a second after the last, and all
# chores between: one vault's turn more than all have in so many passes.
sub passes
{
	my ($n) = @_;

	foreach (1 .. $n * (@vaults + 1) + 1)
	{
		$control->run(q{SELECT stop_point_arm('gc-turn', 'wait')});
		$control->run(q{CALL stop_point_await('gc-turn')});
		$control->run(q{SELECT stop_point_disarm('gc-turn')});
	}
}

sub asked { return join(' ', map { "$_->{method} $_->{target}" } $s3->requests); }

# Passes until there is one without a request, and after it some in which there is
# none either.
sub is_quiet
{
	my ($case) = @_;
	my $quiet = 0;

	foreach (1 .. 15)
	{
		$s3->forget_requests;
		passes(1);
		last if $quiet = asked() eq '';
	}
	$s3->forget_requests;
	passes(2);
	return is(asked(), '', "$case: no request") && ok($quiet, "$case: it comes to rest");
}

sub write_all
{
	sql(join('', map { "SELECT skyvault_put('kv_$_', 'k', clock_timestamp()::text);" } @vaults));
	sql('SELECT skyvault_flush()');
}

# What there is in the vaults' stores under the names of runs, beyond the registered.
sub orphans
{
	my @there = map { $s3->objects("idle-$_-$$/") } @vaults;
	my %known = map { $_ => 1 } split(/\n/, sql('SELECT object FROM skyvault.run UNION SELECT object FROM skyvault.garbage'));

	return grep { my ($name) = m{([-0-9a-f]{36}/.*\.sst)$}; defined $name && !$known{$name} } @there;
}

sub orphans_go
{
	my ($case) = @_;

	my @left;

	for (1 .. 15)
	{
		@left = orphans() or last;
		passes(1);
	}
	return is("@left", '', "$case: they are found");
}

foreach my $vault (@vaults)
{
	my %server = $vault eq 'mirrored' ? (mirror => 'on') : $vault eq 'v2' ? (signature => 'v2') : ();

	sql($s3->create_server($vault, server => \%server, prefix => "idle-$vault-$$")
		  . "SELECT skyvault_create_table('kv_$vault', server => '$vault')");
}
# The scheduler was there before the first vault, and comes to look for one.
write_all();
write_all();
is_quiet('after writes');

# Flushes that upload and fail.
$control->run(q{SELECT stop_point_arm('flush-before-commit', 'error', 3)});
$node->psql('postgres', join('', map { "SELECT skyvault_put('kv_$_', 'k', 'v');" } @vaults) . 'SELECT skyvault_flush()');
cmp_ok(scalar(orphans()), '>', 0, 'a flush that failed leaves orphans');
$control->run(q{SELECT stop_point_disarm('flush-before-commit')});
orphans_go('after a failure');

# A death with an upload behind it, and nothing done after it: the start counts.
$node->append_conf('postgresql.conf', 'skyvault.flush_interval = 0');
$node->reload;
sql(q{SELECT skyvault_put('kv_plain', 'k', 'w')});
my $flusher = session($node);
$flusher->run(q{SELECT stop_point_arm('flush-uploaded', 'wait')});
$flusher->send('SELECT skyvault_flush()');
$control->run(q{CALL stop_point_await('flush-uploaded')});
kill_postmaster($node);
$flusher->await_lost;
$_->quit foreach $flusher, $control;
$node->start;
cmp_ok(scalar(orphans()), '>', 0, 'a death leaves an orphan');
$control = session($node);
orphans_go('after a death');
is_quiet('after a death');

$control->quit;
$node->stop;
done_testing();
