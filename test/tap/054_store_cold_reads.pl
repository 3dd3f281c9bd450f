# What is not cached of a store where requests take time: how many requests reads
# make, and how many of them side by side.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => "skyvault.disk_cache_size = 0\nskyvault.store_timeout = 1h\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Values that do not compress: some twelve keys to a block.  Three WAL runs, the
# last of which has new values of every hundredth key, in both tables.
my $value = "(SELECT string_agg(sha512((%s || ':' || i)::bytea)::text, '') FROM generate_series(1, 8) AS i)";

sub load
{
	my ($table, $what, $numbers) = @_;
	my $expression = sprintf($value, "'$what' || n");

	return "SELECT skyvault_multi_put('$table', array_agg('k' || to_char(n, 'FM00000')), array_agg($expression)) FROM $numbers AS n;\n";
}

sql($s3->create_server('vault'));
sql("SELECT skyvault_create_table('$_', server => 'vault')") foreach qw(one two);
sql(load('one', 'one', 'generate_series(1, 9000)') . load('two', 'two', 'generate_series(1, 9000)') . 'SELECT skyvault_flush()');
sql(load('one', 'ones', 'generate_series(10000, 12000)') . load('two', 'twos', 'generate_series(10000, 12000)') . 'SELECT skyvault_flush()');
sql(load('one', 'new', 'generate_series(100, 12000, 100)') . load('two', 'new', 'generate_series(100, 12000, 100)') . 'SELECT skyvault_flush()');
is(sql('SELECT count(*) FROM skyvault.run'), 3, 'three runs');

# What a query asks the store for: (answer, requests).  Everything is cold, or only blocks are.
sub cold
{
	my ($what, $query) = @_;

	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('one')") if $what eq 'blocks';
	$s3->forget_requests;
	my $answer = sql($query);
	return ($answer, scalar $s3->requests(method => '^GET$', target => '\.sst'));
}

sub is_cold
{
	my ($what, $query, $expected, $requests, $name) = @_;
	my ($answer, $asked) = cold($what, $query);

	is($answer, $expected, $name);
	ok($requests =~ /^(\d+)-(\d+)$/ ? $asked >= $1 && $asked <= $2 : $asked == $requests, "$name: $requests requests")
	  or diag("$asked requests");
	return;
}

# ------------------------------------------------------------------- single keys
my $of_42 = sprintf($value, "'one42'");
is_cold('blocks', "SELECT skyvault_get('one', 'k00042') = $of_42", 't', 1, 'a get whose tail is there');
is_cold('blocks', "SELECT skyvault_get('one', 'k00042x') IS NULL", 't', 0, 'a get of a missing key, by the filters');
is_cold('all', "SELECT skyvault_get('one', 'k00042') = $of_42", 't', 2, 'a get with nothing there: tail and block of the only run whose range it is in');
is_cold('all', "SELECT skyvault_get('one', 'k00150') = " . sprintf($value, "'one150'"), 't', 3, 'tails of the two runs that may have it, and a block');
is_cold('all', "SELECT skyvault_get('one', 'k00100') = " . sprintf($value, "'new100'"), 't', 3, 'a get that the newest run answers: both tails, a block');

# ------------------------------------------------------------------- batches
# Twenty keys in both tables, too far from each other for one request.
my $distant = q{(SELECT array_agg('k' || to_char(n, 'FM00000') ORDER BY md5(n::text)) FROM generate_series(55, 8985, 470) AS n)};
my $both = "SELECT count(*), count(value) FROM skyvault_multi_get(array_cat(array_fill('one'::regclass, ARRAY[20]), array_fill('two'::regclass, ARRAY[20])), $distant || $distant)";
is_cold('blocks', $both, '40|40', '35-42', 'a batch over two tables');
is_cold('all', $both, '40|40', '37-44', 'with nothing there: two tails more');
my $near = q{(SELECT array_agg('k' || to_char(n, 'FM00000')) FROM generate_series(3000, 3400) AS n)};
is_cold('blocks', "SELECT count(value) FROM skyvault_multi_get('one', $near)", '401', '1-8', 'keys of neighbouring blocks come with few requests');
is_cold('blocks', "SELECT count(value) FROM one WHERE key = ANY (($near)::text[])", '401', '1-8', 'by = ANY too');

