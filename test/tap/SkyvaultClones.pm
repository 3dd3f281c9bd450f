# What the tests share in which several databases know one vault: copies of servers,
# who may write, and what became of the objects in the store, a directory.
#
# The vault is that of the server "shared", with a table kv that has a mirror.
package SkyvaultClones;

use strict;
use warnings;

use Digest::MD5;
use Exporter 'import';
use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;
use Time::HiRes;

our @EXPORT = qw(shared_server origin write_and_flush clone_server is_fenced stored_objects harmed_objects restored_content content_of);

my $not_owner = qr/does not own the vault of server "shared".*skyvault_adopt\('shared'\)/s;

# The statement that makes the server, of a store that backups and standbys reach.
sub shared_server
{
	my ($store) = @_;

	return "CREATE SERVER shared FOREIGN DATA WRAPPER skyvault OPTIONS (url 'file:$store', shared 'on')";
}

# A server with the vault in a directory of its own, and something in it, unless it
# is to be unused.  The other parameters are those of new_server.
sub origin
{
	my ($name, %params) = @_;
	my $node = new_server($name, %params);
	my $store = PostgreSQL::Test::Utils::tempdir();

	$node->safe_psql('postgres', shared_server($store));
	make_mirror($node, ['kv'], 'shared');
	write_and_flush($node, 'first') unless $params{unused};
	return ($node, $store);
}

sub write_and_flush
{
	my ($node, $key, $database) = @_;

	$node->safe_psql($database // 'postgres', "SELECT mirror_put('kv', '$key', 'value of $key')");
	return $node->safe_psql($database // 'postgres', "SELECT skyvault_flush('shared')");
}

# A copy of the data directory.  same_place: as a copy of the whole volume would look.
sub clone_server
{
	my ($node, $name, $same_place) = @_;
	my $clone = PostgreSQL::Test::Cluster->new($name);

	mkdir($clone->basedir);
	PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $clone->data_dir,
		filterfn => sub { return $_[0] ne 'postmaster.pid' && $_[0] ne 'log'; });
	chmod(0700, $clone->data_dir);
	if ($same_place)
	{
		unlink($clone->data_dir . '/PG_VERSION');
		link($node->data_dir . '/PG_VERSION', $clone->data_dir . '/PG_VERSION') or die "link: $!";
	}
	$clone->append_conf('postgresql.conf', 'port = ' . $clone->port . "\nunix_socket_directories = '" . $clone->host . "'\n");
	return $clone;
}

# Tests: it does not flush, export, collect or take snapshots; it reads and writes rows.
sub is_fenced
{
	my ($node, $case, $database) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$database //= 'postgres';
	$node->safe_psql($database, "SELECT mirror_put('kv', 'fenced', '$case')");
	foreach my $what ("flush('shared')", "export('shared')", "gc(vault => 'shared')", "snapshot(NULL, 'shared')")
	{
		fails_with($node, "SELECT * FROM skyvault_$what", '55000', $not_owner, "$case: $what is refused", $database);
	}
	is($node->safe_psql($database, "SELECT state FROM skyvault_vaults WHERE server = 'shared'"), 'fenced', "$case: it says so");
	is($node->safe_psql($database, "SELECT * FROM differences('kv')"), '', "$case: it reads");
}

# Of all objects but OWNER: what tells the file and its content from any other.
sub stored_objects
{
	my ($store) = @_;
	my %objects;

	find({ no_chdir => 1, wanted => sub {
		my $name = $_;

		return if $name =~ m{/(?:OWNER|~[^/]*)$};
		open(my $file, '<:raw', $name) or return;
		my @stat = Time::HiRes::stat($file);
		return unless -f $file;
		$objects{ $name =~ s{^\Q$store\E/}{}r } = join(' ', @stat[1, 7, 9], Digest::MD5->new->addfile($file)->hexdigest);
	} }, $store);
	return \%objects;
}

# Names of those that are not there any more, or not as they were.
sub harmed_objects
{
	my ($before, $after) = @_;

	return join(' ', sort(grep { ($after->{$_} // '') ne $before->{$_} } keys %$before));
}

my $restores = 0;

# What a database has of these tables, or of kv, that is made of the store alone, in a new
# database of the node; or the error.  A warning is one too.
sub restored_content
{
	my ($node, $store, $arguments, @tables) = @_;
	my $database = 'restored_' . ++$restores;

	@tables = ('kv') unless @tables;
	$node->safe_psql('template1', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION skyvault; ' . shared_server($store));
	my ($status, undef, $stderr) = $node->psql($database, "SELECT skyvault_restore('shared'" . ($arguments // '') . ')');
	my $content = $status != 0 || $stderr =~ /WARNING/ ? $stderr : $node->safe_psql($database, join(';', map { content_of($_) } @tables));
	$node->safe_psql('template1', "DROP DATABASE $database");
	return $content;
}

sub content_of
{
	my ($table) = @_;

	return qq{SELECT count(*), md5(string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C")) FROM $table};
}

1;
