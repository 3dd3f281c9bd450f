# The caches are in huge pages where the system makes them, and nothing of their
# second mapping is left when shared memory is made anew.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

# Linux 6.1 and later, and not forbidden; containers that are no Linux have no such file.
my $forbidden = '/sys/kernel/mm/transparent_hugepage/shmem_enabled';
my ($major, $minor) = `uname -r` =~ /^(\d+)\.(\d+)/;
plan skip_all => 'this system has no huge pages for shared memory'
  if $^O ne 'linux' || $major * 1000 + $minor < 6001 || !-e $forbidden || slurp_file($forbidden) =~ /\[deny\]/;

my $node = new_server('main', settings => "skyvault.cache_size = 16MB\nhuge_pages = off\n");

$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('kv');
SELECT skyvault_multi_put('kv', array_agg('key' || n), array_agg(repeat('value ' || n, 20)))
	FROM generate_series(1, 20000) AS n;
SELECT skyvault_flush();
SQL

# Kilobytes that a new session has in huge pages after it has read all keys.
my $read_all = <<'SQL';
SELECT count(value) FROM skyvault_multi_get('kv', (SELECT array_agg('key' || n) FROM generate_series(1, 20000) AS n));
SELECT sum(substring(line FROM '\d+')::bigint)
	FROM regexp_split_to_table(pg_read_file('/proc/self/smaps'), '\n') AS line WHERE line LIKE 'ShmemPmdMapped:%';
SQL

sub huge_kilobytes
{
	my ($found, $kilobytes) = split(/\n/, $node->safe_psql('postgres', $read_all));

	is($found, 20000, 'all keys are found');
	return $kilobytes;
}

# How often the postmaster has Postgres's shared memory mapped.
sub mappings
{
	my ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /\A(\d+)/;

	return scalar(() = slurp_file("/proc/$pid/maps") =~ m{rw-s .*/dev/zero}g);
}

cmp_ok(huge_kilobytes(), '>=', 2 * 2048, 'blocks and tails are in huge pages');
my $mappings = mappings();
is($mappings, 3, 'the caches are mapped a second time');

foreach my $time (1 .. 2)
{
	my ($victim, $witness) = (session($node), session($node));

	$witness->send('SELECT pg_sleep(1000)');
	kill('KILL', $victim->pid) or die "kill: $!";
	is(($witness->await_lost)[0], 1, 'the server restarts');
	$_->quit foreach $victim, $witness;
	await_server($node);
	cmp_ok(huge_kilobytes(), '>=', 2 * 2048, "so they are after crash $time");
	is(mappings(), $mappings, 'and the memory of before is gone');
}

$node->append_conf('postgresql.conf', 'skyvault.cache_huge_pages = off');
$node->restart;
is(huge_kilobytes(), 0, 'a setting turns it off');
is(mappings(), 1, 'and then the memory is mapped once');

done_testing();
