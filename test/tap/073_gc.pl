# What was removed is deleted when nobody can need it any more, and not before.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('node', settings => "skyvault.retention = 0\nskyvault.orphan_grace = 0\n");
my $store = $node->data_dir . '/skyvault';
my $key = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub setting
{
	my ($name, $value) = @_;

	$node->append_conf('postgresql.conf', "$name = $value\n");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT setting = '$value' FROM pg_settings WHERE name = '$name'") or die;
}

# A run that is removed by a TRUNCATE; its object.
sub make_garbage
{
	sql("SELECT skyvault_put('kv', 'key " . ++$key . "', 'value')");
	sql('SELECT skyvault_flush()');
	my ($object) = reverse(run_objects($node));
	sql('TRUNCATE kv');
	return $object;
}

sub held_by { return sql("SELECT coalesce(held_by, 'nobody') FROM skyvault_gc(dry_run => true) WHERE object = '$_[0]'"); }

# Collects; whether the object is gone, which the rows have to tell as well.
sub is_collected
{
	my ($object) = @_;
	my $told = sql("SELECT held_by IS NULL FROM skyvault_gc() WHERE object = '$object'");
	my $gone = -e "$store/$object" ? 'f' : 't';

	is($told, $gone, 'the rows tell what is gone');
	is(sql("SELECT count(*) FROM skyvault.garbage WHERE object = '$object'"), $gone eq 't' ? 0 : 1, 'and so does the catalogue');
	return $gone eq 't';
}

sql("SELECT skyvault_create_table('kv'); SELECT skyvault_create_table('stays'); SELECT skyvault_put('stays', 'a', 'b')");
sql('SELECT skyvault_flush()');
my ($living) = run_objects($node);

my $object = make_garbage();
is(held_by($object), 'nobody', 'nothing holds it back');
ok(-e "$store/$object", 'a dry run deletes nothing');
is(sql("SELECT bytes > 0, reason FROM skyvault_gc(true) WHERE object = '$object'"), 't|removed', 'a dry run tells the size');
ok(is_collected($object), 'it is collected');

# A snapshot that sees it as it was.
sql("SELECT skyvault_put('kv', 'seen', 'value')");
sql('SELECT skyvault_flush()');
my ($seen) = reverse(run_objects($node));
my $reader = session($node);
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->run("SELECT skyvault_get('stays', 'a')");
my $pid = $reader->run('SELECT pg_backend_pid()');
sql('TRUNCATE kv');
is(held_by($seen), "snapshot of process $pid", 'a snapshot holds it back');
ok(!is_collected($seen), 'it stays for a snapshot');
sql('SELECT skyvault_clear_cache()');
is($reader->run("SELECT skyvault_get('kv', 'seen')"), 'value', 'which reads it');
$reader->run('COMMIT');
ok(is_collected($seen), 'and goes with it');

# A prepared transaction, older than the removal.
sql("BEGIN; CREATE TABLE t (i int); PREPARE TRANSACTION 'it''s old'");
$object = make_garbage();
is(held_by($object), "prepared transaction 'it''s old'", 'a prepared transaction holds it back');
ok(!is_collected($object), 'it stays for a prepared transaction');
sql("ROLLBACK PREPARED 'it''s old'");
ok(is_collected($object), 'and goes with it');

# A slot of a standby that is away.
setting('skyvault.retention', 3600);
$object = make_garbage();
like(held_by($object), qr/^retention until /, 'retention holds it back');
ok(!is_collected($object), 'it stays for that time');
setting('skyvault.retention', 0);
ok(is_collected($object), 'and goes after it');

# Snapshots in the store.
sql("SELECT skyvault_put('kv', 'kept', 'value')");
sql("SELECT skyvault_snapshot('before')");
sql('SELECT skyvault_snapshot()');
my ($kept) = reverse(run_objects($node));
sql('TRUNCATE kv');
is(held_by($kept), 'snapshot before', 'a snapshot with a name keeps it') or is(held_by($kept), '');
sql("SELECT skyvault_drop_snapshot('before')");
is(held_by($kept), 'the latest automatic snapshot', 'and so does the latest without');
ok(!is_collected($kept), 'it stays');
sql('SELECT skyvault_snapshot()');
ok(is_collected($kept), 'until there is another');
is(sql("SELECT count(*) FROM skyvault_gc() WHERE object LIKE '%.snap'"), 0, 'the object of a dropped snapshot goes with the rest');

# Deaths.
foreach my $point ('gc-before-remove', 'gc-removed')
{
	$object = make_garbage();
	my $asker = session($node);
	$asker->run("SELECT stop_point_arm('$point', 'wait')");
	$asker->send('SELECT * FROM skyvault_gc()');
	sql("CALL stop_point_await('$point')");
	kill_postmaster($node);
	$asker->await_lost;
	$asker->quit;
	$node->start;
	is(-e "$store/$object" ? 'there' : 'gone', $point eq 'gc-removed' ? 'gone' : 'there', "death at $point");
	ok(is_collected($object), "death at $point: collected then");
}

