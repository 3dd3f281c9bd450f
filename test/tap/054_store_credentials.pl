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

# A metadata service, as containers have it, that gives temporary keys.
my ($temporary, $temporary_secret, $token) = $s3->token;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 10, ReuseAddr => 1) or die $@;
my $service = fork() // die $!;
if ($service == 0)
{
	my $body = qq({"AccessKeyId": "$temporary", "SecretAccessKey": "$temporary_secret", "Token": "$token",)
	  . qq( "Expiration": "2099-01-01T00:00:00Z"});

	while (my $client = $listener->accept)
	{
		while (defined(my $line = readline($client))) { last if $line =~ /^\r?\n/; }
		print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body)
		  . "\r\nConnection: close\r\n\r\n$body";
		close($client);
	}
	POSIX::_exit(0);
}
restart_with(AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:' . $listener->sockport . '/keys');
has_keys('by_metadata', 'temporary keys of a metadata service');
has_keys('by_auto', 'are found by auto, as well');
kill('KILL', $service);
waitpid($service, 0);
restart_with(AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:' . $listener->sockport . '/keys');
close($listener);
sql("SELECT skyvault_put('by_metadata', 'k', 'unflushed')");
fails_with($node, "SELECT skyvault_flush('by_metadata')", '58030', qr/^HINT: /m, 'a metadata service that is gone is 58030');

my $log = slurp_file($node->logfile);
is(scalar(grep { index($log, $_) >= 0 } $secret, $temporary_secret, $token), 0, 'no secret is in the log');

# ------------------------------------------------------------------- conditional puts
restart_with();
$s3->forget_requests;
sql($s3->create_server('honest'));
sql(q{SELECT skyvault_create_table('honest', server => 'honest'); SELECT skyvault_put('honest', 'k', 'v'); SELECT skyvault_flush('honest')});
is(scalar(grep { $_->{target} =~ /probe-/ } $s3->requests(method => 'PUT')), 2, 'a store is asked whether it honours conditions');
sql(q{SELECT skyvault_put('honest', 'k', 'v'); SELECT skyvault_flush('honest')});
is(scalar(grep { $_->{target} =~ /probe-/ } $s3->requests(method => 'PUT')), 2, 'once');
ok(!$node->log_contains(qr/does not honour conditional puts/), 'this one does');
$s3->fault('status', method => '^PUT$', path => '/probe-', first => 2, last => 2, status => 200, code => 'OK');
sql($s3->create_server('dishonest'));
sql(q{SELECT skyvault_create_table('dishonest', server => 'dishonest'); SELECT skyvault_put('dishonest', 'k', 'v'); SELECT skyvault_flush('dishonest')});
ok($node->log_contains(qr/WARNING: .*does not honour conditional puts/), 'one that does not gets a warning');
$s3->forget_requests;
sql(q{SELECT skyvault_put('dishonest', 'k', 'v'); SELECT skyvault_flush('dishonest')});
is(scalar(grep { $_->{target} =~ /\.sst/ && $_->{status} == 404 } $s3->requests(method => 'GET')), 1, 'and from then on there is a look before each put');
is(sql(q{SELECT skyvault_get('dishonest', 'k')}), 'v', 'and all goes well');

$node->stop;
done_testing();
