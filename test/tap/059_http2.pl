# HTTP/2, where a store offers it: nghttpx before the S3 server, which says what it
# was spoken to.
use strict;
use warnings;

use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;
use Time::HiRes qw(usleep);

my ($nghttpx) = grep { -x $_ } map { "$_/nghttpx" } split(/:/, $ENV{PATH}), '/usr/sbin';

unless (defined $nghttpx)
{
	my $wanted = 'needs nghttpx (Debian package nghttp2-proxy; test/tools/install-deps.sh test installs it)';

	die "$wanted\n" if $ENV{CI};
	plan skip_all => $wanted;
}

my $s3 = SkyvaultS3->shared;
my ($upstream_host, $upstream_port) = $s3->setting('endpoint') =~ m{//(.*):(\d+)};
my $dir = PostgreSQL::Test::Utils::tempdir();
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $log = "$dir/access.log";
my $said = '';

# ------------------------------------------------------------------- the proxy
system_or_bail('openssl', qw(req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=skyvault),
	'-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$dir/key.pem", '-out', "$dir/cert.pem");
append_to_file($_, '') foreach $log, "$dir/empty.conf";
my $proxy = IPC::Run::start(
	[
		$nghttpx, "--conf=$dir/empty.conf", "--frontend=127.0.0.1,$port", "--backend=$upstream_host,$upstream_port",
		'--workers=1', "--accesslog-file=$log", '--accesslog-format=$alpn $status $request', '--accesslog-write-early',
		"--errorlog-file=$dir/error.log", '--no-ocsp', "$dir/key.pem", "$dir/cert.pem"
	],
	'<', \undef, '>&', \$said);

END
{
	my $status = $?;

	$proxy->kill_kill if defined $proxy;
	$? = $status;
}

# Requests of a kind since the last call of forget: their protocols, statuses and lines.
my $forgotten = 0;

sub requests
{
	my ($method) = @_;
	my @lines = split(/\n/, substr(slurp_file($log), $forgotten));

	return grep { / $method / } @lines;
}

sub forget
{
	$forgotten = -s $log;
}

sub all_http2
{
	my ($name, $least, @requests) = @_;

	cmp_ok(scalar(@requests), '>=', $least, "$name: so many requests");
	is(scalar(grep { !/^h2 / } @requests), 0, "$name: all of them by HTTP/2") or diag(join("\n", @requests));
}

until (IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port"))
{
	$proxy->pumpable or BAIL_OUT("nghttpx: $said");
	$proxy->reap_nb;
	usleep(10_000);
}

# ------------------------------------------------------------------- the server
my $node = new_server('main', settings => <<'SETTINGS');
skyvault.disk_cache_size = 0
skyvault.compression_level = 0
skyvault.io_concurrency = 32
skyvault.retention = 0
SETTINGS

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql($s3->create_server('vault', server => { endpoint => "https://127.0.0.1:$port", tls_ca_file => "$dir/cert.pem" }));
sql("SELECT skyvault_create_table('$_', server => 'vault')") foreach qw(kv large);

# Forty keys to a block; a run that goes up whole, and one of 40 MB that goes up in parts.
my $value = q{(SELECT string_agg(sha512((%s || i)::bytea)::text, '') FROM generate_series(1, 3) AS i)};
my $of_kv = sprintf($value, q{'kv ' || n || ' '});
my $of_large = sprintf($value, q{'large ' || n || ' '});

sql(qq{SELECT skyvault_multi_put('kv', array_agg('k' || to_char(n, 'FM00000')), array_agg($of_kv)) FROM generate_series(1, 20000) AS n;
	SELECT skyvault_flush()});
all_http2('a run that is put', 1, requests('PUT'));
forget();
sql(qq{SELECT skyvault_multi_put('large', array_agg('k' || to_char(n, 'FM000000')), array_agg($of_large)) FROM generate_series(1, 90000) AS n;
	SELECT skyvault_flush()});
all_http2('a run that is put in parts', 3, requests('PUT'));
cmp_ok(scalar(grep { /partNumber=/ } requests('PUT')), '>=', 3, 'parts');

# ------------------------------------------------------------------- gets
sub cold
{
	my ($name, $least, $query, $expected) = @_;

	sql('SELECT skyvault_clear_cache()');
	forget();
	is(sql($query), $expected, $name);
	all_http2($name, $least, requests('GET'));
}

cold('a get', 1, qq{SELECT skyvault_get('kv', 'k00042') = $of_kv FROM (VALUES (42)) AS v(n)}, 't');
# So far from each other that each needs a request.
cold('many gets at once', 45,
	qq{SELECT count(*), count(*) FILTER (WHERE g.value = $of_kv)
		FROM skyvault_multi_get('kv', ARRAY(SELECT 'k' || to_char(m, 'FM00000') FROM generate_series(7, 20000, 450) AS m)) AS g,
		LATERAL (SELECT substr(g.key, 2)::integer AS n) AS k}, '45|45');
cold('a scan', 2,
	qq{SELECT count(*), count(*) FILTER (WHERE s.value = $of_large)
		FROM skyvault_scan('large') AS s, LATERAL (SELECT substr(s.key, 2)::integer AS n) AS k}, '90000|90000');

# Several sessions at once, on what a connection of each carries.
sql('SELECT skyvault_clear_cache()');
forget();
my @sessions = map { session($node) } 1 .. 4;
foreach my $i (0 .. 3)
{
	$sessions[$i]->send(qq{SELECT count(*), count(*) FILTER (WHERE g.value = $of_kv)
		FROM skyvault_multi_get('kv', ARRAY(SELECT 'k' || to_char(m, 'FM00000') FROM generate_series(10 + 100 * $i, 20000, 450) AS m)) AS g,
		LATERAL (SELECT substr(g.key, 2)::integer AS n) AS k});
}
like(($_->receive)[0], qr/^(4[45])\|\1$/, 'many gets of a session among others') foreach @sessions;
$_->quit foreach @sessions;
all_http2('many gets of several sessions', 4 * 44, requests('GET'));

# A request that is given up takes no others with it.
fails_with($node, q{SET statement_timeout = '1ms'; SELECT count(*) FROM skyvault_scan('large')}, '57014', qr/timeout/, 'a scan is cancelled');
cold('a get afterwards', 1, qq{SELECT skyvault_get('kv', 'k00043') = $of_kv FROM (VALUES (43)) AS v(n)}, 't');

# ------------------------------------------------------------------- compaction, listing, removal
forget();
sql(q{SELECT skyvault_delete('kv', 'k00001')});
sql(q{SELECT skyvault_flush(); SELECT skyvault_compact('kv')});
is(sql(q{SELECT count(*) FROM skyvault_scan('kv')}), 19999, 'compacted');
cmp_ok(sql('SELECT count(*) FROM skyvault_gc() WHERE held_by IS NULL'), '>', 0, 'and what it took is deleted');
all_http2('a compaction, with a listing and removals', 4, requests('[A-Z]+'));

done_testing();
