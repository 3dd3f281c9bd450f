# The tools of the tests of S3: the server, and the proxy that does harm.  What
# they say of other parts counts only as far as this file holds.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use SkyvaultS3;

my $s3 = SkyvaultS3->private->start_proxy;
my $path = '/' . $s3->setting('bucket') . '/proxy/object';
my $content = join('', map { sprintf('%07d|', $_) } 1 .. 25_000);
my $file = PostgreSQL::Test::Utils::tempdir() . '/content';
append_to_file($file, $content);

# A signed request through the proxy: curl's exit status, the HTTP status, head, body.
sub ask
{
	my ($method, @more) = @_;
	my ($head, $body, $err) = map { PostgreSQL::Test::Utils::tempdir() . "/$_" } qw(head body err);
	my $credentials = $s3->setting('access_key_id') . ':' . $s3->setting('secret_access_key');
	my $got;

	unlink($head, $body);
	IPC::Run::run(
		[
			'curl', '-sS', '--noproxy', '*', '--max-time', $PostgreSQL::Test::Utils::timeout_default,
			'-X', $method, '--aws-sigv4', 'aws:amz:' . $s3->setting('region') . ':s3', '-u', $credentials,
			'-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD',
			'-H', 'content-type: application/octet-stream', '-D', $head, '-o', $body, '-w', '%{http_code}', @more,
			$s3->setting('endpoint') . $path
		],
		'>', \$got, '2>', $err);
	return ($? >> 8, $got, map { -e $_ ? slurp_file($_) : '' } $head, $body);
}

my @put = ('PUT', '--data-binary', "\@$file");

my ($exit, $status, $head, $body) = ask(@put);
is("$exit $status", '0 200', 'without a fault an object is put');
($exit, $status, $head, $body) = ask('GET');
ok($exit == 0 && $status == 200 && $body eq $content, 'and read');
($exit, $status, $head) = ask('HEAD', '--head');
like($head, qr/^Content-Length: 200000\r$/mi, 'and its head has its length');
is(join(' ', map { "$_->{method} $_->{bytes} $_->{status} $_->{answer_bytes} $_->{fault}" } $s3->requests(target => qr/object/)),
	'PUT 200000 200 0 - GET 0 200 200000 - HEAD 0 200 0 -', 'the log has all three');
is(join(' ', $s3->objects('proxy/')), 'proxy/object', 'the object is listed');
is(() = $s3->requests(), 3, 'past the proxy');
$s3->forget_requests;
is(() = $s3->requests(), 0, 'a log can be begun anew');

# Ranges of requests, and what they match.
$s3->fault('status', method => '^GET$', first => 2, last => 3, status => 503, code => 'SlowDown');
is(join(' ', map { (ask('GET'))[1] } 1 .. 4), '200 503 503 200', 'the second and the third have the fault');
$s3->clear_faults;
$s3->fault('status', first => 2, every => 2, status => 503, code => 'SlowDown', region => 'mars-1');
is(join(' ', map { (ask('GET'))[1] } 1 .. 5), '200 503 200 503 200', 'each second has it');
($exit, $status, $head, $body) = ask('GET');
like($body, qr{<Code>SlowDown</Code>.*<Region>mars-1</Region></Error>}, 'with its code and region');
$s3->clear_faults;
my $rule = $s3->fault('status', method => '^PUT$', path => 'object$', status => 403, code => 'AccessDenied');
is((ask('GET'))[1], 200, 'another method has not');
($exit, $status, $head, $body) = ask(@put);
ok($status == 403 && $body =~ m{<Code>AccessDenied</Code>}, 'that method has, with its code');
is($s3->fault_hits($rule), 1, 'the rule knows how often');
is((map { $_->{fault} } $s3->requests(method => qr/PUT/))[0], 'status', 'the log knows which');
$s3->clear_faults;

# Answers that are spoilt.
sub spoilt
{
	my ($kind, %words) = @_;

	$s3->fault($kind, %words, last => 1);
	my @answer = ask('GET');
	$s3->clear_faults;
	return @answer;
}

