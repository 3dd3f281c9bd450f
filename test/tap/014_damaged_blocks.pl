# Bytes of an object are not what was written: who needs them learns which
# object, block and offset, and all else stays readable, cached or not.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('main', settings => "skyvault.compression_level = 0\n");

# Two runs, each with keys of many blocks, one with a value of many frames.
$node->safe_psql('postgres', <<'SQL');
SELECT skyvault_create_table('kv');
CREATE TABLE plain AS SELECT 'a' || to_char(n, 'FM0000') AS key, sha512(n::text::bytea)::text AS value
	FROM generate_series(1, 2000) AS n;
INSERT INTO plain SELECT 'z' || to_char(n, 'FM0000'), sha512(n::text::bytea)::text FROM generate_series(1, 2000) AS n;
INSERT INTO plain VALUES ('a1000large', repeat('0123456789', 10000));
SELECT skyvault_multi_put('kv', array_agg(key), array_agg(value)) FROM plain WHERE key < 'b';
SELECT skyvault_flush();
SELECT skyvault_multi_put('kv', array_agg(key), array_agg(value)) FROM plain WHERE key > 'b';
SELECT skyvault_flush();
SQL
my ($object) = run_objects($node);
my $file = $node->data_dir . "/skyvault/$object";
my ($file_bytes, $tail_bytes) = split(/\|/,
	$node->safe_psql('postgres', 'SELECT file_bytes, tail_bytes FROM skyvault.run ORDER BY id LIMIT 1'));
my $whole = slurp_file($file);

# In the object's place, because servers keep objects open.
sub write_object
{
	my ($bytes) = @_;

	open(my $out, '+<:raw', $file) or die "$file: $!";
	print $out $bytes or die "$file: $!";
	truncate($out, length($bytes)) or die "$file: $!";
	close($out) or die "$file: $!";
	return;
}

sub clear_cache
{
	$node->safe_psql('postgres', 'SELECT skyvault_clear_cache()');
	return;
}

sub equal_keys
{
	my ($where) = @_;

	return $node->safe_psql('postgres',
		"SELECT count(*) FROM skyvault_multi_get('kv', ARRAY(SELECT key FROM plain WHERE $where)) JOIN plain USING (key, value)");
}

# Values are not compressed: so a key's block is found by its value in the file.
sub position_of
{
	my ($key) = @_;
	my $value = $node->safe_psql('postgres', "SELECT value FROM plain WHERE key = '$key'");
	my $position = index($whole, $value);

	die "$key is not in the object" if $position < 0;
	return $position + 5;
}

sub flipped
{
	my ($position) = @_;
	my $bytes = $whole;

	substr($bytes, $position, 1) = chr(ord(substr($bytes, $position, 1)) ^ 1);
	return $bytes;
}

# What is said of a block: its number, and an offset that is not behind the harmed byte.
sub block_is_named
{
	my ($sql, $position, $case) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	my ($block, $offset) = $stderr =~ /ERROR:  XX001: corrupted block (\d+) at offset (\d+) of object "\Q$object\E"/;

	ok(defined $block, "$case: object, block and offset are named") or diag($stderr);
	ok(defined $offset && $offset <= $position && $offset + 20_000 + 100_000 * ($case =~ /large/) > $position,
		"$case: the offset is that of the block");
	like($stderr, qr/^HINT:  /m, "$case: and there is a hint");
	return $block;
}

