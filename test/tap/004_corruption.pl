# Objects of the store are harmed: who reads what was harmed gets XX001 and the
# name of the object, and everything else stays readable.
use strict;
use warnings;

use File::Copy qw(copy);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main');

# Runs of three flushes: the low keys of the table "kv", its high keys, and
# another table.  Values that do not compress make many blocks.
$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('kv');
SELECT skyvault_create_table('other');
SELECT skyvault_multi_put('kv', array_agg('a' || to_char(n, 'FM0000')), array_agg(sha512(n::text::bytea)::text))
	FROM generate_series(1, 2000) AS n;
SELECT skyvault_flush();
SELECT skyvault_multi_put('kv', array_agg('z' || to_char(n, 'FM0000')), array_agg(sha512(n::text::bytea)::text))
	FROM generate_series(1, 2000) AS n;
SELECT skyvault_flush();
SELECT skyvault_put('other', 'key', 'value');
SELECT skyvault_flush();
SQL
my ($object) = run_objects($node);
my $file = $node->data_dir . "/skyvault/$object";
my ($file_bytes, $tail_bytes) = split(/\|/,
	$node->safe_psql('postgres', 'SELECT file_bytes, tail_bytes FROM skyvault.run ORDER BY id LIMIT 1'));
my $data_bytes = $file_bytes - $tail_bytes;
my $whole = slurp_file($file);

is(length($whole), $file_bytes, 'the registry knows the size of the object');
cmp_ok($data_bytes, '>', 100_000, 'the object has many blocks');

my $digest_of_high_keys =
  "SELECT md5(string_agg(key || value, ',' ORDER BY key)) FROM skyvault_scan('kv', 'z', NULL)";
my $high_keys = $node->safe_psql('postgres', $digest_of_high_keys);

# The object's bytes become these, and nobody remembers the old ones.
sub harm
{
	my ($bytes) = @_;

	open(my $out, '>:raw', $file) or die "$file: $!";
	print $out $bytes;
	close($out) or die "$file: $!";
	$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
}

sub flipped
{
	my ($position) = @_;
	my $bytes = $whole;

	substr($bytes, $position, 1) = chr(ord(substr($bytes, $position, 1)) ^ 0x10);
	return $bytes;
}

sub others_are_readable
{
	my ($case) = @_;

	is($node->safe_psql('postgres', $digest_of_high_keys), $high_keys, "$case: keys in another run are readable");
	is($node->safe_psql('postgres', "SELECT skyvault_get('other', 'key')"), 'value',
		"$case: another table is readable");
	is($node->safe_psql('postgres',
			"BEGIN; SELECT skyvault_put('kv', 'a0001', 'new'); SELECT skyvault_get('kv', 'a0001'); ROLLBACK"),
		"\nnew", "$case: keys of the harmed run can be written");
}

my $read_forward = "SELECT count(*) FROM skyvault_scan('kv', 'a', 'b')";
my $read_backward = "SELECT count(*) FROM skyvault_scan('kv', 'a', 'b', reverse => true)";
my $read_by_key = "SELECT count(value) FROM skyvault_multi_get('kv',"
  . " (SELECT array_agg('a' || to_char(n, 'FM0000')) FROM generate_series(1, 2000) AS n))";

sub low_keys_are_corrupt
{
	my ($case) = @_;

	fails_with($node, $read_forward, 'XX001', qr/\Q$object\E/, "$case: a scan forward fails and names the object");
	fails_with($node, $read_backward, 'XX001', qr/\Q$object\E/, "$case: a scan backward fails and names the object");
	fails_with($node, $read_by_key, 'XX001', qr/\Q$object\E/, "$case: a multi_get fails and names the object");
}

# One byte, at places spread over blocks and tail.
my %positions = (
	'the first byte' => 0,
	'a byte in the first block' => 1000,
	'a byte in the middle' => int($data_bytes / 2),
	'the last byte before the tail' => $data_bytes - 1,
	'the first byte of the tail' => $data_bytes,
	'a byte in the middle of the tail' => $data_bytes + int($tail_bytes / 2),
	'the last byte' => $file_bytes - 1);
foreach my $place (sort { $positions{$a} <=> $positions{$b} } keys %positions)
{
	harm(flipped($positions{$place}));
	low_keys_are_corrupt("$place flipped");
	others_are_readable("$place flipped");
}

# No byte is without a checksum: of every block and every part of the tail.
my @silent;
for (my $position = 7; $position < $file_bytes; $position += int($file_bytes / 60))
{
	harm(flipped($position));
	my ($status, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$read_forward");
	push @silent, $position unless $status != 0 && $stderr =~ /ERROR:  XX001: .*\Q$object\E/;
}
is("@silent", '', 'a flipped byte is noticed wherever it is');

# A block that is whole can be read while its neighbour cannot.
harm(flipped($data_bytes - 100));
is($node->safe_psql('postgres', "SELECT skyvault_get('kv', 'a0001') = sha512('1')::text"), 't',
	'a key in another block of the harmed object is readable');
fails_with($node, "SELECT skyvault_get('kv', 'a2000')", 'XX001', qr/\Q$object\E/, 'a key in the harmed block is not');
fails_with($node, "SELECT skyvault_exists('kv', 'a2000')", 'XX001', qr/\Q$object\E/, 'nor is whether it exists');

my %lengths = ('half of the object' => int($file_bytes / 2), 'all but one byte' => $file_bytes - 1, 'nothing' => 0);
foreach my $what (sort keys %lengths)
{
	harm(substr($whole, 0, $lengths{$what}));
	low_keys_are_corrupt("$what left");
	others_are_readable("$what left");
}

unlink($file) or die "$file: $!";
$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
low_keys_are_corrupt('the object deleted');
others_are_readable('the object deleted');

# The harmed object stands in nobody's way, and the real one brings all back.
$node->safe_psql('postgres', "SELECT skyvault_put('kv', 'a0002', 'new')");
is($node->safe_psql('postgres', 'SELECT skyvault_flush()'), 1, 'a flush works while an object is missing');
is($node->safe_psql('postgres', "SELECT skyvault_get('kv', 'a0002')"), 'new',
	'a key that has a newer value in another run is readable');
harm($whole);
is($node->safe_psql('postgres', "$read_forward; $read_backward; $read_by_key"), "2000\n2000\n2000",
	'all is readable when the object is back');

done_testing();
