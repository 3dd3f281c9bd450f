# What a store may answer, beyond being out of order: refusals, other regions, web
# pages, bodies and ETags that are not what they should be, storms of errors, and
# uploads in parts whose parts go wrong.  Each has its SQLSTATE and a hint, loses
# nothing, ends no process, and is over by itself.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.store_timeout = 2s
skyvault.store_retries = 2
skyvault.disk_cache_size = 0
skyvault.compression_level = 0
SETTINGS
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_round
{
	my ($table, $keys) = @_;

	$round++;
	return sql(qq{SELECT mirror_multi_put('$table', array_agg('k' || n), array_agg('$round ' || sha512(n::text::bytea)::text))
		FROM generate_series(1, $keys) AS n});
}

# About 20 MB, which goes up in parts.
sub write_large
{
	$round++;
	return sql(qq{TRUNCATE large, m_large;
		SELECT mirror_multi_put('large', array_agg('k' || n),
		array_agg('$round ' || repeat(sha512(n::text::bytea)::text, 8))) FROM generate_series(1, 20000) AS n});
}

# By one scan: gets of so many keys take long without a cache that holds them.
sub large_is_right
{
	my ($test_name) = @_;

	sql('SELECT skyvault_clear_cache()');
	return is(sql(q{SELECT count(*), count(*) FILTER (WHERE s.value IS DISTINCT FROM p.value)
			FROM skyvault_scan('large') AS s FULL JOIN m_large AS p ON s.key = p.key}),
		'20000|0', $test_name);
}