# All requests of a round are made before one of them is answered, as many as the store is asked for at once.
sub side_by_side
{
	my ($what, $query, $expected, $name) = @_;
	my $session = session($node);
	my $rule;

	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('one')") if $what eq 'blocks';
	$rule = $s3->fault('hang', method => '^GET$', path => '\.sst');
	$session->send($query);
	$s3->await_hits($rule, $expected);
	pass("$name: $expected requests wait for answers side by side");
	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	like(($session->receive)[1], qr/57014/, "$name: the query can be cancelled");
	$s3->clear_faults;
	is(($session->run($both))[0], '40|40', "$name: and leaves nothing claimed: the next one reads all");
	is(sql('SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, "$name: nothing is pinned");
	$session->quit;
	return;
}

side_by_side('blocks', $both, 16, 'blocks');
side_by_side('all', $both, 2, 'tails');
side_by_side('all', "SELECT skyvault_get('one', 'k00150')", 2, 'tails of a single key');

# A batch over three runs is one round of blocks, after one of tails: each request of a
# round is there before the first is answered, and none comes later.  Of the eight keys
# the first five are in the first run, two of them in blocks of one request, two in the
# second, one in the third.
sub rounds
{
	my ($what, @rounds) = @_;
	my $session = session($node);
	my $held = 0;
	my $rule;

	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('one')") if $what eq 'blocks';
	$s3->forget_requests;
	$rule = $s3->fault('hold', method => '^GET$', path => '\.sst');
	$session->send(q{SELECT count(value) FROM skyvault_multi_get('one',
		'{k01050,k01170,k03050,k05050,k07050,k10050,k11050,k06100}'::text[])});
	foreach my $requests (@rounds)
	{
		$s3->await_hits($rule, $held += $requests);
		$s3->release;
	}
	is(($session->receive)[0], 8, "$what of three runs: all keys are found");
	is(scalar($s3->requests(method => '^GET$', target => '\.sst')), $held, "$what of three runs: by rounds of @rounds requests");
	$s3->clear_faults;
	$session->quit;
	return;
}

rounds('blocks', 7);
rounds('all', 3, 7);

# So many at once as the store may be asked for, and no more.
foreach my $bound (2, 4)
{
	my $session = session($node);
	my $rule;

	sql('ALTER SERVER vault OPTIONS (' . ($bound == 2 ? 'ADD' : 'SET') . " io_concurrency '$bound')");
	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('one')");
	$rule = $s3->fault('hold', method => '^GET$', path => '\.sst');
	$session->send($both);
	$s3->await_hits($rule, $bound);
	$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM skyvault_store_waits WHERE pid = ' . $session->pid) or die;
	is($s3->fault_hits($rule), $bound, "io_concurrency $bound: so many requests wait for answers, and no more");
	$s3->clear_faults;
	is(($session->receive)[0], '40|40', "io_concurrency $bound: all is read");
	$session->quit;
}
sql('ALTER SERVER vault OPTIONS (DROP io_concurrency)');

# Two at the same time want the same: each block is read once.
{
	my @sessions = map { session($node) } 1 .. 3;

	sql('SELECT skyvault_clear_cache()');
	my ($loads) = sql('SELECT block_loads FROM skyvault_stat_cache');
	my $rule = $s3->fault('latency', method => '^GET$', path => '\.sst', ms => 200);

	$s3->forget_requests;
	$_->send($both) foreach @sessions;
	is(join(' ', map { ($_->receive)[0] } @sessions), '40|40 40|40 40|40', 'three that want the same have it');
	$s3->clear_faults;
	my $asked = $s3->requests(method => '^GET$', target => '\.sst');
	cmp_ok($asked, '<=', 44, 'and each tail and block was asked for once');
	cmp_ok(sql('SELECT block_loads FROM skyvault_stat_cache') - $loads, '<=', 42, 'and loaded once');
	$_->quit foreach @sessions;
}

# ------------------------------------------------------------------- scans
my $blocks = sql(q{SELECT max(blocks) FROM skyvault_index('one')});
cmp_ok($blocks, '>', 150, "a run of $blocks blocks");
is_cold('blocks', q{SELECT count(*), count(DISTINCT value) FROM one}, '11010|11010', '10-40', 'a scan reads ahead');
is_cold('blocks', q{SELECT count(*) FROM skyvault_scan('one', reverse => true)}, '11010', '10-40', 'backward too');
is_cold('blocks', q{SELECT key FROM one LIMIT 1}, 'k00001', '1-2', 'but not for one row');
is_cold('blocks', q{SELECT count(*) FROM skyvault_scan('one', 'k00200', 'k00240')}, '40', '1-4', 'nor beyond its bounds');
is_cold('blocks', q{SELECT skyvault_prewarm('one') > 150}, 't', '5-40', 'prewarming reads ahead');
$s3->forget_requests;
is(sql('SELECT count(*), count(DISTINCT value) FROM one'), '11010|11010', 'what is prewarmed');
is(scalar $s3->requests(method => '^GET$', target => '\.sst'), 0, 'is not asked for again');
is(sql("SELECT skyvault_prewarm('one')"), 0, 'nor brought');

# A window that stops in its middle, of which nobody ever sees the end.
foreach my $scan ('SELECT count(*) FROM one', "SELECT skyvault_prewarm('one')")
{
	my $session = session($node);
	my $rule;

	sql('SELECT skyvault_clear_cache()');
	sql("SELECT count(*) FROM skyvault_index('one')");
	$rule = $s3->fault('stall', method => '^GET$', path => '\.sst', first => 7, keep => 100_000);
	$session->send($scan);
	$s3->await_hits($rule, 1);
	sql('SELECT pg_cancel_backend(' . $session->pid . ')');
	like(($session->receive)[1], qr/57014/, "$scan: whose window stops in the middle can be cancelled");
	$s3->clear_faults;
	is(($session->run('SELECT count(*), count(DISTINCT value) FROM one'))[0], '11010|11010', "$scan: and leaves nothing claimed");
	is(sql('SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, "$scan: nor pinned");
	$session->quit;
}

# Cursors that stay open in the middle of a window, a LIMIT and an error of a subtransaction:
# nothing is under way, others read the same blocks, and the session does other things meanwhile.
{
	my $session = session($node);
	my $other = session($node);

	sql('SELECT skyvault_clear_cache()');
	$session->run('BEGIN');
	$session->run("DECLARE $_ CURSOR FOR SELECT key FROM $_ ORDER BY key") foreach qw(one two);
	is(($session->run("FETCH 1 FROM $_"))[0], 'k00001', "a cursor of $_") foreach qw(one two);
	$session->run("MOVE 3000 FROM $_") foreach qw(one two one);
	is(($session->run('FETCH 1 FROM one'))[0], 'k06002', 'that goes on by turns with another');
	is(($session->run('SELECT count(*) FROM (SELECT * FROM two LIMIT 4000) AS t'))[0], 4000, 'a LIMIT');
	$session->run('SAVEPOINT s');
	$session->send('SELECT count(1 / (key <> $$k05000$$)::integer) FROM one');
	like(($session->receive)[1], qr/22012/, 'an error in the middle');
	$session->run('ROLLBACK TO s');
	is(($other->run("SELECT count(*), count(DISTINCT value) FROM $_"))[0], '11010|11010', "another session reads all of $_")
	  foreach qw(one two);
	is(($session->run('SELECT count(value) FROM one'))[0], 11010, 'so does the first');
	is(($session->run('FETCH 1 FROM one'))[0], 'k06003', 'whose cursors go on');
	is(($session->run('FETCH 1 FROM two'))[0], 'k03002', 'both');
	$session->run('COMMIT');
	is(sql('SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, 'nothing is pinned');
	$_->quit foreach $session, $other;
}

# Three scans of the same at the same time.
{
	my @sessions = map { session($node) } 1 .. 3;

	sql('SELECT skyvault_clear_cache()');
	$_->send('SELECT count(*), count(DISTINCT value) FROM one') foreach @sessions;
	is(join(' ', map { ($_->receive)[0] } @sessions), '11010|11010 11010|11010 11010|11010', 'scans at the same time');
	$_->quit foreach @sessions;
}

# A store that ends in the middle of a round: an error, and all is well when it is back.
$s3->fault('status', method => '^GET$', path => '\.sst', first => 5, status => 403, code => 'AccessDenied');
sql('SELECT skyvault_clear_cache()');
my ($status, undef, $stderr) = $node->psql('postgres', $both);
isnt($status, 0, 'a round of which some requests fail is an error');
like($stderr, qr/Access ?Denied/i, 'that says why');
$s3->clear_faults;
is(sql($both), '40|40', 'and the next one reads all');
is(sql('SELECT coalesce(sum(pins), 0) FROM skyvault_cache'), 0, 'nothing is pinned');

$node->stop;
done_testing();
