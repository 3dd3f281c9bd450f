# More versions of a forest in use at once than a backend keeps when nobody
# uses them: each cursor reads on in the version that it began with.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $versions = 9;
my $node = new_server('main');
my $reader = session($node);

$node->safe_psql('postgres', "SELECT skyvault_create_table('kv')");

# Version v has the keys 1 to v, each with the value v, in runs.
sub make_version
{
	my ($version) = @_;

	$node->safe_psql('postgres',
		"SELECT skyvault_multi_put('kv', array_agg(k::text), array_agg('$version'::text)) FROM generate_series(1, $version) AS k;"
		  . 'SELECT skyvault_flush()');
	return;
}

sub content
{
	my ($version) = @_;

	return join("\n", map { "$_|$version" } 1 .. $version);
}

$reader->run('BEGIN');
foreach my $version (1 .. $versions)
{
	make_version($version);
	$reader->run("DECLARE c$version CURSOR FOR SELECT key, value FROM kv ORDER BY key");
	is($reader->run("FETCH c$version"), "1|$version", "cursor $version begins with its version");
}
is($reader->run('SELECT count(*), min(value), max(value) FROM kv'), "$versions|$versions|$versions",
	'a statement of then sees the newest version');
foreach my $version (reverse 2 .. $versions)
{
	is("1|$version\n" . $reader->run("FETCH ALL FROM c$version"), content($version),
		"cursor $version reads on in its version");
	$reader->run("CLOSE c$version") if $version % 2 == 0;
}
$reader->run('COMMIT');

# Versions that other statements have made and dropped meanwhile.
$reader->run('BEGIN');
$reader->run('DECLARE early CURSOR FOR SELECT key, value FROM kv ORDER BY key');
is($reader->run('FETCH early'), "1|$versions", 'a cursor begins');
foreach my $version ($versions + 1 .. 2 * $versions)
{
	make_version($version);
	is($reader->run("SELECT count(*) FROM skyvault_scan('kv') WHERE value = '$version'"), $version,
		"a statement sees version $version");
}
is("1|$versions\n" . $reader->run('FETCH ALL FROM early'), content($versions),
	'the cursor reads on in its version');
$reader->run('ROLLBACK');

# An error amid open cursors lets go of what they use.
$reader->run('BEGIN');
foreach my $version (1 .. $versions)
{
	make_version($version);
	$reader->run("DECLARE c$version CURSOR FOR SELECT key, value FROM kv ORDER BY key");
	$reader->run("FETCH c$version");
}
like(($reader->try('SELECT 1 / 0'))[1], qr/^ERROR:  22012: /m, 'an error while cursors are open');
$reader->run('ROLLBACK');
make_version($versions);
is($reader->run("SELECT count(*) FROM skyvault_scan('kv') WHERE value = '$versions'"), $versions,
	'the session sees the newest version afterwards');

$reader->quit;
$node->stop;
done_testing();