sub prefix_of
{
	my ($server) = @_;

	return (sql(qq{SELECT option FROM pg_foreign_server, unnest(srvoptions) AS option
		WHERE srvname = '$server' AND option LIKE 'url=%'}) =~ m{^url=s3://[^/]+/(.*)})[0];
}

sql($s3->create_server('vault'));
make_mirror($node, [ 'kv', 'large' ], 'vault');
write_round('kv', 300);
sql('SELECT skyvault_flush()');
my $scheduler = scheduler_pid($node);

# ------------------------------------------------------------------- what SQL says

# A scan past the caches, or a flush: its SQLSTATE, message and hint; and what it
# cost in requests, if that is told.
sub reading
{
	my ($case, $fault, $state, $pattern, $hint, $requests) = @_;
	my $rule = $s3->fault(@$fault);

	sql('SELECT skyvault_clear_cache()');
	$s3->forget_requests;
	fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, $state, qr/$pattern/, "$case: a scan");
	fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, $state, $hint // qr/^HINT: /m, "$case: it says what to do");
	is(scalar(() = $s3->requests), 2 * $requests, "$case: each asks so often") if defined $requests;
	$s3->clear_faults;
	return same_content($node, ['kv'], "$case: well when it is over");
}

sub flushing
{
	my ($case, $fault, $state, $pattern, $hint) = @_;
	my $rows;

	write_round('kv', 100);
	$rows = delta_rows($node);
	$s3->fault(@$fault);
	fails_with($node, q{SELECT skyvault_flush('vault')}, $state, qr/$pattern/, "$case: a flush");
	fails_with($node, q{SELECT skyvault_flush('vault')}, $state, $hint // qr/^HINT: /m, "$case: it says what to do");
	is(delta_rows($node), $rows, "$case: the rows stay in the delta");
	$s3->clear_faults;
	cmp_ok(sql('SELECT skyvault_flush()'), '>', 0, "$case: flushed when it is over");
	sql('SELECT skyvault_clear_cache()');
	return same_content($node, ['kv'], "$case: nothing was lost");
}

# Refusals are not tried again.
foreach my $case (
	[ 'an expired token', [ 'status', status => 403, code => 'ExpiredToken' ], '42501', 'the session token has expired' ],
	[ 'a bad token', [ 'status', status => 400, code => 'InvalidToken' ], '42501', 'the session token is not valid' ],
	[ 'another region', [ 'status', status => 301, code => 'PermanentRedirect' ], '58030', 'not in this region' ],
	[ 'a region that is told', [ 'status', status => 400, code => 'AuthorizationHeaderMalformed', region => 'mars-1' ],
		'58030', 'not in this region', qr/^HINT: .*"mars-1"/m ],
	[ 'a code that nobody knows', [ 'status', status => 400, code => 'Whatever' ], '58030', 'Whatever' ],
	[ 'a refusal without a body', [ 'status', status => 403 ], '42501', 'access is denied' ],
	[ 'a web page that refuses', [ 'status', status => 404, html => 1 ], '58030', 'the store refused', qr/^HINT: .*no S3 server/m ])
{
	my ($name, $fault, $state, $pattern, $hint) = @$case;

	reading($name, $fault, $state, $pattern, $hint, 1);
	flushing($name, $fault, $state, $pattern, $hint);
}
flushing('no room', [ 'status', method => '^PUT$', status => 403, code => 'QuotaExceeded' ], '53100', 'a quota is exceeded');
reading('a web page of a gateway', [ 'status', status => 502, html => 1 ], '58030', 'HTTP status 502', undef, 3);

# Answers that are not what was asked for.
reading('a length that is too large', [ 'length', method => '^GET$', add => 10 ], '58030', '\.sst');
reading('a short body of the right length', [ 'short', method => '^GET$', keep => 10 ], '(?:58030|XX001)', '\.sst');
reading('a long body', [ 'body', method => '^GET$', hex => '41' x 100_000 ], '(?:58030|XX001)', '\.sst');
reading('no body', [ 'short', method => '^GET$', keep => 0 ], '(?:58030|XX001)', '\.sst');
reading('a body that stops', [ 'stall', method => '^GET$', keep => 100 ], '58030', '\.sst');
flushing('another ETag than that of the bytes', [ 'etag', method => '^PUT$', etag => '"0123456789abcdef0123456789abcdef"' ],
	'58030', '\.sst');
# A filter on the way that says 200 with a page of its own, to what only a PUT asks for.
flushing('a web page for an object that is written', [ 'html', method => '^PUT$', path => '\.sst' ], '58030', 'not what S3 sends',
	qr/^HINT: .*no S3 server/m);
flushing('no ETag', [ 'etag', method => '^PUT$', path => '\.sst', etag => '' ], '58030', 'not what S3 sends', qr/^HINT: .*no S3 server/m);
foreach my $fault (
	[ 'short', method => '^GET$', path => 'sst', keep => 10, last => 1 ],
	[ 'length', method => '^GET$', add => 10, last => 1 ],
	[ 'stall', method => '^GET$', keep => 100, last => 1 ],
	[ 'hang', method => '^GET$', last => 1 ])
{
	my $name = "@$fault[0..2], once";

	write_round('kv', 50);
	my $rule = $s3->fault(@$fault);
	cmp_ok(sql('SELECT skyvault_flush()'), '>', 0, "$name: a flush does not notice");
	sql('SELECT skyvault_clear_cache()');
	same_content($node, ['kv'], "$name: nor does a scan");
	is($s3->fault_hits($rule), 1, "$name: it was met");
	$s3->clear_faults;
}

# An object that is not there is told by its name, and read again when it is back.
my ($object) = run_objects($node);
my $path = '/' . $s3->setting('bucket') . '/' . prefix_of('vault') . "/$object";
my $copy = PostgreSQL::Test::Utils::tempdir() . '/copy';
$s3->request('GET', $path, '-o', $copy);
$s3->request('DELETE', $path);
sql('SELECT skyvault_clear_cache()');
fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, 'XX001', qr/"\Q$object\E".*^HINT: /ms, 'an object that is gone');
$s3->request('PUT', $path, '--data-binary', "\@$copy");
same_content($node, ['kv'], 'an object that is back');

# ------------------------------------------------------------------- a bucket that denies
# What the store itself says, to keys that are right.
my $denying = 'denying-' . int(rand(1e9));
$s3->request('PUT', "/$denying");
sql($s3->create_server('denied', server => { url => "s3://$denying/x" }));
make_mirror($node, ['denied_kv'], 'denied');
sql(q{SELECT mirror_put('denied_kv', 'k', 'v'); SELECT skyvault_flush('denied')});

sub deny
{
	my ($action, $objects) = @_;

	return $s3->request('PUT', "/$denying?policy=", '--data-binary',
		qq({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":["s3:$action"],"Resource":["arn:aws:s3:::$denying/$objects"]}]}));
}
deny('PutObject', '*');
sql(q{SELECT mirror_put('denied_kv', 'k2', 'v')});
fails_with($node, q{SELECT skyvault_flush('denied')}, '42501', qr/access is denied.*^HINT: .*write/ms, 'a bucket that denies writing');
sql('SELECT skyvault_clear_cache()');
same_content($node, ['denied_kv'], 'reading goes on');
write_round('kv', 10);
cmp_ok(sql(q{SELECT skyvault_flush('vault')}), '>', 0, 'so does the other vault');
deny('GetObject', '*.sst');
is(sql(q{SELECT skyvault_flush('denied')}), 1, 'a bucket that allows writing');
sql('SELECT skyvault_clear_cache()');
fails_with($node, q{SELECT count(*) FROM skyvault_scan('denied_kv')}, '42501', qr/AccessDenied.*^HINT: .*read/ms,
	'a bucket that denies reading');
$s3->request('DELETE', "/$denying?policy=");
same_content($node, ['denied_kv'], 'a bucket that denies nothing');

# ------------------------------------------------------------------- storms
$node->append_conf('postgresql.conf', "skyvault.flush_interval = 1s\n");
$node->reload;
$s3->fault('status', status => 503, code => 'SlowDown');
write_round('kv', 200);
my $failed = sql(q{SELECT count(*) FROM skyvault.job WHERE state = 'failed'});
ok($node->poll_query_until('postgres', "SELECT count(*) >= $failed + 3 FROM skyvault.job WHERE state = 'failed'"),
	'a storm: flushes fail, and are tried again');
write_round('kv', 200);
is(sql(q{SELECT count(*) > 0 FROM skyvault_multi_get('kv', ARRAY['k1', 'k2'])}), 't', 'what is in the delta is read');
is(scheduler_pid($node), $scheduler, 'the scheduler is the same process');
$s3->clear_faults;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM skyvault.delta'), 'the storm is over: flushed unasked');
same_content($node, ['kv'], 'nothing was lost in the storm');

my $rule = $s3->fault('status', status => 500, code => 'InternalError', every => 3);
for (1 .. 5)
{
	write_round('kv', 100);
	cmp_ok(sql(q{SELECT skyvault_flush('vault')}), '>=', 0, "each third request fails: flush $_ does not notice");
	sql('SELECT skyvault_clear_cache()');
	same_content($node, ['kv'], "nor do readers, $_");
}
cmp_ok($s3->fault_hits($rule), '>=', 5, 'there were failures');
$s3->clear_faults;
$node->append_conf('postgresql.conf', "skyvault.flush_interval = 0\n");
$node->reload;

# ------------------------------------------------------------------- uploads in parts
sub unfinished_uploads
{
	return () = $s3->request('GET', '/' . $s3->setting('bucket') . '?uploads=') =~ m{<Key>\Q@{[prefix_of('vault')]}\E}g;
}

sub uploading
{
	my ($case, @fault) = @_;

	write_large();
	my $rule = $s3->fault(@fault);
	cmp_ok(sql(q{SELECT skyvault_flush('vault')}), '>=', 20000, "$case: uploaded");
	cmp_ok($s3->fault_hits($rule), '>', 0, "$case: it was met");
	$s3->clear_faults;
	large_is_right("$case: what is there is right");
	return is(scalar(unfinished_uploads()), 0, "$case: no unfinished upload is left");
}

uploading('no fault', 'latency', path => 'uploadId', ms => 1);
uploading('a part that fails', 'status', path => 'partNumber=2', status => 500, code => 'InternalError', last => 1);
uploading('a part whose answer is lost', 'lost', path => 'partNumber=1\b', last => 1);
uploading('a part that is never answered', 'hang', path => 'partNumber=1\b', last => 1);
uploading('a part with another ETag', 'etag', path => 'partNumber=2', etag => '"0123456789abcdef0123456789abcdef"', last => 1);
uploading('a beginning whose answer is a web page', 'status', method => 'POST', path => 'uploads', status => 502, html => 1, last => 1);
uploading('an end whose answer is lost', 'lost', method => 'POST', path => 'uploadId', last => 1);
uploading('an end that fails', 'status', method => 'POST', path => 'uploadId', status => 503, code => 'SlowDown', last => 1);
uploading('an end whose answer is a web page', 'html', method => 'POST', path => 'uploadId', last => 1);

write_large();
$s3->fault('status', path => 'partNumber=2', status => 500, code => 'InternalError');
fails_with($node, q{SELECT skyvault_flush('vault')}, '58030', qr/\.sst.*^HINT: /ms, 'a part that goes on failing: the flush fails');
is(scalar(unfinished_uploads()), 0, 'and leaves no unfinished upload');
$s3->clear_faults;
cmp_ok(sql(q{SELECT skyvault_flush('vault')}), '>=', 20000, 'flushed when it is over');
large_is_right('and all is there');
same_content($node, ['kv'], 'in the other table too');

is(scheduler_pid($node), $scheduler, 'all of this was one and the same scheduler');
is(sql(q{SELECT count(*) FROM skyvault_stat_store WHERE server = 'vault' AND caller = 'flush' AND retries > 0 AND errors > 0}) > 0, 1,
	'the counters tell of it');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'no process died');

$node->stop;
done_testing();