# Who has lost the vault deletes nothing, whatever he believes to be garbage.
$object = make_garbage();
my ($uuid) = $object =~ m{^([^/]+)/};
my $owner = slurp_file("$store/$uuid/OWNER");
$node->stop;
$node->start;
unlink("$store/$uuid/OWNER");
fails_with($node, 'SELECT skyvault_gc()', '55000', qr/OWNER" is missing/, 'without OWNER nothing is deleted');
ok(-e "$store/$object", 'it is there');
append_to_file("$store/$uuid/OWNER", $owner);
ok(is_collected($object), 'with OWNER it is');

# Orphans: of a flush that died, of one that failed, and of an earlier start; not of one that is under way.
sub orphan_of
{
	my ($point, $action) = @_;
	my %before = map { $_ => 1 } split(/\n/, `cd $store && find $uuid -name '*.sst'`);

	sql("SELECT skyvault_put('kv', 'key " . ++$key . "', 'value')");
	$action->($point);
	my ($new) = grep { !$before{$_} } split(/\n/, `cd $store && find $uuid -name '*.sst'`);
	return $new;
}
my $failed = orphan_of('flush-before-commit', sub {
	sql("SELECT stop_point_arm('$_[0]', 'error')");
	$node->psql('postgres', 'SELECT skyvault_flush()');
});
ok(defined $failed, 'a flush that fails leaves an object');
is(sql("SELECT held_by IS NULL FROM skyvault_gc(true, true) WHERE object = '$failed' AND reason = 'orphan'"), 't', 'it is seen as an orphan');
ok(-e "$store/$failed", 'a dry run deletes no orphan');
sql('SELECT skyvault_gc(sweep => true)');
ok(!-e "$store/$failed", 'a sweep does');

my $flusher = session($node);
my $uploaded = orphan_of('flush-uploaded', sub {
	$flusher->run("SELECT stop_point_arm('$_[0]', 'wait')");
	$flusher->send('SELECT skyvault_flush()');
	sql("CALL stop_point_await('$_[0]')");
});
is(sql("SELECT count(*) FROM skyvault_gc(true, true) WHERE object = '$uploaded'"), 0, 'an upload in progress is none');
sql("SELECT stop_point_disarm('flush-uploaded')");
$flusher->receive;
is(sql("SELECT count(*) FROM skyvault_gc(sweep => true) WHERE object = '$uploaded'"), 0, 'and is no orphan once it is registered');
ok(-e "$store/$uploaded", 'it is there');
is(sql("SELECT value FROM skyvault_scan('kv') WHERE key = 'key $key'"), 'value', 'and read');
$flusher->quit;

my $died = orphan_of('flush-uploaded', sub {
	my $asker = session($node);
	$asker->run("SELECT stop_point_arm('$_[0]', 'wait')");
	$asker->send('SELECT skyvault_flush()');
	sql("CALL stop_point_await('$_[0]')");
	kill_postmaster($node);
	$asker->await_lost;
	$asker->quit;
	$node->start;
});
sql('SELECT skyvault_flush()');
setting('skyvault.orphan_grace', 3600);
sql('SELECT skyvault_gc(sweep => true)');
ok(-e "$store/$died", 'an orphan of an earlier epoch has a time of grace');
setting('skyvault.orphan_grace', 0);
sql('SELECT skyvault_gc(sweep => true)');
ok(!-e "$store/$died", 'and goes after that');
ok(-e "$store/$living" && -e "$store/$uuid/OWNER", 'what lives is there after all of that');
is(sql("SELECT count(*) FROM skyvault.run AS r WHERE (pg_stat_file('skyvault/' || r.object, true)).size IS NULL"), 0, 'every run has its object');

# An object that a user's transaction wrote, while it runs, is prepared, and has gone.
sql("BEGIN; CREATE TABLE loaded (i int); PREPARE TRANSACTION 'load'");
my $xid = sql("SELECT transaction FROM pg_prepared_xacts");
my $loaded = sprintf('%s/%s/0123456789abcdef/1-x%s.sst', $uuid, sql('SELECT epoch FROM skyvault_vaults'), $xid);
mkdir("$store/" . ($loaded =~ s{/[^/]+$}{}r));
append_to_file("$store/$loaded", 'what a load wrote');
sql('SELECT skyvault_gc(sweep => true)');
ok(-e "$store/$loaded", 'what a prepared transaction wrote stays');
sql("ROLLBACK PREPARED 'load'");
sql('SELECT skyvault_gc(sweep => true)');
ok(!-e "$store/$loaded", 'and goes after its end');

# By itself.
$object = make_garbage();
setting('skyvault.gc_interval', 1);
for (1 .. 400) { last unless -e "$store/$object"; select(undef, undef, undef, 0.1); }
ok(!-e "$store/$object", 'the worker collects by itself');

done_testing();
