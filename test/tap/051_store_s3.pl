# A vault in a bucket, as SQL sees it: its life, what it asks the store for, whose
# keys it uses, and where they never are.
use strict;
use warnings;

use File::Find;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => "log_min_messages = debug1\nlog_statement = none\nskyvault.disk_cache_size = 0\nlog_error_verbosity = verbose\n");
my $bad_secret = 'ThisSecretIsWrong0123456789';

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Of the proxy's log: "METHOD METHOD ...".
sub asked
{
	return join(' ', map { $_->{method} } $s3->requests(@_));
}

# ------------------------------------------------------------------- its life
sql($s3->create_server('vault'));
is(asked(), '', 'CREATE SERVER asks the store for nothing');
make_mirror($node, [ 'kv', 'other' ], 'vault');
sql(q{
	SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg(sha512(n::text::bytea)::text)) FROM generate_series(1, 20000) AS n;
	SELECT mirror_put('other', 'a', 'b');
});
is(asked(), '', 'neither do tables and writes');
is(sql(q{EXPLAIN (COSTS off) SELECT * FROM kv WHERE key = 'k1'}) =~ /Key Condition/, 1, 'EXPLAIN works');
is(asked(), '', 'and asks the store for nothing');
is(sql('SELECT skyvault_flush()'), 20001, 'a flush');
is(asked(target => '\.sst'), 'PUT', 'is one PUT');
is(delta_rows($node), 0, 'and empties the delta');
same_content($node, [ 'kv', 'other' ], 'what was flushed is read from the bucket');
$node->restart;
$s3->forget_requests;
is(sql(q{SELECT skyvault_get('kv', 'k77') = sha512('77')::text}), 't', 'a get after a restart');
cmp_ok(scalar(() = $s3->requests(method => 'GET')), '<=', 2, 'asks for the tail and for one block at most');
$s3->forget_requests;
is(sql(q{SELECT skyvault_get('kv', 'k77') = sha512('77')::text}), 't', 'the same once more');
is(asked(), '', 'asks for nothing');
same_content($node, [ 'kv', 'other' ], 'after a restart tables agree with their mirrors');
sql(q{SELECT mirror_delete('kv', 'k1'); SELECT mirror_put('kv', 'k2', 'new'); SELECT skyvault_flush()});
same_content($node, [ 'kv', 'other' ], 'so they do after a second flush');
my ($prefix) = sql(q{SELECT option FROM pg_foreign_server, unnest(srvoptions) AS option
	WHERE srvname = 'vault' AND option LIKE 'url=%'}) =~ m{^url=s3://[^/]+/(.*)};
is(scalar(grep { /\.sst$/ } $s3->objects($prefix)), 2, 'the bucket has two runs');

# ------------------------------------------------------------------- accounts
sql('SELECT skyvault_stat_store_reset(); SELECT skyvault_clear_cache()');
$s3->forget_requests;
sql(q{SELECT mirror_put('kv', 'counted', 'value')});
sql('SELECT skyvault_flush()');
same_content($node, ['kv'], 'a scan and gets past the caches');
my %asked;
$asked{ $_->{method} }++ foreach $s3->requests;
my $wanted = join("\n", map { "$_|$asked{$_}" } sort keys %asked);
is(sql(q{SELECT method, sum(requests) FROM skyvault_stat_store, LATERAL (SELECT CASE operation WHEN 'remove' THEN 'DELETE'
			WHEN 'list' THEN 'GET' ELSE upper(operation) END COLLATE "C" AS method) AS m
		WHERE server = 'vault' GROUP BY method ORDER BY method}),
	$wanted, 'skyvault_stat_store counts the requests that the store has met');
is(sql(q{SELECT caller, requests, errors, bytes_in FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'put'}),
	'flush|1|0|0', 'a flush is one PUT in it');
is(sql(q{SELECT bytes_out FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'put'}),
	($s3->requests(method => 'PUT'))[0]{bytes}, 'of as many bytes');
my $got = 0;
$got += $_->{answer_bytes} foreach $s3->requests(method => 'GET');
is(sql(q{SELECT sum(bytes_in) FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'get'}),
	$got, 'and GETs brought as many as they did');
is(sql(q{SELECT bool_and(requests = (SELECT sum(n) FROM unnest(latency) AS n)) FROM skyvault_stat_store}),
	't', 'each request is in the histogram');
sql('SELECT skyvault_clear_cache()');
sql(q{SELECT count(*) FROM skyvault_index('kv')});
sql('SELECT skyvault_stat_store_reset()');
$s3->fault('latency', method => '^GET$', path => '\.sst', ms => 300);
sql(q{SELECT skyvault_get('kv', 'k77')});
$s3->clear_faults;
is(sql(q{SELECT requests, mean_ms >= 300,
			(SELECT string_agg(i || ':' || n, ' ') FROM unnest(latency) WITH ORDINALITY AS b(n, i) WHERE n > 0)
			= 1 + floor(log(2, round(mean_ms::numeric * 1000))) || ':1'
		FROM skyvault_stat_store WHERE server = 'vault' AND operation = 'get' AND caller = 'foreground'}),
	'1|t|t', 'one that takes 300 ms, in the bucket of its time and in no other');

# What a caller asks for, by the counters and by what the store has met meanwhile:
# what is no run, such as OWNER, is read and written for snapshots.
sub by_caller
{
	my ($caller, $query, $pattern) = @_;
	my %met;

	sql('SELECT skyvault_stat_store_reset()');
	$s3->forget_requests;
	sql($query);
	foreach my $request ($s3->requests)
	{
		my ($method, $target) = @$request{qw(method target)};
		my $operation = $method eq 'DELETE' || $target =~ /[?&]delete=/ ? 'remove' : $target =~ /list-type=/ ? 'list' : lc $method;
		my $is_run = $operation =~ /^(?:list|remove)$/ || $target =~ /\.sst/;

		$met{($is_run ? $caller : 'snapshot') . " $operation"}++;
	}
	my $met = join(', ', map { "$_ $met{$_}" } sort keys %met);

	like($met, $pattern, "$caller asks for something");
	return is(sql(q{SELECT string_agg(format('%s %s %s', caller, operation, requests), ', ' ORDER BY caller COLLATE "C", operation COLLATE "C")
			FROM skyvault_stat_store WHERE server = 'vault'}), $met, "and all of $caller is counted");
}
reload_with($node, 'skyvault.retention = 0');
by_caller('compaction', q{SELECT skyvault_compact('kv')}, qr/compaction get \d+, compaction put 1\b/);
by_caller('gc', q{SELECT count(*) FROM skyvault_gc(sweep => true, vault => 'vault')}, qr/gc list \d+, gc remove 1\b/);
by_caller('snapshot', q{SELECT skyvault_snapshot('kept', 'vault')}, qr/snapshot put \d+/);
$node->append_conf('postgresql.conf', "skyvault.price_get = 1\nskyvault.price_put = 10\nskyvault.price_transfer = 1000\n");
$node->restart;
sql(q{SELECT skyvault_get('kv', 'counted'); SELECT mirror_put('kv', 'priced', 'value'); SELECT skyvault_flush()});
is(sql(q{SELECT bool_and(abs(dollars - requests * CASE operation WHEN 'get' THEN 0.001 WHEN 'head' THEN 0.001 WHEN 'remove' THEN 0 ELSE 0.01 END
			- bytes_in / 1e6) < 1e-9), count(*) > 1 FROM skyvault_stat_store WHERE server = 'vault'}),
	't|t', 'dollars are requests and bytes at the prices that are set');

# Nothing is written or read: through many cycles of scheduler and launcher the
# store is asked for nothing.  Each is waited for: a numbering of the default
# vault, which only a cycle of the scheduler does.
sql(q{SELECT skyvault_create_table('near'); SELECT skyvault_flush()});
$s3->forget_requests;
for (1 .. 20)
{
	sql('TRUNCATE near');
	$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.changelog WHERE id IS NULL') or die;
	sql(q{SELECT skyvault_put('near', 'k', 'v'); SELECT skyvault_flush('skyvault')});
}
sql('SELECT skyvault_flush()') for 1 .. 5;
is(asked(), '', 'an idle vault makes no request');

# ------------------------------------------------------------------- where the bucket is named
# In the path, or in the name of the host, of every request of either driver.
(my $localhost = $s3->setting('endpoint')) =~ s/127\.0\.0\.1/localhost/;
foreach my $case ([ 'on', undef ], [ 'off', undef ], [ 'on', 'v2' ], [ 'off', 'v2' ])
{
	my ($style, $signature) = @$case;
	my $name = 'style_' . $style . ($signature // '');
	my $bucket = $s3->setting('bucket');
	my (@requests, @others);

	sql($s3->create_server($name, server => { endpoint => $localhost, path_style => $style, signature => $signature }));
	sql("SELECT skyvault_create_table('$name', server => '$name'); SELECT skyvault_put('$name', 'k', '$name')");
	$s3->forget_requests;
	is(sql("SELECT skyvault_flush('$name')"), 1, "$name: a flush");
	sql('SELECT skyvault_clear_cache()');
	is(sql("SELECT skyvault_get('$name', 'k')"), $name, "$name: a get");
	@requests = $s3->requests;
	@others = grep { $_->{target} =~ m{^/\Q$bucket\E(?:/|\?|$)} xor $style eq 'on' } @requests;
	cmp_ok(scalar(@requests), '>=', 2, "$name: with requests");
	is(join(' ', map { $_->{target} } @others), '', "$name: that all name the bucket there");
}

# ------------------------------------------------------------------- whose keys
# The owner's before PUBLIC's, and nobody else's.
sql(qq{
	CREATE ROLE owner LOGIN; CREATE ROLE reader LOGIN;
	GRANT USAGE ON FOREIGN DATA WRAPPER skyvault TO owner;
	GRANT CREATE, USAGE ON SCHEMA public TO owner;
});
(my $create = $s3->create_server('owned')) =~ s/CREATE USER MAPPING FOR PUBLIC/CREATE USER MAPPING FOR owner/;
sql("SET ROLE owner; $create");
sql(qq{
	SET ROLE owner;
	CREATE USER MAPPING FOR PUBLIC SERVER owned OPTIONS (access_key_id 'WRONG', secret_access_key '$bad_secret');
	GRANT USAGE ON FOREIGN SERVER owned TO reader;
	SELECT skyvault_create_table('owned_kv', server => 'owned');
	SELECT skyvault_put('owned_kv', 'k', 'v');
	GRANT SELECT ON owned_kv TO reader;
	SET ROLE reader;
	CREATE USER MAPPING FOR reader SERVER owned OPTIONS (access_key_id 'WRONG', secret_access_key '$bad_secret');
});
is(sql(q{SELECT skyvault_flush('owned')}), 1, 'the worker uses the keys of the owner, not those of PUBLIC');
sql('SELECT skyvault_clear_cache()');
is(sql(q{SET ROLE reader; SELECT skyvault_get('owned_kv', 'k')}), 'v', 'so does a reader with keys of his own');
sql('ALTER SERVER owned OWNER TO reader; SELECT skyvault_clear_cache()');
fails_with($node, q{SELECT skyvault_get('owned_kv', 'k')}, '42501', qr/^HINT: /m,
	'with another owner it is that one\'s keys, which the store denies');
sql('ALTER SERVER owned OWNER TO owner');
is(sql(q{SELECT skyvault_get('owned_kv', 'k')}), 'v', 'with the old owner they are good again');

# A session that has the store open notices each change at once.
my $session = session($node);
sub get
{
	$session->run('SELECT skyvault_clear_cache()');
	return $session->try(q{SELECT skyvault_get('owned_kv', 'k')});
}
is((get())[0], 'v', 'a session has the store open');
sql(qq{ALTER USER MAPPING FOR owner SERVER owned OPTIONS (SET secret_access_key '$bad_secret')});
like((get())[1], qr/ERROR:  42501/, 'a wrong secret is 42501 at once');
fails_with($node, q{SELECT skyvault_put('owned_kv', 'k2', 'v'); SELECT skyvault_flush('owned')}, '42501', qr/^HINT: /m,
	'and for the worker');
sql(q{DROP USER MAPPING FOR owner SERVER owned; DROP USER MAPPING FOR PUBLIC SERVER owned});
like((get())[1], qr/ERROR:  42704.*has no keys/, 'without a user mapping it is 42704');
sql(q{CREATE USER MAPPING FOR PUBLIC SERVER owned OPTIONS (} . ($create =~ /MAPPING.*OPTIONS \((.*)\);/)[0] . ')');
is((get())[0], 'v', 'with good keys all is well at once');
is(sql(q{SELECT skyvault_flush('owned')}), 1, 'and the worker flushes what was left');

# Temporary keys.
my ($id, $secret, $token) = $s3->token;
sql(qq{ALTER USER MAPPING FOR PUBLIC SERVER owned
	OPTIONS (SET access_key_id '$id', SET secret_access_key '$secret', ADD session_token '$token')});
is((get())[0], 'v', 'temporary keys with their token are good');
sql(q{ALTER USER MAPPING FOR PUBLIC SERVER owned OPTIONS (SET session_token 'wrong')});
like((get())[1], qr/ERROR:  42501/, 'with another token they are not');
sql(qq{ALTER USER MAPPING FOR PUBLIC SERVER owned OPTIONS (SET session_token '$token')});
is((get())[0], 'v', 'and with the right one again');
$session->quit;

# ------------------------------------------------------------------- where keys never are
# Statements with keys in them are none of ours; they are not in the log here,
# which has everything else.
my @secrets = ($s3->setting('secret_access_key'), $bad_secret, $secret, $token);

sub leaks
{
	my ($text) = @_;

	return scalar grep { index($text, $_) >= 0 } @secrets;
}
is(leaks(slurp_file($node->logfile)), 0, 'no secret is in the log');
$node->psql('postgres', qq{
	CREATE USER MAPPING FOR CURRENT_USER SERVER vault OPTIONS (access_key_id 'x', secret '$bad_secret');
});
is(leaks(slurp_file($node->logfile)), 0, 'a user mapping that is refused is not logged with its keys');
is(leaks(sql(q{EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) SELECT * FROM owned_kv})), 0, 'nor are they in EXPLAIN');
my $dump = '';
foreach my $table (split(/\n/, sql(q{SELECT oid::regclass FROM pg_class
	WHERE relnamespace = 'skyvault'::regnamespace AND relkind IN ('r', 'v', 'm')})),
	qw(pg_foreign_server pg_foreign_table skyvault_stat_store skyvault_store_waits skyvault_cache pg_stat_activity))
{
	$dump .= sql("SELECT t::text FROM $table AS t");
}
is(leaks($dump), 0, 'nor in a catalogue but pg_user_mapping');
cmp_ok(leaks(sql('SELECT umoptions FROM pg_user_mapping')), '>', 0, 'which has them');
fails_with($node, 'SET ROLE reader; SELECT umoptions FROM pg_user_mapping', '42501', qr/permission denied/,
	'and which is not for everybody');
is(leaks(sql('SET ROLE reader; SELECT umoptions::text FROM pg_user_mappings WHERE umuser = 0')), 0, 'nor is its view');

# ------------------------------------------------------------------- a server that is dropped
# A session's connection to its store goes with the next use of any other.
SKIP:
{
	skip 'needs /proc', 2 unless -d "/proc/$$/fd";
	sql($s3->create_server($_) . qq{;
		SELECT skyvault_create_table('kv_$_', server => '$_'); SELECT skyvault_put('kv_$_', 'k', 'v'); SELECT skyvault_flush('$_')})
	  foreach qw(stays goes);
	sql('SELECT skyvault_clear_cache()');
	sql('SELECT skyvault_clear_disk_cache()');
	my $session = session($node);
	my $pid = $session->pid;
	my $sockets = sub { return scalar grep { (readlink($_) // '') =~ /^socket:/ } glob("/proc/$pid/fd/*") };

	$session->run(q{SELECT skyvault_get('kv_stays', 'k')});
	my $before = $sockets->();
	$session->run(q{SELECT skyvault_get('kv_goes', 'k')});
	cmp_ok($sockets->(), '>', $before, 'a session has a connection to each store');
	$session->run('DROP SERVER goes CASCADE');
	$session->run(q{SELECT skyvault_get('kv_stays', 'k')});
	$session->run(q{SELECT skyvault_clear_cache()});
	$session->run(q{SELECT skyvault_get('kv_stays', 'k')});
	is($sockets->(), $before, 'that to the store of a dropped server is closed');
	$session->quit;
}

$node->stop;
done_testing();
