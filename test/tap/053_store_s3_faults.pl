# What SQL says when a store misbehaves, and that nothing is lost by it: each case
# goes wrong, says so with the right SQLSTATE and what to do, and is well again
# when the store is.
use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->private->start_proxy;
my $node = new_server('main', settings => "skyvault.store_timeout = 3s\nskyvault.store_retries = 2\nskyvault.disk_cache_size = 0\n");
my @tables = ('kv');
my $round = 0;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub write_round
{
	$round++;
	return sql(qq{SELECT mirror_multi_put('kv', array_agg('k' || n), array_agg('$round ' || sha512(n::text::bytea)::text))
		FROM generate_series($round, 300 + $round) AS n});
}

sub clear_caches { return sql('SELECT skyvault_clear_cache()'); }

sql($s3->create_server('vault'));
make_mirror($node, \@tables, 'vault');
write_round();
sql('SELECT skyvault_flush()');

# A scan past the caches, and a flush, have these errors; neither when the store is well.
sub goes_wrong
{
	my ($case, $read_state, $flush_state, $pattern) = @_;

	if (defined $read_state)
	{
		clear_caches();
		fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, $read_state, $pattern, "$case: a scan fails and says why");
		fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, $read_state, qr/^HINT: /m, "$case: and what to do");
	}
	if (defined $flush_state)
	{
		my $rows;

		write_round();
		$rows = delta_rows($node);
		fails_with($node, q{SELECT skyvault_flush('vault')}, $flush_state, $pattern, "$case: a flush fails and says why");
		like(sql('SELECT state, sqlstate, hint IS NOT NULL FROM skyvault.job ORDER BY id DESC LIMIT 1'),
			qr/\Afailed\|$flush_state\|t\z/, "$case: so does the job");
		is(delta_rows($node), $rows, "$case: the rows stay in the delta");
	}
}

sub is_well
{
	my ($case) = @_;

	write_round();
	cmp_ok(sql('SELECT skyvault_flush()'), '>', 0, "$case: a flush succeeds");
	clear_caches();
	is(delta_rows($node), 0, "$case: and leaves nothing in the delta");
	return same_content($node, \@tables, "$case: nothing was lost");
}

# ------------------------------------------------------------------- wrong options
sub with_options
{
	my ($case, $change, $back, @states) = @_;

	sql($change);
	goes_wrong($case, @states);
	sql($back);
	return is_well("$case, corrected");
}

my %good = map { $_ => $s3->setting($_) } qw(endpoint bucket access_key_id secret_access_key);
my ($url) = sql(q{SELECT substr(option, 5) FROM pg_foreign_server, unnest(srvoptions) AS option
	WHERE srvname = 'vault' AND option LIKE 'url=%'});
my $mapping = 'ALTER USER MAPPING FOR PUBLIC SERVER vault OPTIONS';

with_options('wrong key', "$mapping (SET access_key_id 'NOBODY')", "$mapping (SET access_key_id '$good{access_key_id}')",
	'42501', '42501', qr/InvalidAccessKeyId/);
with_options('wrong secret', "$mapping (SET secret_access_key 'wrong')",
	"$mapping (SET secret_access_key '$good{secret_access_key}')", '42501', '42501', qr/SignatureDoesNotMatch/);
with_options('missing bucket', "ALTER SERVER vault OPTIONS (SET url 's3://no-such-bucket-here/x')",
	"ALTER SERVER vault OPTIONS (SET url '$url')", '58030', '58030', qr/bucket/);
with_options('nobody listens', "ALTER SERVER vault OPTIONS (SET endpoint 'http://127.0.0.1:1')",
	"ALTER SERVER vault OPTIONS (SET endpoint '$good{endpoint}')", '58030', '58030', qr/127\.0\.0\.1:1|onnect/);
my $endpoint_back = "ALTER SERVER vault OPTIONS (SET endpoint '$good{endpoint}')";
with_options('TLS where none is spoken', "ALTER SERVER vault OPTIONS (SET endpoint '" . ($s3->setting('server_endpoint') =~ s/^http:/https:/r) . "')",
	$endpoint_back, '58030', '58030', qr/TLS|SSL/);
with_options('no TLS where it is spoken', "ALTER SERVER vault OPTIONS (SET endpoint '" . ($s3->setting('endpoint_tls') =~ s/^https:/http:/r) . "')",
	$endpoint_back, '58030', '58030', qr/could not /);

# Something else listens there.
my $other = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16) or die $@;
my $answering = fork() // die $!;
END { kill('KILL', $answering) if $answering }
if ($answering == 0)
{
	while (my $client = $other->accept)
	{
		print $client "SSH-2.0-OpenSSH_9.2\r\n";
		close($client);
	}
	POSIX::_exit(0);
}
with_options('no HTTP', "ALTER SERVER vault OPTIONS (SET endpoint 'http://127.0.0.1:" . $other->sockport . "')",
	$endpoint_back, '58030', '58030', qr/could not /);