($exit, $status, $head, $body) = spoilt('html');
ok($exit == 0 && $status == 200 && $body =~ /^<html>/, 'html');
($exit, $status, $head, $body) = spoilt('status', status => 502, html => 1, retry_after => 3);
ok($status == 502 && $body =~ /^<html>/ && $head =~ /^Retry-After: 3\r$/m, 'status with a web page');
($exit, $status, $head, $body) = spoilt('body', hex => '4142');
ok($exit == 0 && $body eq 'AB', 'body');
($exit, $status, $head, $body) = spoilt('etag', etag => '"0"');
ok($head =~ /^ETag: "0"\r$/m && $head !~ /^ETag: "[^0]/mi && $body eq $content, 'etag');
($exit, $status, $head, $body) = spoilt('flip', at => 1000);
ok(length($body) == length($content) && ($body ^ $content) =~ /\A\0{1000}\x01\0+\z/, 'flip');
($exit, $status, $head, $body) = spoilt('short', keep => 1000);
ok($exit == 0 && $body eq substr($content, 0, 1000), 'short: the client does not notice');
($exit, $status, $head, $body) = spoilt('cut', keep => 1000);
ok($exit == 18 && $body eq substr($content, 0, 1000), 'cut: it does');
($exit, $status, $head, $body) = spoilt('length', add => 10);
ok($exit == 18 && $body eq $content, 'length: so it does if there is not as much as promised');
($exit, $status, $head, $body) = spoilt('reset');
is("$exit $status", '56 000', 'reset');

# What the server has done, or not.
$s3->request('DELETE', $path);
$s3->fault('reset', method => '^PUT$', after => 1000, last => 1);
isnt((ask(@put))[0], 0, 'reset in the middle of a body');
is(() = $s3->objects('proxy/'), 0, 'nothing is there');
$s3->fault('lost', method => '^PUT$', last => 1);
is((ask(@put))[0], 56, 'a lost reply');
is(() = $s3->objects('proxy/'), 1, 'the object is there');
$s3->clear_faults;

# Kept waiting, until the fault is taken away.
foreach my $case ([ 'hang', 52 ], [ 'hang_after', 52 ], [ 'stall', 18, keep => 1000 ])
{
	my ($kind, $expected, %words) = @$case;
	my $hangs = $s3->fault($kind, %words);
	my $child = fork() // die $!;

	POSIX::_exit((ask('GET'))[0]) if $child == 0;
	$s3->await_hits($hangs, 1);
	if ($kind eq 'stall')
	{
		usleep(10_000) until (($s3->requests)[-1]{status});
	}
	$s3->clear_faults;
	waitpid($child, 0);
	is($? >> 8, $expected, "$kind: the client is let go");
}

# Held, until they are let go; a rule for one key.
{
	my $holds = $s3->fault('hold', key => '^' . $s3->setting('access_key_id') . '$');

	$s3->forget_requests;
	my $child = fork() // die $!;

	if ($child == 0)
	{
		my ($held_exit, $held_status) = ask('GET');

		POSIX::_exit($held_exit == 0 && $held_status == 200 ? 0 : 1);
	}
	$s3->await_hits($holds, 1);
	is(join(' ', map { "$_->{status} $_->{fault} $_->{key}" } $s3->requests), '0 hold ' . $s3->setting('access_key_id'),
		'hold: there is no answer');
	$s3->release;
	waitpid($child, 0);
	is($? >> 8, 0, 'hold: the right one comes when it is released');
	$s3->clear_faults;
	$s3->fault('status', key => '^somebody$', status => 503);
	is((ask('GET'))[1], 200, 'a rule for another key does not apply');
	$s3->clear_faults;
}

$s3->fault('latency', ms => 300);
my $before = Time::HiRes::time();
is((ask('GET'))[1], 200, 'latency: an answer comes');
cmp_ok(Time::HiRes::time() - $before, '>=', 0.3, 'but late');
$s3->clear_faults;

$s3->refuse_connections;
is((ask('GET'))[0], 7, 'connections are refused');
$s3->accept_connections;
is((ask('GET'))[1], 200, 'and accepted again');

# A large answer and a large request, with Expect: 100-continue.
truncate($file, 0);
append_to_file($file, $content x 20);
is((ask(@put))[1], 200, 'a large object is put');
ok((ask('GET'))[3] eq $content x 20, 'and read');

# The server's own deaths.
$s3->signal('KILL', 'osd.0');
$s3->start;
ok((ask('GET'))[3] eq $content x 20, 'what was put is there after the death of the storage daemon');
$s3->signal('KILL');
is((ask('GET'))[0], 56, 'a dead server resets');
$s3->start;
ok((ask('GET'))[3] eq $content x 20, 'what was put is there after the death of all of them');

my @token = $s3->token;
is(scalar(@token), 3, 'temporary credentials');
$s3->stop_proxy;
like($s3->create_server('v', mapping => { secret_access_key => undef, session_token => "a'b" }),
	qr/^CREATE SERVER v .*endpoint '\Q@{[$s3->setting('endpoint')]}\E'.*;\nCREATE USER MAPPING FOR PUBLIC SERVER v OPTIONS \(access_key_id '[^']+', session_token 'a''b'\);\n\z/,
	'the SQL of a server');

done_testing();
