# More objects than one page of a listing, one batch and one pass have.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultTest;
use Test::More;

my $node = new_server('node', settings => "skyvault.retention = 0\nskyvault.orphan_grace = 0\n");
my $store = $node->data_dir . '/skyvault';

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql("SELECT skyvault_create_table('kv')");
foreach my $i (1 .. 3)
{
	sql("SELECT skyvault_put('kv', 'key $i', 'value')");
	sql('SELECT skyvault_flush()');
}
my @living = run_objects($node);
my ($place) = $living[0] =~ m{^([^/]+/\d+)/};
my ($vault) = sql('SELECT id FROM skyvault.vault');

# Orphans, in order of names before and behind what lives: more than a page of a listing, of 5,000.
my @orphans = map { ("$place/0000000000000000/$_-x3.sst", "$place/ffffffffffffffff/$_-x3.sst") } 1 .. 2600;
mkdir("$store/$place/$_") or die "mkdir: $!" foreach '0000000000000000', 'ffffffffffffffff';
append_to_file("$store/$_", 'x') foreach @orphans;
is(sql("SELECT count(*), count(held_by), count(DISTINCT object), sum(bytes) FROM skyvault_gc(true, true) WHERE reason = 'orphan'"),
	'5200|0|5200|5200', 'a dry run tells all orphans');
is(scalar(grep { !-e "$store/$_" } @orphans), 0, 'and deletes none');
is(sql("SELECT count(*), count(held_by), count(DISTINCT object), sum(bytes) FROM skyvault_gc(sweep => true) WHERE reason = 'orphan'"),
	'5200|0|5200|5200', 'a sweep tells all orphans');
is(scalar(grep { -e "$store/$_" } @orphans), 0, 'and deletes them');
is(sql('SELECT count(*) FROM skyvault.garbage'), 0, 'nothing is left to do');
is(scalar(grep { !-e "$store/$_" } @living), 0, 'what lives is there');
is(sql("SELECT count(*) FROM skyvault_verify_vault('skyvault', true)"), 0, 'and whole');
is(sql('SELECT count(*) FROM skyvault_scan($$kv$$)'), 3, 'and read');

# What the store does not let go, and what cannot be a name, keeps nothing else.
{
	my $kept = "$place/1111111111111111/1-x3.sst";
	my @others = map { "$place/2222222222222222/$_-x3.sst" } 1 .. 3;
	my $outside = $node->data_dir . '/outside';

	mkdir("$store/$place/$_") or die "mkdir: $!" foreach '1111111111111111', '2222222222222222';
	append_to_file($_, 'x') foreach $outside, map { "$store/$_" } $kept, @others;
	chmod(0500, "$store/$place/1111111111111111") or die "chmod: $!";
	my @objects = ($others[0], $kept, $others[1], '../outside', $others[2]);
	sql("INSERT INTO skyvault.garbage VALUES ('$objects[$_]', $vault, '3', now() - interval '1 h' + $_ * interval '1 s')") foreach 0 .. $#objects;
	isnt(scalar($node->psql('postgres', 'SELECT skyvault_gc()')), 0, 'a collection tells of what it may not delete');
	is(join(' ', grep { -e "$store/$_" } $kept, @others), $kept, 'and deletes the rest');
	is(sql("SELECT count(*) FROM skyvault.garbage WHERE object IN ('$kept', '../outside') AND at > now() - interval '30 min'"), 2,
		'which are remembered, behind all others');
	is(sql('SELECT count(*) FROM skyvault.garbage'), 2, 'and nothing else');
	sql("DELETE FROM skyvault.garbage WHERE object = '../outside'");
	fails_with($node, 'SELECT skyvault_gc()', '42501', qr/could not remove file .*1111111111111111/, 'its name is told');
	chmod(0700, "$store/$place/1111111111111111") or die "chmod: $!";
	is(sql('SELECT object FROM skyvault_gc() WHERE held_by IS NULL'), $kept, 'it is deleted when it may be');
	ok(-e $outside, 'what lies elsewhere is not');
}

# By itself: a pass is bounded, the next does not wait for the interval, and a flush waits for one at most.
sql("INSERT INTO skyvault.garbage SELECT format('$place/0000000000000000/%s-x3.sst', n), $vault, '3', now() - interval '1 h' + n * interval '1 ms'"
	  . ' FROM generate_series(1, 20200) AS n');
append_to_file("$store/$place/0000000000000000/20200-x3.sst", 'x');
sql("SELECT stop_point_arm('gc-turn', 'wait')");
reload_with($node, 'skyvault.gc_interval = 1h');
sql("CALL stop_point_await('gc-turn')");
is(sql('SELECT count(*) FROM skyvault.garbage'), 10200, 'a pass deletes so much and no more');
my $flusher = session($node);
$flusher->run("SELECT skyvault_put('kv', 'between', 'value')");
$flusher->send('SELECT skyvault_flush()');
ok($node->poll_query_until('postgres', "SELECT wait_event IS NOT NULL AND state = 'active' FROM pg_stat_activity WHERE pid = " . $flusher->pid),
	'a flush is asked for');
sql("SELECT stop_point_arm('gc-turn', 'wait')");	# which lets the first go on
sql("CALL stop_point_await('gc-turn')");
is(sql('SELECT count(*) FROM skyvault.garbage'), 200, 'the next pass comes at once');
sql("SELECT stop_point_arm('gc-before-remove', 'wait'), stop_point_disarm('gc-turn')");
is_deeply([ $flusher->receive ], [ 1, undef ], 'and before a third the flush is done');
$flusher->quit;
sql("CALL stop_point_await('gc-before-remove')");
is(sql('SELECT count(*) FROM skyvault.garbage'), 200, 'of which nothing is deleted yet');
sql("SELECT stop_point_disarm('gc-before-remove')");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.garbage'), 'it deletes the rest');
ok(!-e "$store/$place/0000000000000000/20200-x3.sst", 'the newest as well');

done_testing();