#
# One block is damaged.
#
my %harmed = ('the first block' => 'a0003', 'a block in the middle' => 'a0700', 'a large block' => 'a1000large', 'the last block' => 'a1999');
foreach my $place (sort keys %harmed)
{
	my $key = $harmed{$place};
	my $position = position_of($key);
	my $others = $place eq 'a large block' ? "key <> '$key'" : "key > 'b' OR abs(substr(key, 2, 4)::int - substr('$key', 2, 4)::int) > 150";
	my $count = $node->safe_psql('postgres', "SELECT count(*) FROM plain WHERE $others");
	my @reads = (
		"SELECT skyvault_get('kv', '$key')",
		"SELECT skyvault_exists('kv', '$key')",
		"SELECT * FROM skyvault_multi_get('kv', ARRAY['z0001', '$key', 'a0001', 'none'])",
		"SELECT skyvault_get_array('kv', ARRAY['$key', '$key'])",
		"SELECT * FROM kv WHERE key = ANY (ARRAY['$key'])",
		"SELECT count(*) FROM skyvault_scan('kv')",
		"SELECT count(*) FROM skyvault_scan('kv', reverse => true)",
		"SELECT skyvault_prewarm('kv')");

	# Not yet cached: the others are read while this one cannot be.
	write_object(flipped($position));
	clear_cache();
	my %blocks = map { (block_is_named($_, $position, "$place, $_") // 'none') => 1 } @reads;
	is(scalar keys %blocks, 1, "$place: all name the same block");
	is(equal_keys($others), $count, "$place: other blocks are loaded and right");
	is(equal_keys($others), $count, "$place: and right from the cache");
	block_is_named($reads[0], $position, "$place, again");
	is($node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, "$place: nothing is pinned");

	# Whole again: what failed is not remembered.
	write_object($whole);
	is(equal_keys('true'), 4001, "$place: all is right when the block is");

	# Cached: nobody notices.
	write_object(flipped($position));
	is(equal_keys('true'), 4001, "$place: what is cached stays right");
	write_object($whole);
	clear_cache();
}

#
# The file ends early, and who needs what is missing learns where.
#
{
	my $cut = position_of('a1500');
	my $offset = qr/ERROR:  XX001: .*object "\Q$object\E".* offset \d+.*HINT:  /s;
	my @lost = (
		"SELECT skyvault_get('kv', 'a1999')",
		"SELECT * FROM skyvault_multi_get('kv', ARRAY['z0001', 'a1999', 'a0001', 'a1600'])",
		"SELECT * FROM kv WHERE key IN ('a1999', 'a0002')",
		"SELECT count(*) FROM skyvault_scan('kv')",
		"SELECT count(*) FROM skyvault_scan('kv', reverse => true)",
		"SELECT skyvault_prewarm('kv')");

	clear_cache();
	$node->safe_psql('postgres', "SELECT count(*) FROM skyvault_index('kv')");
	write_object(substr($whole, 0, $cut));
	like(($node->psql('postgres', "\\set VERBOSITY verbose\n$_"))[2], $offset, "a file that ends early: $_") foreach @lost;
	is(equal_keys("key < 'a1000' OR key > 'b'"), 2999, 'a file that ends early: what is before its end is right');
	write_object($whole);
	clear_cache();
	is(equal_keys('true'), 4001, 'a file that ends early: all is right when it does not');
}

#
# Files that are not ours, or not yet.
#
sub fails_everywhere
{
	my ($sqlstate, $pattern, $case) = @_;

	fails_with($node, $_, $sqlstate, $pattern, "$case: $_")
	  foreach "SELECT skyvault_get('kv', 'a0001')",
	  "SELECT * FROM skyvault_multi_get('kv', ARRAY['z0001', 'a0001'])",
	  "SELECT count(*) FROM skyvault_scan('kv')",
	  "SELECT * FROM skyvault_index('kv')",
	  "SELECT skyvault_prewarm('kv')";
	is(equal_keys("key > 'b'"), 2000, "$case: another run is readable");
	is($node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, "$case: nothing is pinned");
	return;
}

my $names_object = qr/\Q$object\E/;
clear_cache();
write_object('PAR1' . ('parquet' x ($file_bytes / 7 + 1)));
fails_everywhere('XX001', $names_object, 'a foreign file that is longer');
write_object(substr(('%PDF-1.7' x ($file_bytes / 8 + 1)), 0, $file_bytes));
fails_everywhere('XX001', $names_object, 'a foreign file of the same length');
write_object("\0" x $file_bytes);
fails_everywhere('XX001', $names_object, 'zeros');
write_object(slurp_file($node->data_dir . '/skyvault/' . (run_objects($node))[1]));
fails_everywhere('XX001', $names_object, 'the object of another run');
write_object('');
fails_everywhere('XX001', $names_object, 'an empty file');
write_object($whole);
is(equal_keys('true'), 4001, 'all is right when the object is');

# A tail of version 2, whose hash is right: the example of FORMAT.md with another version.
my $future = pack('H*', join('', qw(
	01056170706c65726564020662616e616e61810640420f000000000063686572
	72796461726b0000000a00080014000300010000000500000000000000000000
	000000000000000000000000000000000000000000000000002239b98fe638f7
	87310000003100000000000300000000006170706c6563686572727900000000
	0000000000000000000000000000000000030000000000000001000000000000
	0018000000000000003100000000000000000000000000000031000000000000
	0000000000000000003100000000000000000000000000000031000000000000
	004b000000000000009100000000000000180000000000000002000000680000
	00ce1036891fce29cb89534b595353540a
)));
$node->safe_psql('postgres', "UPDATE skyvault.run SET file_bytes = 273, tail_bytes = 224 WHERE object = '$object'");
write_object($future);
$node->restart;
fails_everywhere('0A000', qr/object "\Q$object\E" has format version 2, newer than version 1.*HINT: /s, 'a file of the future');
write_object($whole);
$node->safe_psql('postgres',
	"UPDATE skyvault.run SET file_bytes = $file_bytes, tail_bytes = $tail_bytes WHERE object = '$object'");
$node->restart;
is(equal_keys('true'), 4001, 'all is right when the object is of today');

#
# A tail that is damaged harms only those who need its run: not who finds all in a
# newer one, though tails of several runs are asked for at once.
#
$node->safe_psql('postgres', <<'SQL');
UPDATE plain SET value = 'new ' || value WHERE key BETWEEN 'a0100' AND 'a0200';
SELECT skyvault_multi_put('kv', array_agg(key), array_agg(value)) FROM plain WHERE key BETWEEN 'a0100' AND 'a0200';
SELECT skyvault_flush();
SQL
write_object(flipped($file_bytes - 100));
foreach my $read (
	"SELECT count(*) FROM skyvault_multi_get('kv', ARRAY(SELECT key FROM plain WHERE value LIKE 'new %')) JOIN plain USING (key, value)",
	"SELECT count(*) FROM kv JOIN plain USING (key, value) WHERE kv.key = ANY (ARRAY(SELECT key FROM plain WHERE value LIKE 'new %'))",
	"SELECT cardinality(array_remove(skyvault_get_array('kv', ARRAY(SELECT key FROM plain WHERE value LIKE 'new %')), NULL))",
	"SELECT count(*) FROM plain WHERE value LIKE 'new %' AND skyvault_get('kv', key) = value")
{
	clear_cache();
	is($node->safe_psql('postgres', $read), 101, "a damaged tail of an older run: $read");
}
clear_cache();
fails_with($node, "SELECT * FROM skyvault_multi_get('kv', ARRAY['a0150', 'a0050'])", 'XX001', qr/corrupted tail at offset \d+ of object "\Q$object\E"/,
	'a damaged tail of an older run: a batch that needs it');
fails_with($node, "SELECT skyvault_get('kv', 'a0050')", 'XX001', $names_object, 'a damaged tail of an older run: a get that needs it');
is($node->safe_psql('postgres', 'SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, 'a damaged tail of an older run: nothing is pinned');
write_object($whole);
is(equal_keys('true'), 4001, 'all is right when its tail is');

done_testing();
