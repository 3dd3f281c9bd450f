# Keys that the server process finds where it runs: its environment, the
# credentials file, a metadata service; and whether a store that ignores the
# conditions of puts is noticed.
use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SkyvaultS3;
use SkyvaultTest;
use Test::More;

my $s3 = SkyvaultS3->shared->start_proxy;
my ($id, $secret) = map { $s3->setting($_) } qw(access_key_id secret_access_key);
my $directory = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('main', settings => "skyvault.disk_cache_size = 0\nlog_statement = none\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The postmaster's environment; nothing of that of the tests' caller.
sub restart_with
{
	my (%environment) = @_;

	delete $ENV{$_} foreach grep { /^AWS_/ } keys %ENV;
	local %ENV = (%ENV, HOME => $directory, AWS_EC2_METADATA_DISABLED => 'true', %environment);
	return $node->restart;
}

# One test each: the server's keys are good, or there are none.
sub has_keys
{
	my ($server, $test_name) = @_;

	sql("SELECT skyvault_put('$server', 'k', '$test_name'); SELECT skyvault_flush('$server'); SELECT skyvault_clear_cache()");
	return is(sql("SELECT skyvault_get('$server', 'k')"), $test_name, $test_name);
}

sub has_none
{
	my ($server, $test_name) = @_;

	sql("SELECT skyvault_put('$server', 'k', 'unflushed')");
	return fails_with($node, "SELECT skyvault_flush('$server')", '42501', qr/^HINT: /m, $test_name);
}

foreach my $source (qw(environment file metadata auto))
{
	my $name = "by_$source";

	sql($s3->create_server($name, mapping => undef, server => { credentials => $source }));
	sql("SELECT skyvault_create_table('$name', server => '$name')");
}

restart_with();
has_none("by_$_", "$_: there are none") foreach qw(environment file metadata auto);

restart_with(AWS_ACCESS_KEY_ID => $id, AWS_SECRET_ACCESS_KEY => $secret);
has_keys('by_environment', 'keys of the environment');
has_keys('by_auto', 'are found by auto');
has_none('by_file', 'but not by file');
restart_with(AWS_ACCESS_KEY_ID => $id, AWS_SECRET_ACCESS_KEY => 'wrong');
has_none('by_environment', 'a wrong secret in the environment');

mkdir("$directory/.aws");
append_to_file("$directory/.aws/credentials",
	"[default]\naws_access_key_id = $id\naws_secret_access_key = $secret\n"
	  . "[other]\naws_access_key_id = $id\naws_secret_access_key = wrong\n");
restart_with();
has_keys('by_file', 'keys of the credentials file');
has_keys('by_auto', 'are found by auto, too');
sql("ALTER SERVER by_file OPTIONS (ADD profile 'other')");
has_none('by_file', 'a profile with a wrong secret');
sql("ALTER SERVER by_file OPTIONS (SET profile 'default')");
has_keys('by_file', 'the right profile');
sql("ALTER SERVER by_file OPTIONS (SET profile 'missing')");
has_none('by_file', 'a profile that is not there');
unlink("$directory/.aws/credentials");

# A metadata service, as containers have it, that gives the temporary keys of a file.
my @pairs = map { [ $s3->token ] } 1 .. 3;
my $answer = "$directory/answer";

sub give_keys
{
	my ($pair, $expiration) = @_;

	append_to_file("$answer.new", sprintf('{"AccessKeyId": "%s", "SecretAccessKey": "%s", "Token": "%s", "Expiration": "%s"}',
		@$pair, $expiration));
	rename("$answer.new", $answer) or die $!;
}

give_keys($pairs[0], '2099-01-01T00:00:00Z');
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10, ReuseAddr => 1) or die $@;
my $service = fork() // die $!;
if ($service == 0)
{
	while (my $client = $listener->accept)
	{
		while (defined(my $line = readline($client))) { last if $line =~ /^\r?\n/; }
		my $body = slurp_file($answer);

		print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body)
		  . "\r\nConnection: close\r\n\r\n$body";
		close($client);
	}
	POSIX::_exit(0);
}
restart_with(AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:' . $listener->sockport . '/keys');
has_keys('by_metadata', 'temporary keys of a metadata service');
has_keys('by_auto', 'are found by auto, as well');

# ------------------------------------------------------------------- keys that end
# A session and a scheduler that have used them go on with the next ones.
my $session = session($node);
my $scheduler = scheduler_pid($node);

# The keys of the requests that were answered with success, each once, and how many
# requests had a fault.
sub go_on
{
	my ($expected, $test_name) = @_;
	my %used;

	$s3->forget_requests;
	has_keys('by_metadata', "$test_name: a scheduler");
	$session->run('SELECT skyvault_clear_cache()');
	is($session->run(q{SELECT skyvault_get('by_metadata', 'k')}), "$test_name: a scheduler", "$test_name: a session");
	is(scheduler_pid($node), $scheduler, "$test_name: the scheduler is the same");
	$used{ $_->{key} } = 1 foreach $s3->requests(status => '^2');
	is(join(' ', sort keys %used), $expected->[0], "$test_name: by the keys that are good now");
	return scalar(() = $s3->requests(fault => '^status$'));
}
is(go_on($pairs[0], 'the first keys'), 0, 'nothing is refused');

# The store says that they have expired, before the service said so.  The next ones
# have three minutes left: that is soon.
give_keys($pairs[1], POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time() + 180)));
$s3->fault('status', key => "^$pairs[0][0]\$", status => 400, code => 'ExpiredToken');
cmp_ok(go_on($pairs[1], 'keys that are refused as expired'), '>=', 2, 'both were refused, and asked for others');