kill('KILL', $answering);
waitpid($answering, 0);
$answering = undef;
with_options('certificate that is not trusted', "ALTER SERVER vault OPTIONS (SET endpoint '" . $s3->setting('endpoint_tls') . "')",
	"ALTER SERVER vault OPTIONS (SET endpoint '$good{endpoint}')", '58030', '58030', qr/certificate/);
sql("ALTER SERVER vault OPTIONS (SET endpoint '" . $s3->setting('endpoint_tls') . "', ADD tls_ca_file '" . $s3->setting('ca_file') . "')");
is_well('a certificate of one\'s own');
sql("ALTER SERVER vault OPTIONS (SET endpoint '$good{endpoint}', DROP tls_ca_file)");

# ------------------------------------------------------------------- what the store answers
sub with_fault
{
	my ($case, $fault, $states, $pattern) = @_;

	$s3->fault(@$fault);
	goes_wrong($case, @$states, $pattern);
	$s3->clear_faults;
	return is_well("$case, over");
}

with_fault('500s', [ 'status', status => 500, code => 'InternalError' ], [ '58030', '58030' ], qr/InternalError|500/);
with_fault('503s', [ 'status', status => 503, code => 'SlowDown' ], [ '58030', '58030' ], qr/SlowDown|503/);
with_fault('access denied', [ 'status', status => 403, code => 'AccessDenied' ], [ '42501', '42501' ], qr/AccessDenied/);
with_fault('a wrong clock', [ 'status', status => 403, code => 'RequestTimeTooSkewed' ], [ '58030', '58030' ], qr/clock/);
with_fault('connections reset', ['reset'], [ '58030', '58030' ], qr/reset/);
with_fault('no answer', ['hang'], [ '58030', '58030' ], qr/timed out/);
with_fault('web pages', ['html'], [ '58030', '58030' ], qr/not what S3 sends|does not answer with the range/);
with_fault('web pages for data', [ 'html', path => '\.sst' ], [ '58030', undef ], qr/\.sst/);
with_fault('other bytes', [ 'flip', method => '^GET$', at => 30 ], [ 'XX001', undef ], qr/\.sst/);
with_fault('bodies that end early', [ 'cut', method => '^GET$', keep => 10 ], [ '58030', undef ], qr/\.sst/);

# Faults that pass are nobody's business.
foreach my $fault (
	[ 'status', status => 500, code => 'InternalError', last => 1 ],
	[ 'status', status => 503, code => 'SlowDown', last => 2 ],
	[ 'reset', last => 1 ],
	[ 'lost', last => 1 ],
	[ 'lost', method => '^PUT$', last => 1 ],
	[ 'cut', method => '^GET$', keep => 10, last => 1 ])
{
	my $rule = $s3->fault(@$fault);

	is_well(join(' ', @$fault));
	cmp_ok($s3->fault_hits($rule), '>', 0, join(' ', @$fault) . ': the fault was met');
	$s3->clear_faults;
}
cmp_ok(sql(q{SELECT sum(retries) FROM skyvault_stat_store}), '>', 5, 'only skyvault_stat_store shows the retries');
$s3->refuse_connections;
goes_wrong('connections refused', '58030', '58030', qr/onnect|reset/);
$s3->accept_connections;
is_well('connections accepted');

# ------------------------------------------------------------------- the server dies
foreach my $when (qw(before after))
{
	my $session = session($node);

	write_round();
	$session->run(q{SELECT stop_point_arm('flush-} . ($when eq 'before' ? 'before-upload' : 'uploaded') . q{', 'wait')});
	$session->send(q{SELECT skyvault_flush('vault')});
	$node->safe_psql('postgres', q{CALL stop_point_await('flush-} . ($when eq 'before' ? 'before-upload' : 'uploaded') . q{')});
	$s3->signal('KILL');
	sql(q{SELECT stop_point_disarm('flush-} . ($when eq 'before' ? 'before-upload' : 'uploaded') . q{')});
	my ($rows, $errors) = $session->receive;
	if ($when eq 'before')
	{
		like($errors, qr/ERROR:  58030/, 'the server dies before the upload: the flush fails');
	}
	else
	{
		is($errors, undef, 'the server dies after the upload: the flush succeeds');
	}
	clear_caches();
	fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, '58030', qr/^HINT: /m, 'a dead server is 58030');
	ok(scheduler_pid($node), 'the scheduler runs');
	$s3->start;
	is_well("a server that died $when an upload is back");
	$session->quit;
}

# ------------------------------------------------------------------- an object is gone
my ($object) = run_objects($node);
(my $path = "/$url/$object") =~ s{s3://}{};
clear_caches();
$s3->request('DELETE', $path);
fails_with($node, q{SELECT count(*) FROM skyvault_scan('kv')}, 'XX001', qr/object "\Q$object\E" is missing from the store/,
	'an object that is gone is XX001 with its name');

$node->stop;
done_testing();