# So they are asked for anew before they end: the old ones are not even tried.
give_keys($pairs[2], '2099-01-01T00:00:00Z');
$s3->fault('status', key => "^$pairs[1][0]\$", status => 403, code => 'AccessDenied');
is(go_on($pairs[2], 'keys that end soon'), 0, 'nothing is refused');
$s3->clear_faults;
$session->quit;

kill('KILL', $service);
waitpid($service, 0);
restart_with(AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:' . $listener->sockport . '/keys');
close($listener);
sql("SELECT skyvault_put('by_metadata', 'k', 'unflushed')");
fails_with($node, "SELECT skyvault_flush('by_metadata')", '58030', qr/^HINT: /m, 'a metadata service that is gone is 58030');

my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } $secret, map { @$_[ 1, 2 ] } @pairs), 0, 'no secret is in the log');

# ------------------------------------------------------------------- conditional puts
restart_with();
$s3->forget_requests;
sql($s3->create_server('honest'));
sql(q{SELECT skyvault_create_table('honest', server => 'honest'); SELECT skyvault_put('honest', 'k', 'v'); SELECT skyvault_flush('honest')});
is(scalar(grep { $_->{target} =~ /probe-/ } $s3->requests(method => 'PUT')), 2, 'a store is asked whether it honours conditions');
sql(q{SELECT skyvault_put('honest', 'k', 'v'); SELECT skyvault_flush('honest')});
is(scalar(grep { $_->{target} =~ /probe-/ } $s3->requests(method => 'PUT')), 2, 'once');
ok(!$node->log_contains(qr/does not honour conditional puts/), 'this one does');
$s3->fault('status', method => '^PUT$', path => '/probe-', first => 2, last => 2, status => 200, etag => '"replaced"');
sql($s3->create_server('dishonest'));
sql(q{SELECT skyvault_create_table('dishonest', server => 'dishonest'); SELECT skyvault_put('dishonest', 'k', 'v'); SELECT skyvault_flush('dishonest')});
ok($node->log_contains(qr/WARNING: .*does not honour conditional puts/), 'one that does not gets a warning');
$s3->forget_requests;
sql(q{SELECT skyvault_put('dishonest', 'k', 'v'); SELECT skyvault_flush('dishonest')});
is(scalar(grep { $_->{target} =~ /\.sst/ && $_->{status} == 404 } $s3->requests(method => 'GET')), 1, 'and from then on there is a look before each put');
is(sql(q{SELECT skyvault_get('dishonest', 'k')}), 'v', 'and all goes well');

$node->stop;
done_testing();
